package uplink

import "sync"

// maxNews is how much news waits: what is older than that is in the next hello, or told
// no more.
const maxNews = 128

// news is what waits to be sent to the hubs, in its order. When it is full, a new hello
// stands for the states in what was dropped; events are in the logs of the gateway.
type news struct {
	wake chan struct{} // there is something; size 1: one stands for all

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

// take takes the next message, which hello makes if one is due; nil: there is none.
func (n *news) take(hello func() []byte) (message []byte, greeting bool) {
	n.mu.Lock()
	greeting, n.hello = n.hello, false
	if !greeting && len(n.waiting) > 0 {
		message = n.waiting[0]
		n.waiting = n.waiting[1:]
	}
	n.mu.Unlock()
	if greeting {
		message = hello() // made without the lock: it asks others
	}
	return message, greeting
}

// untake puts a message back that could not be sent.
func (n *news) untake(message []byte, greeting bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case greeting || len(n.waiting) == maxNews:
		n.hello = true // another is made
	default:
		n.waiting = append([][]byte{message}, n.waiting...)
	}
}
