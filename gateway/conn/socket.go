package conn

import (
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// queueLimit bounds what waits in our memory for one client, in bytes.
	queueLimit = 32 << 10
	// UnsentLimit is how many bytes may be unsent or unacknowledged: more is slow.
	UnsentLimit = 16 << 10
	// drainedLimit is how little of it must be left for a slow client to be quick
	// again. Were it more, old readings would always stand before its new ones.
	drainedLimit = 4 << 10
	// sendBuffer is what we ask the kernel to hold. By default it holds hundreds of
	// kilobytes, minutes of readings that nobody has seen.
	sendBuffer = 16 << 10
	// chunk is what the flusher gives to the kernel at a time, so that a client
	// that takes little is not mistaken for one that takes nothing.
	chunk = 4 << 10
)

var errQueueFull = errors.New("client takes too little: its queue is full")

// socket is the one owner of a client's connection, below TLS: every byte to the
// client passes it, and so does the end of the connection. Until it is upgraded
// it is the net.Conn that HTTP needs, and waits as one does. From then on no
// Write waits: what the kernel does not take is queued here, and a goroutine that
// lives only while something waits brings it after. (Below TLS, because a
// tls.Conn does not survive a write that was given up.)
//
// Because nobody else closes it, its descriptor can be written to under its lock
// without the runtime's account of who uses it.
type socket struct {
	mu       sync.Mutex
	room     int // bytes that may be offered before the kernel is asked what it holds; 0 while something waits and after the end
	fd       int // for writes that do not wait; -1 where there are none
	upgraded bool
	working  bool // inside the gate
	flusher  bool // runs
	moved    bool // it has got something out since the last look
	last     bool // nothing is written any more: half-close when all is out
	flying   int  // bytes of the queue that the flusher holds
	held     int  // bytes that were unacknowledged at the last look

	net.Conn
	conn     *Conn      // whose it is
	gate     gate       // until it is upgraded
	queue    []byte     // not yet taken by the kernel; empty unless flusher
	shorter  *sync.Cond // told when the queue gets shorter; nil unless somebody waits for it
	err      error      // what ended it
	flushing sync.WaitGroup
}

// upgrade ends the time of waiting.
func (s *socket) upgrade() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.Conn.SetDeadline(time.Time{}); err != nil { // the HTTP server's
		return err
	}
	if c, ok := s.Conn.(interface{ SetWriteBuffer(int) error }); ok {
		_ = c.SetWriteBuffer(sendBuffer) // a wish; what is promised does not depend on it
	}
	s.fd, s.upgraded = descriptor(s.Conn), true
	return nil
}

// Read reads from the client. Until the upgrade, what it leads to has to pass the
// gate.
func (s *socket) Read(p []byte) (int, error) {
	s.leave()
	n, err := s.Conn.Read(p)
	if n > 0 {
		s.enter()
	}
	return n, err
}

// offer writes p, unless the client is slow: then it takes nothing of it. What it
// takes the beginning of is completed.
func (s *socket) offer(p []byte) (taken bool) {
	s.mu.Lock()
	switch {
	case s.room < len(p) && !s.ask(len(p)):
	case s.fd < 0:
		s.wait(p)
		taken = true
	default:
		n := s.try(p)
		if taken = n > 0; taken && n < len(p) {
			s.wait(p[n:])
		}
	}
	s.mu.Unlock()
	return taken
}

// ready tells whether n bytes could be offered. Only their number may then keep
// the kernel from taking them.
func (s *socket) ready(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.room >= n || s.ask(n)
}

// ask asks the kernel how much it holds, which may leave room for n bytes. s.mu
// is held.
func (s *socket) ask(n int) bool {
	held := s.flying + len(s.queue)
	switch {
	case s.err != nil, s.flusher && s.fd >= 0:
		return false
	case s.fd >= 0:
		held = unsent(s.fd)
		s.room = UnsentLimit - held
	}
	return held == 0 || held+n <= UnsentLimit
}

// drained tells whether a slow client has taken what there was.
func (s *socket) drained() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err == nil && !s.flusher && (s.fd < 0 || unsent(s.fd) <= drainedLimit)
}

