package conn

import "time"

const (
	// What a replay may have on its way, unsent or unacknowledged, in bytes: what is
	// live waits behind it. 1,600 bytes are 200 ms at 64 kbit/s; the upper bound
	// leaves a client that takes it quick (protocol.md, section 5: 16 KiB).
	minOnItsWay = 1600
	maxOnItsWay = 12 << 10
	// It is sent in batches, so many of which may be on their way: a receiver
	// acknowledges every second segment at once, and a single one only after a while.
	batches = 2
	// The network queues what it cannot carry, and what is sent takes longer than it
	// does at best: by so much, more is sent, and by so much, less. (A receiver may
	// take 40 ms to acknowledge.)
	fewMore = 60 * time.Millisecond
	tooLong = 150 * time.Millisecond
)

// A Pace decides how much of the past is sent ahead of what is live. What is in
// the kernel cannot be overtaken, so little of it may lie there; how little is
// decided by the delay that it makes, as TCP Vegas does.
type Pace struct {
	limit int // bytes on their way

	// How long it takes what was on its way when that was as much as may be: one
	// measurement a round trip.
	timed  bool
	since  time.Time
	target uint64 // bytes acknowledged by when it is over
}

// Ready tells whether another batch may be sent on the connection.
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
	if known && !p.timed { // as much is on its way as may be
		p.timed, p.since, p.target = true, time.Now(), acked+uint64(held)
	}
	return false
}

// gauge ends a measurement: what was on its way took so much longer than the
// shortest round trip that there was.
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
