// Package state is what survives a restart and is no reading: the epoch, the next
// sequence number of each sensor, and an e-stop that is latched.
//
// Of a sensor it knows the name and the interval. It refuses to know chips, the
// configuration, clients, and how readings are stored.
package state

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"sensorgateway/cmd/gateway/internal/notify"
	"sensorgateway/wire"
)

const (
	// Sequence numbers are reserved on the disk for so long a time of ticks before
	// they are used: none is ever used twice, and an SD card sees a write every few
	// minutes instead of one a tick. What is left of a reservation after an unclean
	// stop is skipped, unless the [counters] are still there.
	reserveTime = 10 * time.Minute
	reserveMin  = 64
	checkEvery  = time.Minute
	// syncTime is how long a record may stay unsynced before that is reported.
	syncTime = 2 * time.Second
)

// State is the epoch, and the next sequence number of each sensor by its name.
// Without a directory it is in memory only.
//
// One goroutine writes to the disk ([State.Run]), and never under the lock, for
// the ticks pass through here.
type State struct {
	notify.Nop
	opts    Options
	reserve []uint32 // how many numbers a reservation has, by sensor

	mu       sync.Mutex
	started  bool
	others   map[string]uint32 // next numbers of sensors that are not configured now; nil: not read yet
	first    []uint32          // of the first tick, by sensor
	used     []uint32          // numbers before these were used by earlier runs, and synced, by sensor
	skipped  bool              // some of these were skipped and not used
	epoch    string
	durable  bool     // the file has this epoch; else no limit holds, for nobody can continue it
	next     []uint32 // one more than the last one used
	limit    []uint32 // the first that must not be used yet
	failed   bool     // the last write; a failure is logged once
	counters counters // next, in a file in memory, while the epoch is durable
}

// Options is what a State is opened with.
type Options struct {
	Dir     string   // "" is memory
	Lock    *os.File // from [Claim], for [Open]; the State closes it
	Sensors []Sensor
	Numbers Numbers // nil if there is no log of readings
	Memory  string  // directory of files in memory, as [MemoryDir] returns it; "" if there is none
	Boot    string  // names the time since the machine started; "" if it is not known
	// NewEpoch is called when a new epoch has begun, with the numbers that come
	// first in it, by sensor. It is called in a tick: it must not wait. Nil: nobody
	// needs to know.
	NewEpoch func(epoch string, next []uint32)
	Log      *slog.Logger
}

// Sensor is a sensor whose numbers are continued by its name.
type Sensor struct {
	Name     string
	Interval time.Duration
}

// Numbers is what the log of readings knows of the numbers that were used.
type Numbers interface {
	// Epoch is that of the newest record, "" if there is none.
	Epoch() string
	// Last returns the newest number of a sensor in that epoch.
	Last(sensor uint16) (seq uint32, ok bool)
}

// Claim makes dir and locks it against other gateways, until the State is closed
// or the process ends. It fails only if another gateway uses it. The log of
// readings may be opened after that, and [Open] called then.
func Claim(dir string) (*os.File, error) {
	if dir == "" || os.MkdirAll(dir, 0o750) != nil { // a write will report it
		return nil, nil
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("state in %s: %w; fix: stop the other gateway, or give this one another --state", dir, err)
	}
	return lock, nil
}

// Epoch returns the epoch that runs.
func (s *State) Epoch() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// First returns the number of the first tick, by sensor.
func (s *State) First() []uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.first)
}

// Used returns the numbers before which all were used by earlier runs, by sensor, long
// enough before their end to be on the disk. After a crash, more may have been used; after
// a power cut, some of them may have been skipped.
func (s *State) Used() (next []uint32, skipped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.used), s.skipped
}