// onItsWay is how many bytes the client has not acknowledged.
func (s *socket) onItsWay() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.flying + len(s.queue)
	if s.fd >= 0 {
		n += unsent(s.fd)
	}
	return n
}

// queued tells whether something is queued that the kernel has not taken.
func (s *socket) queued() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flusher
}

// progress tells whether the client has taken something since the last look. (At
// 10 readings a second a kernel takes those of a client that is gone for minutes;
// what it holds tells.)
func (s *socket) progress() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, moved := s.held, s.moved
	s.held, s.moved = 0, false
	if s.fd >= 0 {
		s.held = unsent(s.fd)
	}
	return moved || s.held < before
}

// Write writes p, and fails only at the end of the connection, which too much
// that waits is.
func (s *socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	if !s.upgraded {
		s.mu.Unlock()
		s.leave()
		return s.Conn.Write(p)
	}
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	n := 0
	if !s.flusher && s.fd >= 0 {
		n = s.try(p)
	}
	if n < len(p) {
		s.wait(p[n:])
	}
	if s.err != nil {
		return 0, s.err
	}
	return len(p), nil
}

// try writes what the kernel takes now. s.mu is held, and there is a descriptor.
func (s *socket) try(p []byte) int {
	n, err := writeNow(s.fd, p)
	if err != nil {
		s.fail(err)
		return 0
	}
	s.room -= n
	return n
}

// wait queues what the kernel did not take. s.mu is held.
func (s *socket) wait(p []byte) {
	if s.err != nil {
		return
	}
	if s.flying+len(s.queue)+len(p) > queueLimit {
		s.fail(errQueueFull)
		return
	}
	s.queue = append(s.queue, p...)
	s.room = 0
	if !s.flusher {
		s.flusher = true
		s.flushing.Go(s.flush)
	}
}

// flush brings what waits to the kernel and ends when nothing does. It blocks as
// long as the client does not read; closing the connection ends it.
func (s *socket) flush() {
	var flying []byte
	for {
		s.mu.Lock()
		s.flying = 0
		if s.shorter != nil {
			s.shorter.Broadcast()
		}
		n := min(len(s.queue), chunk)
		if n == 0 || s.err != nil {
			s.queue, s.flusher = nil, false
			if s.last {
				s.halfClose()
			}
			s.mu.Unlock()
			return
		}
		flying = append(flying[:0], s.queue[:n]...)
		s.queue = s.queue[:copy(s.queue, s.queue[n:])]
		s.flying = n
		s.mu.Unlock()
		_, err := s.Conn.Write(flying)
		s.mu.Lock()
		s.moved = true
		if err != nil {
			s.fail(err)
		}
		s.mu.Unlock()
	}
}

// await waits until no more than n bytes wait.
func (s *socket) await(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shorter == nil {
		s.shorter = sync.NewCond(&s.mu)
	}
	for s.err == nil && s.flying+len(s.queue) > n {
		s.shorter.Wait()
	}
}

// CloseWrite shuts down the sending side after what is queued; what the client
// still sends can be read. (HTTP calls it too, before it hangs up on a client.)
func (s *socket) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last = true; !s.flusher {
		s.halfClose()
	}
	return nil
}

func (s *socket) halfClose() {
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite() // if it is gone, so much the better
	}
}

// fail ends the connection, and with it its reader and its flusher. s.mu is held.
func (s *socket) fail(err error) {
	if s.err == nil {
		s.err, s.room, s.fd = err, 0, -1
		_ = s.Conn.Close() // whatever it says, it is over
		if s.shorter != nil {
			s.shorter.Broadcast()
		}
	}
}

// Close ends the connection at once, whatever waits.
func (s *socket) Close() error {
	s.mu.Lock()
	s.fail(net.ErrClosed)
	s.mu.Unlock()
	s.leave()
	return nil
}

// SetDeadline and SetWriteDeadline leave writes alone that do not wait: a
// deadline that gorilla or TLS left behind would fail the flusher.
func (s *socket) SetDeadline(t time.Time) error {
	if err := s.SetWriteDeadline(t); err != nil {
		return err
	}
	return s.SetReadDeadline(t)
}

func (s *socket) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.upgraded {
		return nil
	}
	return s.Conn.SetWriteDeadline(t)
}
