package client

import "sensorgateway/wire"

// sequences are the last sequence numbers of each sensor, by name because a
// sensor's number in hello is of one connection only. They are kept from one
// connection to the next, as long as the server's epoch is the same.
type sequences struct {
	epoch string
	last  map[string]uint32
}

// begin starts a connection.
func (s *sequences) begin(epoch string) {
	if s.last == nil || epoch != s.epoch {
		s.epoch, s.last = epoch, map[string]uint32{}
	}
}

// see takes the next record of a sensor and returns how many numbers are missing
// before it. Replayed records fill earlier gaps and leave no new ones.
func (s *sequences) see(name string, r wire.Record) (missed uint32) {
	last, known := s.last[name]
	step := r.Seq - last // modulo 2^32, as the numbers themselves
	switch {
	case r.Flags&wire.Historical != 0 || known && (step == 0 || step >= 1<<31):
		return 0 // from the past, or a second time
	case known:
		missed = step - 1
	}
	s.last[name] = r.Seq
	return missed
}