// Tick makes sure that the records' numbers are reserved: it is called before
// anybody else has them. If they leap beyond that, as after a pause of the whole
// machine, it begins a new epoch: a tick does not wait for a disk.
func (s *State) Tick(records []wire.Record, _ int64) {
	s.mu.Lock()
	leap := !s.started // the start was interrupted before the numbers were settled
	s.started = true
	for _, r := range records {
		leap = leap || s.durable && wire.Before(s.limit[r.Sensor], r.Seq+1)
	}
	var next []uint32
	if leap {
		s.beginEpoch()
		next = slices.Clone(s.next)
	}
	for _, r := range records {
		if wire.Before(s.next[r.Sensor], r.Seq+1) {
			s.next[r.Sensor] = r.Seq + 1
		}
		if leap {
			next[r.Sensor] = r.Seq
		}
	}
	s.count()
	epoch := s.epoch
	s.mu.Unlock()
	if leap {
		s.opts.NewEpoch(epoch, next)
	}
}

// count writes the numbers to the file in memory, if they are of an epoch that
// another process can continue. s.mu is held.
func (s *State) count() {
	if !s.durable {
		return
	}
	if err := s.counters.put(s.next, s.limit); err != nil {
		s.opts.Log.Warn("sequence numbers cannot be written to memory: after a crash some will be skipped", "err", err)
	}
}

// Run extends the reservation in time until ctx ends.
func (s *State) Run(ctx context.Context) error {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		s.renew()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// renew extends reservations that are half used. If it cannot, it begins a new epoch
// before a number is used that is not reserved: a later run could use that again.
func (s *State) renew() {
	if s.opts.Dir == "" || !s.runsOut(2) {
		return
	}
	s.extend()
	if !s.runsOut(4) {
		return
	}
	s.mu.Lock()
	durable := s.durable
	if durable {
		s.beginEpoch()
	}
	epoch, next := s.epoch, slices.Clone(s.next)
	s.mu.Unlock()
	if durable {
		s.opts.NewEpoch(epoch, next)
	}
}

// runsOut reports whether less than one nth of a reservation is left, or the
// epoch is not on the disk at all.
func (s *State) runsOut(n uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.limit {
		if !s.durable || wire.Before(s.limit[i], s.next[i]+s.reserve[i]/n) {
			return true
		}
	}
	return false
}

// beginEpoch begins a new epoch, in memory until it can be written. s.mu is held.
func (s *State) beginEpoch() {
	s.epoch, s.durable = rand.Text(), false
	s.opts.Log.Warn("sequence numbers cannot be continued: a new epoch begins", "state", s.opts.Dir, "epoch", s.epoch)
}

// extend reserves numbers from the next on. One goroutine at a time calls it.
func (s *State) extend() {
	s.mu.Lock()
	epoch, reached, limit := s.epoch, slices.Clone(s.next), make([]uint32, len(s.next))
	for i, n := range s.next {
		limit[i] = n + s.reserve[i]
	}
	s.mu.Unlock()
	err := s.save(epoch, limit, reached)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !s.failed {
		s.opts.Log.Warn("sequence numbers cannot be written to the disk", "state", s.opts.Dir, "err", err)
	}
	if s.failed = err != nil; err == nil && epoch == s.epoch {
		if s.limit, s.durable = limit, s.opts.Dir != ""; s.durable {
			s.counters.begin(epoch, s.opts.Sensors)
			s.count()
		}
	}
}

// Close writes the numbers that were reached, after the last tick.
func (s *State) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.save(s.epoch, s.next, nil)
	if err == nil {
		err = s.counters.remove() // the file has the numbers
	}
	if s.opts.Lock != nil {
		err = errors.Join(err, s.opts.Lock.Close())
	}
	return err
}

// save writes the file. reached is nil if the next numbers are exact.
func (s *State) save(epoch string, next, reached []uint32) error {
	if s.opts.Dir == "" {
		return nil
	}
	saved := savedState{Epoch: epoch, Next: s.byName(next)}
	maps.Copy(saved.Next, s.others) // does not change once it is read
	if reached != nil {
		saved.Reached = s.byName(reached)
	}
	return saved.write(s.opts.Dir)
}

func (s *State) byName(numbers []uint32) map[string]uint32 {
	all := map[string]uint32{}
	for i, c := range s.opts.Sensors {
		all[c.Name] = numbers[i]
	}
	return all
}
