package conn

import (
	"io"
	"os"
)

// pollsAtOnce is how often a client is read from before it is parked.
const pollsAtOnce = 16

// A Waiter is who waits for a parked client: see [Conn.Park].
type Waiter interface {
	// Pong counts an answer to one of our pings, and returns whether the client may
	// send as many.
	Pong() bool
	// Wake starts the goroutine that reads again. A lock of the connection may be held.
	Wake()
}

// Park ends the reading until there is something to read: meanwhile the client has
// no goroutine, nor a buffer. From then on w counts the pongs, which is all that most
// clients ever send. For anything else, and for the end of the connection or a
// deadline, it is woken, once; then [Conn.Reader] reads. Park returns false if the
// caller has to read at once, or must wait itself: see [Conn.Pongs].
func (c *Conn) Park(w Waiter) bool {
	s := &c.socket
	if c.Buffered() {
		return false
	}
	s.mu.Lock()
	if s.waiter == nil && s.fd >= 0 && s.budget.poller.add(s, s.fd) {
		s.waiter = w
	}
	polled := s.waiter != nil
	s.mu.Unlock()
	c.read = nil
	return polled && c.park()
}

// park takes pongs until there is nothing to read. Then the connection is parked,
// unless it ends or has a deadline, or there was something else to read: that is
// left to the next Read. The caller is the only one who reads. It may be the poller,
// for which others wait: so a client that sends pongs without end is not parked.
func (c *Conn) park() bool {
	var b [4 * pongSize]byte
	for range pollsAtOnce {
		n, parked := c.poll(b[:])
		switch got := b[:n]; {
		case parked: // somebody else may be reading by now
			return true
		case n == 0:
			return false
		case pongs(got):
			for ; len(got) > 0 && c.socket.waiter.Pong(); got = got[pongSize:] {
			}
			if len(got) == 0 {
				continue
			}
			fallthrough
		default:
			c.early = append(c.early, got...)
			return false
		}
	}
	return false
}

// poll reads what has come. If that is nothing yet, it parks the connection; if it can
// read no more, or others wait for a deadline, it returns 0 and false.
func (c *Conn) poll(b []byte) (n int, parked bool) {
	s := &c.socket
	if c.tls == nil {
		return s.poll(b)
	}
	s.mu.Lock()
	s.polling = !s.deadline
	may := s.polling
	s.mu.Unlock()
	if !may {
		return 0, false
	}
	n, err := c.tls.Read(b)
	if err == (notYet{}) {
		return 0, true
	}
	s.mu.Lock()
	s.polling = false
	s.mu.Unlock()
	return n, false
}

// notYet is the error that TLS gets when the connection that it reads from has been
// parked. TLS can go on after a temporary error.
type notYet struct{}

func (notYet) Error() string   { return "nothing has come yet" }
func (notYet) Timeout() bool   { return true }
func (notYet) Temporary() bool { return true }

// read is Read while TLS polls.
func (s *socket) read(b []byte) (int, error) {
	switch n, parked := s.poll(b); {
	case parked:
		return 0, notYet{}
	case n > 0:
		return n, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deadline && s.err == nil {
		return 0, os.ErrDeadlineExceeded // temporary too
	}
	return 0, io.EOF
}

// poll is [Conn.poll], below TLS.
func (s *socket) poll(b []byte) (n int, parked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd >= 0 && !s.deadline {
		n, s.parked = readNow(s.fd, b)
	}
	return n, s.parked
}

// readable is called when a client that was parked may have sent something.
func (s *socket) readable() {
	s.mu.Lock()
	parked := s.unpark()
	s.mu.Unlock()
	if parked && !s.conn.park() {
		s.waiter.Wake()
	}
}

// unpark lets the caller read, if the connection is parked. s.mu is held.
func (s *socket) unpark() (parked bool) {
	parked, s.parked = s.parked, false
	s.polling = s.polling && !parked
	return parked
}

// wake wakes the waiter if the connection is parked. s.mu is held.
func (s *socket) wake() {
	if s.unpark() {
		s.waiter.Wake()
	}
}

// hurry ends the parking for good: somebody has to wait for a deadline.
func (s *socket) hurry() {
	s.mu.Lock()
	s.deadline = true
	s.wake()
	s.mu.Unlock()
}
