package uplink

import "sync"

// maxNews is how many messages can wait. Of older ones that are dropped, states are in the
// next hello, and events are not sent.
const maxNews = 128

// news has the messages that wait to be sent to the hubs, in order. When it is full, a new
// hello replaces the dropped states; dropped events are in the gateway's own logs only.
type news struct {
	wake chan struct{} // there is something to send; size 1

	mu      sync.Mutex
	hello   bool // is due, before all else
	waiting [][]byte
}

func newNews() *news { return &news{wake: make(chan struct{}, 1)} }

// greet makes a hello due.
func (n *news) greet() {
	n.mu.Lock()
	n.hello = true
	n.mu.Unlock()
	n.poke()
}

// add adds a message.
func (n *news) add(message []byte) {
	n.mu.Lock()
	if len(n.waiting) == maxNews {
		n.hello, n.waiting = true, n.waiting[:copy(n.waiting, n.waiting[1:])]
	}
	n.waiting = append(n.waiting, message)
	n.mu.Unlock()
	n.poke()
}

func (n *news) poke() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// take removes and returns the next message, one made by hello if that is due; nil: there is none.
func (n *news) take(hello func() []byte) (message []byte, greeting bool) {
	n.mu.Lock()
	greeting, n.hello = n.hello, false
	if !greeting && len(n.waiting) > 0 {
		message = n.waiting[0]
		n.waiting = n.waiting[1:]
	}
	n.mu.Unlock()
	if greeting {
		message = hello() // without the lock: it calls other parts of the gateway
	}
	return message, greeting
}

// untake puts a message back that could not be sent.
func (n *news) untake(message []byte, greeting bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case greeting || len(n.waiting) == maxNews:
		n.hello = true // a new one is made then
	default:
		n.waiting = append([][]byte{message}, n.waiting...)
	}
}
