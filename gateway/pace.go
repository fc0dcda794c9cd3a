package gateway

import (
	"time"

	"sensorgateway/wire"
)

const (
	// What a replay may have on its way, unsent or unacknowledged, in bytes: what is
	// live waits behind it. 2,400 bytes are 300 ms at 64 kbit/s; the upper bound
	// leaves a client that takes it quick (protocol.md, section 5: 16 KiB).
	minOnItsWay = 2400
	maxOnItsWay = 12 << 10
	// A part of it is sent at a time: a receiver acknowledges every second segment
	// at once, and a single one only after a while.
	parts = 2
	// The network queues what it cannot carry, and the round trip gets longer than
	// it is at best: by so much, more is sent, and by so much less.
	fewMore  = 40 * time.Millisecond
	tooLong  = 120 * time.Millisecond
	regauged = 20 * time.Millisecond
)

// pace decides how much of the past is sent ahead of what is live. What is in
// the kernel cannot be overtaken, so little of it may lie there; how little is
// decided by the delay that it makes, as TCP Vegas does.
type pace struct {
	limit int  // bytes on their way
	full  bool // more would have been sent
	asked time.Time
}

// ready tells whether another part may be sent.
func (p *pace) ready(s *socket) bool {
	p.limit = max(p.limit, minOnItsWay)
	if s.onItsWay()+p.limit/parts > p.limit {
		p.full = true
	}
	if now := time.Now(); p.full && now.Sub(p.asked) >= regauged {
		p.asked = now
		switch delay, ok := s.queueing(); {
		case !ok:
		case delay > tooLong:
			p.limit = max(p.limit/2, minOnItsWay)
		case delay < fewMore:
			p.limit = min(p.limit+minOnItsWay/parts, maxOnItsWay)
		}
		p.full = false
	}
	return s.onItsWay()+p.limit/parts <= p.limit
}

// records is how many go into a part.
func (p *pace) records(protocol string) int {
	size := wire.RecordSize
	if protocol == wire.ReadingsJSON {
		size = 160 // about
	}
	return p.limit / parts / size
}
