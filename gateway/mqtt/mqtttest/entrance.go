package mqtttest

import (
	"net"
	"sync"
	"sync/atomic"
)

// entrance is a listener that knows which connections the broker has not begun to read: a
// broker that ends waits only for those that it reads, and races with the others. It
// disconnects only clients that have sent CONNECT; the others, for which it would wait long,
// are closed with the listener.
//
// It lets the broker handle what comes from one connection at a time, because mochi 2.7.9
// takes a read lock twice, one inside the other, on what is under way to a client
// (Inflight.NextImmediate): a writer that comes between the two waits for ever, and so does
// the client.
type entrance struct {
	net.Listener
	unread   sync.WaitGroup
	handling sync.Mutex // held from a read of a connection to the next one

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
	handling atomic.Bool // it holds the entrance's lock
	closed   atomic.Bool // maybe by another connection, which takes the place of its client
}

func (c *entering) Read(b []byte) (int, error) {
	c.begin()
	c.handled()
	n, err := c.Conn.Read(b)
	if err != nil {
		return n, err
	}
	c.entrance.handling.Lock()
	c.handling.Store(true)
	if c.closed.Load() { // Close, which releases the lock, may not be called again
		c.handled()
		return 0, net.ErrClosed
	}
	return n, nil
}

// handled says that what was read has been handled, or never will be.
func (c *entering) handled() {
	if c.handling.Swap(false) {
		c.entrance.handling.Unlock()
	}
}

func (c *entering) Close() error {
	c.begin() // if it was never read
	c.entrance.mu.Lock()
	delete(c.entrance.inside, c)
	c.entrance.mu.Unlock()
	c.closed.Store(true)
	c.handled()
	return c.Conn.Close()
}
