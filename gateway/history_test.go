package gateway

import (
	"io"
	"sync"

	"sensorgateway/gateway/api"
	"sensorgateway/wire"
)

// fakeHistory is a history in memory, which can lose records.
type fakeHistory struct {
	api.History // which nobody here queries
	mu          sync.Mutex
	records     map[uint16][]wire.Record
	lost        map[uint16]uint32 // the highest number that is lost
	fail        error             // of reading
}

func newFakeHistory() *fakeHistory {
	return &fakeHistory{records: map[uint16][]wire.Record{}, lost: map[uint16]uint32{}}
}

func (s *fakeHistory) options(o *Options) { o.History = s }

func (s *fakeHistory) keep(records []wire.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range records {
		s.records[r.Sensor] = append(s.records[r.Sensor], r)
	}
}

// lose forgets numbers of a sensor.
func (s *fakeHistory) lose(sensor uint16, from, to uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var kept []wire.Record
	for _, r := range s.records[sensor] {
		if r.Seq < from || r.Seq > to {
			kept = append(kept, r)
		}
	}
	s.records[sensor], s.lost[sensor] = kept, to
}

func (s *fakeHistory) Kept(sensor uint16, after uint32) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(after, s.lost[sensor]) + 1
}

func (s *fakeHistory) Oldest(sensor uint16) (uint32, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if all := s.records[sensor]; len(all) > 0 {
		return all[0].Seq, true
	}
	return 0, false
}

func (s *fakeHistory) read(sensor uint16, want func(wire.Record) bool) func() ([]wire.Record, error) {
	n := 0
	return func() (batch []wire.Record, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.fail != nil {
			return nil, s.fail
		}
		all := s.records[sensor]
		for ; n < len(all) && len(batch) < 100; n++ {
			if r := all[n]; want(r) {
				r.Flags |= wire.Historical
				batch = append(batch, r)
			}
		}
		if len(batch) == 0 {
			err = io.EOF
		}
		return batch, err
	}
}

func (s *fakeHistory) Since(sensor uint16, after uint32) func() ([]wire.Record, error) {
	return s.read(sensor, func(r wire.Record) bool { return wire.Before(after, r.Seq) })
}

// Follow marks blocks of a hundred records.
func (s *fakeHistory) Follow(sensor uint16, from, mark int64, after uint32) func() ([]wire.Record, int64, error) {
	n := max(int(mark)-1, 0) * 100
	return func() (batch []wire.Record, at int64, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.fail != nil {
			return nil, 0, s.fail
		}
		for all := s.records[sensor]; n < len(all) && (len(batch) == 0 || n%100 > 0); n++ {
			at = int64(n)/100 + 1
			if r := all[n]; r.UnixMilli >= from && (at != mark || wire.Before(after, r.Seq)) {
				r.Flags |= wire.Historical
				batch = append(batch, r)
			}
		}
		if len(batch) == 0 {
			err = io.EOF
		}
		return batch, at, err
	}
}
