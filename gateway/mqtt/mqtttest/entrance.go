package mqtttest

import (
	"net"
	"sync"
)

// entrance is a listener that knows which of its connections the broker has not begun to
// read: only from then on does the broker wait for them when it ends, and before that it
// would race with them. It disconnects only those that have introduced themselves; the
// others, for which it would wait long, are closed with the listener.
type entrance struct {
	net.Listener
	unread sync.WaitGroup

	mu     sync.Mutex
	shut   bool
	inside map[*entering]bool
}

func (e *entrance) Accept() (net.Conn, error) {
	c, err := e.Listener.Accept()
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shut {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	e.unread.Add(1)
	in := &entering{Conn: c, entrance: e, begin: sync.OnceFunc(e.unread.Done)}
	e.inside[in] = true
	return in, nil
}

// settle lets no more connections in, and waits until all that are in have been read from.
func (e *entrance) settle() {
	e.mu.Lock()
	e.shut = true
	e.mu.Unlock()
	e.unread.Wait()
}

func (e *entrance) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.inside {
		_ = c.Conn.Close()
	}
	return e.Listener.Close()
}

type entering struct {
	net.Conn
	entrance *entrance
	begin    func()
}

func (c *entering) Read(b []byte) (int, error) {
	c.begin()
	return c.Conn.Read(b)
}

func (c *entering) Close() error {
	c.begin() // or never
	c.entrance.mu.Lock()
	delete(c.entrance.inside, c)
	c.entrance.mu.Unlock()
	return c.Conn.Close()
}
