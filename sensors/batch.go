package sensors

import (
	"slices"
	"time"

	"sensorgateway/wire"
)

// batch is the message of one tick of all sensors that are due at one deadline.
type batch struct {
	deadline time.Duration
	offset   time.Duration // turns the boot clock's time into Unix time
	flags    wire.Flags
	pending  int // chips whose records are not in yet
	records  []wire.Record
}

// batchOf returns the message of a deadline.
func (s *Sampler) batchOf(deadline, offset time.Duration, flags wire.Flags) *batch {
	for _, b := range s.open {
		if b.deadline == deadline {
			return b
		}
	}
	var b *batch
	if n := len(s.free); n > 0 {
		b, s.free = s.free[n-1], s.free[:n-1]
	} else {
		b = &batch{records: make([]wire.Record, 0, s.sensors)}
	}
	b.deadline, b.offset, b.flags = deadline, offset, flags
	s.open = append(s.open, b)
	return b
}

// close sends the messages that are complete or have waited long enough, and the stragglers
// of messages that were sent before.
func (s *Sampler) close(now time.Duration) {
	open := s.open[:0]
	for _, b := range s.open {
		if b.pending == 0 || now-b.deadline >= closeAfter {
			s.send(b)
		}
		if b.pending > 0 {
			open = append(open, b)
		} else {
			s.free = append(s.free, b)
		}
	}
	s.open = open
}

// send publishes those records of a message that are in. A stable sort is as quick for so few,
// and a third of the code of the other.
func (s *Sampler) send(b *batch) {
	if len(b.records) == 0 {
		return
	}
	slices.SortStableFunc(b.records, func(x, y wire.Record) int { return int(x.Sensor) - int(y.Sensor) })
	s.publish(b.records, milliseconds(b.offset))
	b.records = b.records[:0]
}
