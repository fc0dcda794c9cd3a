//go:build linux

// Package swarm is thousands of WebSocket clients for load tests. They share one
// goroutine and one epoll instance, so that they use little of the machine in
// comparison with the server that is measured.
//
// It knows as much of the protocol as is needed to prove that every client got
// every tick. It refuses to know which server it talks to, and how readings are
// made.
package swarm

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const (
	// dialers is how many clients connect at a time; each of them holds a thread.
	dialers = 8
	// readBuffer is what is read from a client at a time, in bytes.
	readBuffer = 64 << 10
	events     = 512 // taken from epoll at a time
	// nap is how long the clients sleep when there is nothing to read. If each frame
	// woke them, the kernel would count that as CPU time of the server.
	nap = time.Millisecond
)

// Options say which clients to make.
type Options struct {
	Addr     string // IPv4 address and port
	Protocol string // readings.v1 or readings.v2
	Clients  int
	Readings int  // in a tick; 1 with readings.v1
	Stalled  bool // never read, and ask for more than the kernel buffers for them
	// Age tells how long ago the time in a reading was. Nil: it is a number of
	// [Monotonic].
	Age func(stamp int64) time.Duration
}

// A Swarm is connected clients. One goroutine uses it.
type Swarm struct {
	opts    Options
	epoll   int
	clients []client
	ticks   Ticks // not yet returned by Read
	buf     []byte
}

// client is one connection.
type client struct {
	fd   int
	rest []byte // the beginning of an incomplete frame
	last int64  // the stamp of its newest tick
}

// Dial connects the clients. They are upgraded when it returns; only their first tick
// shows that the server has subscribed them.
func Dial(o Options) (*Swarm, error) {
	if o.Age == nil {
		o.Age = func(stamp int64) time.Duration { return time.Duration(Monotonic() - stamp) }
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	s := &Swarm{opts: o, epoll: epoll, clients: make([]client, o.Clients), buf: make([]byte, readBuffer)}
	for i := range s.clients {
		s.clients[i].fd = -1
	}
	var g errgroup.Group
	g.SetLimit(dialers)
	for i := range s.clients {
		g.Go(func() error { return s.connect(i) })
	}
	if err := g.Wait(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// connect makes the i-th client.
func (s *Swarm) connect(i int) (err error) {
	c := &s.clients[i]
	if c.fd, c.rest, err = dial(s.opts); err != nil {
		return fmt.Errorf("client %d of %d: %w", i+1, s.opts.Clients, err)
	}
	if s.opts.Stalled {
		return nil
	}
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
	if err := unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, c.fd, &e); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

// Read lets the clients read until n ticks have come to all of them, and returns
// these and all earlier ones, in order. After the given time it returns, without an
// error, the ticks that came to any client: each has how many clients got it.
func (s *Swarm) Read(n int, within time.Duration) (Ticks, error) {
	var ready [events]unix.EpollEvent
	for end := time.Now().Add(within); s.ticks.complete(s.opts.Clients) < n && time.Now().Before(end); {
		k, err := unix.EpollWait(s.epoll, ready[:], 0)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("epoll: %w", err)
		}
		for _, e := range ready[:max(k, 0)] {
			if err := s.read(&s.clients[e.Fd]); err != nil {
				return nil, fmt.Errorf("client %d of %d: %w", e.Fd+1, s.opts.Clients, err)
			}
		}
		if k < events {
			time.Sleep(nap)
		}
	}
	seen := s.ticks
	if whole := seen.whole(s.opts.Clients); seen.complete(s.opts.Clients) >= n {
		seen = seen[:whole]
	}
	s.ticks = slices.Clone(s.ticks[len(seen):])
	return seen, nil
}

// read reads what has arrived for a client, and what came together with its upgrade.
func (s *Swarm) read(c *client) error {
	n, err := unix.Read(c.fd, s.buf)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return nil
	}
	b := s.buf[:max(n, 0)]
	if len(c.rest) > 0 {
		c.rest = append(c.rest, b...)
		b = c.rest
	}
	for {
		op, payload, size := frame(b)
		if size == 0 {
			break
		}
		if err := s.message(c, op, payload); err != nil {
			return err
		}
		b = b[size:]
	}
	c.rest = append(c.rest[:0], b...)
	switch {
	case err != nil:
		return fmt.Errorf("read: %w", err)
	case n == 0:
		return errors.New("the server hung up")
	}
	return nil
}

// message takes one frame of a client.
func (s *Swarm) message(c *client, op byte, payload []byte) error {
	switch op {
	case opBinary:
		stamp, err := stampOf(payload, s.opts.Readings)
		if err != nil {
			return err
		}
		if stamp <= c.last {
			return fmt.Errorf("a tick of %d after one of %d", stamp, c.last)
		}
		c.last = stamp
		s.ticks.arrived(stamp, s.opts.Age(stamp))
	case opPing:
		if _, err := unix.Write(c.fd, masked(opPong, payload)); err != nil {
			return fmt.Errorf("pong: %w", err)
		}
	case opClose:
		return fmt.Errorf("closed by the server: %q", payload)
	}
	return nil // text: hello, or a message that nobody waits for
}

// Leave does the closing handshake (RFC 6455, section 7.1), and closes.
func (s *Swarm) Leave() error {
	defer s.Close()
	for i, c := range s.clients {
		if err := leave(c.fd, s.buf); err != nil {
			return fmt.Errorf("client %d of %d: leave: %w", i+1, s.opts.Clients, err)
		}
	}
	return nil
}

// Close cuts all connections at once.
func (s *Swarm) Close() {
	for i := range s.clients {
		if fd := s.clients[i].fd; fd >= 0 {
			_ = unix.Close(fd) // nothing is written any more
		}
	}
	s.clients = nil
	if s.epoll >= 0 {
		_ = unix.Close(s.epoll)
		s.epoll = -1
	}
}

// Monotonic returns the time in nanoseconds on a clock that all processes of a
// machine share.
func Monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // Linux has this clock
	}
	return t.Nano()
}
