package conn

import "time"

const (
	// How many bytes of a replay may be on their way, unsent or unacknowledged: what is
	// live waits behind them. 1,600 bytes are 200 ms at 64 kbit/s; with the upper bound
	// the client is not slow (see UnsentLimit).
	minOnItsWay = 1600
	maxOnItsWay = 12 << 10
	// How many batches of it may be on their way: a receiver acknowledges every second
	// segment at once, and a single one only after a while.
	batches = 2
	// What is sent takes longer than the shortest round trip when the network queues it.
	// Below fewMore more is sent, above tooLong less. (A receiver may take 40 ms to
	// acknowledge.)
	fewMore = 60 * time.Millisecond
	tooLong = 150 * time.Millisecond
)

// A Pace decides how much of a replay is sent ahead of what is live. What is in the
// kernel cannot be overtaken, so little of it may be there: how little follows from
// the delay that it causes, as in TCP Vegas.
type Pace struct {
	limit int // bytes on their way

	// A measurement of how long it takes until what is on its way is acknowledged.
	timed  bool // one is under way
	since  time.Time
	target uint64 // it ends when so many bytes are acknowledged in all
}

// Ready reports whether another batch may be sent on the connection.
func (p *Pace) Ready(c *Conn) bool {
	s := &c.socket
	p.limit = max(p.limit, minOnItsWay)
	held := s.onItsWay()
	acked, best, known := s.acknowledged()
	if known && p.timed && acked >= p.target {
		p.gauge(time.Since(p.since) - best)
	}
	if held+p.Batch() <= p.limit {
		return true
	}
	if known && !p.timed { // as much is on its way as is allowed
		p.timed, p.since, p.target = true, time.Now(), acked+uint64(held)
	}
	return false
}

// gauge ends a measurement with the delay beyond the shortest round trip so far.
func (p *Pace) gauge(delay time.Duration) {
	p.timed = false
	switch {
	case delay > tooLong:
		p.limit = max(p.limit/2, minOnItsWay)
	case delay < fewMore:
		p.limit = min(p.limit+minOnItsWay/batches, maxOnItsWay)
	}
}

// Batch is how many bytes to send at once.
func (p *Pace) Batch() int { return p.limit / batches }
