package state

import (
	"crypto/rand"
	"maps"
	"os"
	"slices"

	"sensorgateway/wire"
)

// Open returns a state that has started with what the disk has, however long that
// takes.
func Open(o Options) *State {
	s := New(o)
	s.Load(o.Lock)
	s.Start()
	return s
}

// New returns a state that does not use the disk until [State.Load].
func New(o Options) *State {
	if o.NewEpoch == nil {
		o.NewEpoch = func(string, []uint32) {}
	}
	s := &State{opts: o, counters: counters{path: MemoryFile(o.Memory, o.Dir, o.Boot, "")}, epoch: rand.Text()}
	for _, c := range o.Sensors {
		s.reserve = append(s.reserve, uint32(max(reserveTime/c.Interval, reserveMin)))
	}
	s.used = make([]uint32, len(o.Sensors))
	s.begin(make([]uint32, len(o.Sensors)))
	return s
}

// begin sets the numbers of the first ticks. Nothing is reserved beyond them.
func (s *State) begin(first []uint32) {
	s.first, s.next, s.limit = first, slices.Clone(first), slices.Clone(first)
}

// Load reads the state, and reserves numbers for the sensors, for as long as the disk
// takes; lock is from [Claim]. It is called once, before Run. What it reads counts
// unless [State.Start] is called meanwhile. A damaged file is set aside; where nothing
// can be read or written, the epoch is a new one and the gateway runs all the same.
func (s *State) Load(lock *os.File) {
	s.opts.Lock = lock
	s.adopt(s.load())
	s.extend()
}

// adopt begins with the numbers of the file, unless the ticks have begun.
func (s *State) adopt(saved savedState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.others = maps.Clone(saved.Next)
	for _, c := range s.opts.Sensors {
		delete(s.others, c.Name)
	}
	if s.started {
		return
	}
	var counted []uint32 // after an unclean stop
	if saved.Reached != nil {
		if counted = s.counted(saved); counted == nil {
			s.opts.Log.Info("the last stop was unclean: sequence numbers that may have been used are skipped")
		}
	}
	s.epoch, s.skipped = saved.Epoch, saved.Reached != nil && counted == nil
	var first []uint32
	for i, c := range s.opts.Sensors {
		n := saved.Next[c.Name] // after an unclean stop, the end of a reservation
		if counted != nil {
			n = counted[i]
		}
		switch {
		case saved.Reached == nil:
			s.used[i] = n
		case s.skipped:
			s.used[i] = s.synced(i, saved.Reached[c.Name])
		default:
			s.used[i] = s.synced(i, n)
		}
		first = append(first, s.unused(saved.Epoch, uint16(i), n))
	}
	s.begin(first)
	if counted == nil {
		return
	}
	for i, c := range s.opts.Sensors { // what is left of the reservation can be used
		s.limit[i] = saved.Next[c.Name]
	}
	s.resume()
}

// resume goes on within a reservation that is on the disk, if there is one. s.mu is
// held.
func (s *State) resume() {
	for i := range s.limit {
		if !wire.Before(s.next[i], s.limit[i]) {
			return
		}
	}
	s.durable = true
	s.counters.begin(s.epoch, s.opts.Sensors)
	s.count()
}

// Start is called before the first tick. If the disk has not answered by now, the
// numbers go on from those in memory, which say what is reserved on the disk, or
// begin a new epoch: a number that is not reserved could be used again.
func (s *State) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
	if s.opts.Dir == "" || s.durable {
		return
	}
	if epoch, next, limit := s.counters.load(s.opts.Sensors); s.others == nil && next != nil {
		s.epoch = epoch
		for i, n := range next {
			s.used[i] = s.synced(i, n)
		}
		s.begin(next)
		s.limit = limit
		if s.resume(); s.durable {
			s.opts.Log.Warn("the disk has not answered yet: sequence numbers go on from those in memory", "state", s.opts.Dir)
			return
		}
	}
	s.beginEpoch() // a later run could read the file's, and use its numbers again
}

// synced returns the number of a sensor before which all records were synced, if the disk
// worked, when the program crashed and next was the next number.
func (s *State) synced(sensor int, next uint32) uint32 {
	return next - min(next, uint32(syncTime/s.opts.Sensors[sensor].Interval)+1)
}

// counted returns the next numbers of the last run from the file in memory, nil
// if there are none. Numbers below those that the state file has reached, or
// beyond those it reserves, are not of the last run.
func (s *State) counted(saved savedState) []uint32 {
	epoch, next, _ := s.counters.load(s.opts.Sensors)
	if epoch != saved.Epoch {
		return nil
	}
	for i, n := range next {
		name := s.opts.Sensors[i].Name
		if wire.Before(n, saved.Reached[name]) || wire.Before(saved.Next[name], n) {
			return nil
		}
	}
	return next
}

// unused returns first, or one more than the last number that the log has.
func (s *State) unused(epoch string, sensor uint16, first uint32) uint32 {
	if s.opts.Numbers == nil || s.opts.Numbers.Epoch() != epoch {
		return first
	}
	if last, ok := s.opts.Numbers.Last(sensor); ok && wire.Before(first, last+1) {
		return last + 1
	}
	return first
}
