package conn

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
	if c.More() {
		return false
	}
	s.mu.Lock()
	if s.waiter == nil && s.fd >= 0 && s.budget.poller.add(s, s.fd) {
		s.waiter = w
	}
	polled := s.waiter != nil
	s.mu.Unlock()
	c.read = nil
	return polled && s.park()
}

// park takes pongs until there is nothing to read. Then the connection is parked,
// unless it ends or has a deadline, or there was something else to read: that is
// left to the next Read. The caller is the only one who reads.
func (s *socket) park() bool {
	var b [4 * pongSize]byte
	for {
		n := 0
		s.mu.Lock()
		if s.fd >= 0 && !s.deadline {
			n, s.parked = readNow(s.fd, b[:])
		}
		parked := s.parked
		s.mu.Unlock()
		switch got := b[:n]; {
		case parked:
			return true
		case n == 0:
			return false
		case pongs(got):
			for ; len(got) > 0 && s.waiter.Pong(); got = got[pongSize:] {
			}
			if len(got) == 0 {
				continue
			}
			fallthrough
		default:
			s.conn.early = append(s.conn.early, got...)
			return false
		}
	}
}

// readable is called when a client that was parked may have sent something.
func (s *socket) readable() {
	s.mu.Lock()
	parked := s.parked
	s.parked = false
	s.mu.Unlock()
	if parked && !s.park() {
		s.waiter.Wake()
	}
}

// wake wakes the waiter if the connection is parked. s.mu is held.
func (s *socket) wake() {
	if s.parked {
		s.parked = false
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
