package conn

import (
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// queueLimit is how many bytes may be queued for one client.
	queueLimit = 32 << 10
	// UnsentLimit is how many bytes may be unsent or unacknowledged. A client with more
	// is slow.
	UnsentLimit = 16 << 10
	// drainedLimit is how few of them must be left for a slow client to be quick again.
	// With a higher limit, old readings would always be ahead of its new ones.
	drainedLimit = 4 << 10
	// sendBuffer is the size of the kernel's send buffer. The default is hundreds of
	// kilobytes: minutes of readings that are on their way to nobody.
	sendBuffer = 16 << 10
	// chunk is how many bytes the flusher writes at a time, so that a client that takes
	// little is not mistaken for one that takes nothing.
	chunk = 4 << 10
)

var errQueueFull = errors.New("client takes too little: its queue is full")

// socket owns a client's connection, below TLS: it alone writes to it and closes
// it. Until the upgrade it is the net.Conn that HTTP needs, whose writes wait. From
// then on no Write waits: what the kernel does not take is queued here and written
// by a goroutine, the flusher, which lives only while something is queued. (Below
// TLS, because a tls.Conn cannot be used after a write that timed out.)
//
// Because nobody else closes it, its descriptor can be written to under its lock
// without the runtime's reference count.
type socket struct {
	mu       sync.Mutex
	room     int // bytes that may be offered before the kernel is asked what it holds; 0 while something is queued and after the end
	fd       int // for writes that do not wait; -1 where there are none
	upgraded bool
	working  bool // inside the gate
	flusher  bool // runs
	parked   bool // nobody reads: the poller waits for the client
	deadline bool // there is one for the reading: it is parked no more
	polling  bool // TLS reads what has come, and then it is parked
	moved    bool // the flusher has written something since the last call of progress
	flying   int  // bytes of the queue that the flusher is writing
	held     int  // bytes that were unacknowledged at the last call of progress

	net.Conn
	waiter   Waiter // nil: never parked
	conn     *Conn  // that it belongs to
	budget   *Budget
	seat     *seat      // until it is upgraded
	queue    []byte     // not yet taken by the kernel; empty unless flusher
	shorter  *sync.Cond // that the queue has got shorter; nil unless somebody waits for it
	err      error      // what ended it
	flushing sync.WaitGroup
}

// upgrade makes all further writes return at once.
func (s *socket) upgrade() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.Conn.SetDeadline(time.Time{}); err != nil { // the HTTP server's
		return err
	}
	if c, ok := s.Conn.(interface{ SetWriteBuffer(int) error }); ok {
		_ = c.SetWriteBuffer(sendBuffer) // an optimisation: nothing depends on it
	}
	s.fd, s.upgraded = descriptor(s.Conn), true
	s.budget.release(s)
	return nil
}

// Read reads from the client. Until the upgrade, what it has read is handled inside the
// gate.
func (s *socket) Read(p []byte) (int, error) {
	if upgraded, polling := s.leave(); polling {
		return s.read(p)
	} else if upgraded { // TLS reads through here
		return s.Conn.Read(p)
	}
	s.budget.waits(s, true)
	n, err := s.Conn.Read(p)
	s.budget.waits(s, false)
	if n > 0 {
		s.enter()
	}
	return n, err
}

// offer writes p, unless the client is slow: then it writes nothing of it. If the
// kernel takes only the beginning, the rest is queued.
func (s *socket) offer(p []byte) (taken bool) {
	s.mu.Lock()
	switch {
	case s.room < len(p) && !s.ask(len(p)):
	case s.fd < 0:
		s.enqueue(p)
		taken = true
	default:
		n := s.try(p)
		if taken = n > 0; taken && n < len(p) {
			s.enqueue(p[n:])
		}
	}
	s.mu.Unlock()
	return taken
}

// ready reports whether n bytes can be offered. If the kernel does not take them all,
// the rest is queued.
func (s *socket) ready(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.room >= n || s.ask(n)
}

// ask asks the kernel how much it holds, and reports whether n bytes may be offered
// beyond that. s.mu is held.
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

// drained reports whether a slow client has taken nearly all that was sent.
func (s *socket) drained() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err == nil && !s.flusher && (s.fd < 0 || unsent(s.fd) <= drainedLimit)
}

// onItsWay is how many bytes were sent or queued that the client has not acknowledged.
func (s *socket) onItsWay() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.flying + len(s.queue)
	if s.fd >= 0 {
		n += unsent(s.fd)
	}
	return n
}

// queued reports whether something is queued that the kernel has not taken.
func (s *socket) queued() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flusher
}

// progress reports whether the client has taken something since the last call. (What
// the kernel has taken proves nothing: at 10 readings a second it goes on taking them
// for minutes after a client has stopped answering.)
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

// Write writes p. It fails only if the connection has ended, which a full queue
// makes it do.
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
		s.enqueue(p[n:])
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

// enqueue queues what the kernel did not take. s.mu is held.
func (s *socket) enqueue(p []byte) {
	if s.err != nil {
		return
	}
	if !s.budget.queue(s.flying+len(s.queue), len(p)) {
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

// flush writes the queue and ends when that is empty. It blocks as long as the
// client does not read; closing the connection ends it.
func (s *socket) flush() {
	var flying []byte
	for {
		s.mu.Lock()
		s.budget.dequeue(s.flying)
		s.flying = 0
		if s.shorter != nil {
			s.shorter.Broadcast()
		}
		n := min(len(s.queue), chunk)
		if n == 0 || s.err != nil {
			s.budget.dequeue(len(s.queue))
			s.queue, s.flusher = nil, false
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

// await waits until no more than n bytes are queued.
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

// CloseWrite shuts down the sending side; what the client still sends can be read. HTTP
// calls it before it closes the connection: from then on the budget may close it.
func (s *socket) CloseWrite() error {
	s.budget.leaving(s)
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// fail ends the connection, and with it its reader and its flusher. s.mu is held.
func (s *socket) fail(err error) {
	if s.err == nil {
		if s.waiter != nil {
			s.budget.poller.remove(s.fd)
		}
		s.err, s.room, s.fd = err, 0, -1
		_ = s.Conn.Close() // nothing could be done about an error
		s.wake()
		if s.shorter != nil {
			s.shorter.Broadcast()
		}
	}
}

// overrun ends the connection because too much is queued.
func (s *socket) overrun() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail(errQueueFull)
}

// ended returns what ended the connection, nil while it lasts.
func (s *socket) ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the connection at once, whatever is queued.
func (s *socket) Close() error {
	s.mu.Lock()
	s.fail(net.ErrClosed)
	s.mu.Unlock()
	s.leave()
	s.budget.release(s)
	return nil
}

// SetDeadline and SetWriteDeadline change nothing for writes after the upgrade: a
// deadline that gorilla or TLS set would make the flusher fail.
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
