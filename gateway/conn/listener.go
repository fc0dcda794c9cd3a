package conn

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	// When a connection could not be accepted for lack of descriptors or memory, the
	// next try is after a pause, which doubles up to longestPause.
	shortestPause = 5 * time.Millisecond
	longestPause  = time.Second
	// exhaustedFor is how long the lack is reported after it was last seen.
	exhaustedFor = 5 * time.Second
	// requestTime is how long a connection may take for its request while descriptors
	// are lacking. (Accepting then fails even if nobody waits to be accepted. So a
	// failure alone is no reason to close one that has just come.)
	requestTime = time.Second
)

// listener makes each of its connections the socket of a Conn.
type listener struct {
	net.Listener
	budget *Budget
	once   sync.Once
	closed chan struct{}
}

// Listen returns a listener whose connections [Upgrade] takes, once HTTP has
// read a request from them.
func (b *Budget) Listen(l net.Listener) net.Listener {
	return &listener{Listener: l, budget: b, closed: make(chan struct{})}
}

// Accept tries again until there are descriptors and memory: for lack of memory
// net/http would end the server, and for lack of descriptors it would say nothing.
func (l *listener) Accept() (net.Conn, error) {
	pause := shortestPause
	for {
		c, err := l.Listener.Accept()
		switch {
		case err == nil:
			o := new(Conn)
			o.socket.Conn, o.socket.conn, o.socket.budget = c, o, l.budget
			if l.budget.admit(&o.socket) {
				return &o.socket, nil
			}
			continue
		case !exhausted(err):
			return nil, err
		}
		l.budget.exhausted(err, l.Addr())
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-l.closed:
			timer.Stop()
			return nil, net.ErrClosed
		}
		pause = min(2*pause, longestPause)
	}
}

// Close ends the listening.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// exhausted reports whether a connection was not accepted for lack of descriptors or memory.
func exhausted(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// exhausted notes that a connection could not be accepted, and closes one that waits
// for its client: its descriptor may be the one that is lacking.
func (b *Budget) exhausted(err error, at net.Addr) {
	b.mu.Lock()
	b.failed, b.why = time.Now(), err
	evicted := b.evict(func(s *socket) bool { return b.failed.Sub(s.seat.since) >= requestTime })
	b.mu.Unlock()
	why := fmt.Sprintf("accept: %v; fix: fewer clients, or a higher LimitNOFILE in the unit, or ulimit -n", err)
	if evicted != nil {
		b.end(evicted, ReasonDescriptors, why)
		return
	}
	b.limits.Refused(ReasonDescriptors, "unknown, at "+at.String(), why)
}

// Exhausted returns why connections cannot be accepted, nil if they can.
func (b *Budget) Exhausted() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.why == nil || time.Since(b.failed) >= exhaustedFor {
		return nil
	}
	return fmt.Errorf("new clients cannot be accepted: %w", b.why)
}
