package main

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

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/wire"
)

const (
	// Sequence numbers are written ahead, for so long a time of ticks: no number is
	// used before the file says it may have been, so none is ever used twice, and
	// an SD card sees a write every few minutes instead of one a tick. What is left
	// of it after an unclean stop is skipped, unless the [counters] are still there.
	reserveTime = 10 * time.Minute
	reserveMin  = 64
	keepEvery   = time.Minute
)

// state is what must survive a restart: the epoch, and the next sequence number
// of each sensor by its name. Without a directory it is kept in memory.
//
// The disk is written by one goroutine ([state.keep]) and never under the lock,
// for the ticks pass through here.
type state struct {
	stateOptions
	reserve []uint32
	first   []uint32          // of the first tick, by sensor
	others  map[string]uint32 // of sensors that are not configured now
	// newEpoch tells who must know, with the numbers that come first in it, by
	// sensor; quick, and called in a tick.
	newEpoch func(epoch string, next []uint32)

	mu       sync.Mutex
	epoch    string
	durable  bool     // the file has this epoch; else no limit holds: nobody can continue it
	next     []uint32 // one more than the last one seen
	limit    []uint32 // the first that must not be used yet
	failed   bool     // the last write; so it is told once
	counters counters // next, in memory, while the epoch is durable
}

// stateOptions is what a state is opened with.
type stateOptions struct {
	dir     string   // "" is memory
	lock    *os.File // from claimState; the state's from then on
	sensors []config.Sensor
	kept    keptNumbers // nil if there is no log of readings
	memory  string      // directory in memory for the [counters]; "" if there is none
	log     *slog.Logger
}

// keptNumbers is what the log of readings knows of the numbers that were used.
type keptNumbers interface {
	// Epoch is that of the newest record, "" if there is none.
	Epoch() string
	// Last returns the newest number of a sensor in that epoch.
	Last(sensor uint16) (seq uint32, ok bool)
}

// claimState makes dir and keeps other gateways out of it, until the state is
// closed or the process ends. It fails only if one is there. The log of readings
// may be opened after that, and openState called then.
func claimState(dir string) (*os.File, error) {
	if dir == "" || os.MkdirAll(dir, 0o750) != nil { // writing will say so
		return nil, nil
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("state in %s: %w; fix: stop the other gateway, or give this one another --state", dir, err)
	}
	return lock, nil
}

// openState reads the state, and reserves numbers for the sensors. What is
// damaged is set aside; when nothing can be read or written, the epoch is a new
// one and live goes on.
func openState(o stateOptions) *state {
	s := &state{stateOptions: o, newEpoch: func(string, []uint32) {}, counters: countersOf(o.memory, o.dir)}
	saved := s.load()
	var counted []uint32 // after an unclean stop
	if saved.Reached != nil {
		if counted = s.counted(saved); counted == nil {
			s.log.Info("the last stop was unclean: sequence numbers that may have been used are skipped")
		}
	}
	s.epoch, s.others = saved.Epoch, maps.Clone(saved.Next)
	for i, c := range s.sensors {
		first := saved.Next[c.Name] // after an unclean stop, the end of a reservation
		if counted != nil {
			first = counted[i]
		}
		s.first = append(s.first, s.unused(saved.Epoch, uint16(i), first))
		s.reserve = append(s.reserve, uint32(max(reserveTime/c.Interval, reserveMin)))
		delete(s.others, c.Name)
	}
	s.next = append(s.next, s.first...)
	s.limit = append(s.limit, s.first...)
	if s.extend(); s.dir != "" && !s.durable {
		s.epoch = rand.Text() // the file's would come again
	}
	return s
}

// counted returns the next numbers that were left in memory, nil if there are
// none. Those that the file was beyond, or that it did not reserve, are not those
// of the last run.
func (s *state) counted(saved savedState) []uint32 {
	next := s.counters.load(saved.Epoch, s.sensors)
	for i, n := range next {
		name := s.sensors[i].Name
		if wire.Before(n, saved.Reached[name]) || wire.Before(saved.Next[name], n) {
			return nil
		}
	}
	return next
}

// unused returns first, or one more than the last number that the log has.
func (s *state) unused(epoch string, sensor uint16, first uint32) uint32 {
	if s.kept == nil || s.kept.Epoch() != epoch {
		return first
	}
	if last, ok := s.kept.Last(sensor); ok && wire.Before(first, last+1) {
		return last + 1
	}
	return first
}

// Cover is told of all records before anybody else, and sees to it that their
// numbers are reserved. A leap beyond that, as after a pause of the whole
// machine, begins a new epoch: a tick does not wait for a disk.
func (s *state) Cover(records []wire.Record) {
	s.mu.Lock()
	leap := false
	for _, r := range records {
		leap = leap || s.durable && wire.Before(s.limit[r.Sensor], r.Seq+1)
	}
	var next []uint32
	if leap {
		s.giveUp()
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
		s.newEpoch(epoch, next)
	}
}

// count writes the numbers to memory, if they are of an epoch that will be known
// after this process. s.mu is held.
func (s *state) count() {
	if !s.durable {
		return
	}
	if err := s.counters.put(s.next); err != nil {
		s.log.Warn("sequence numbers cannot be kept in memory: after a crash some will be skipped", "err", err)
	}
}

// keep extends the reservation in time until ctx ends.
func (s *state) keep(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.renew()
		case <-ctx.Done():
			return
		}
	}
}

// renew extends what is half used, and gives the epoch up before a number would
// be used that could come again.
func (s *state) renew() {
	if s.dir == "" || !s.runsOut(2) {
		return
	}
	s.extend()
	if !s.runsOut(4) {
		return
	}
	s.mu.Lock()
	durable := s.durable
	if durable {
		s.giveUp()
	}
	epoch, next := s.epoch, slices.Clone(s.next)
	s.mu.Unlock()
	if durable {
		s.newEpoch(epoch, next)
	}
}

// runsOut tells whether less than one nth of a reservation is left, or the
// epoch is not on the disk at all.
func (s *state) runsOut(n uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.limit {
		if !s.durable || int32(s.limit[i]-s.next[i]) < int32(s.reserve[i]/n) {
			return true
		}
	}
	return false
}

// giveUp begins a new epoch, in memory until it can be written. s.mu is held.
func (s *state) giveUp() {
	s.epoch, s.durable = rand.Text(), false
	s.log.Warn("sequence numbers cannot be continued: a new epoch begins", "state", s.dir, "epoch", s.epoch)
}

// extend reserves numbers from the next on. One goroutine at a time calls it.
func (s *state) extend() {
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
		s.log.Warn("sequence numbers cannot be kept", "state", s.dir, "err", err)
	}
	if s.failed = err != nil; err == nil && epoch == s.epoch {
		if s.limit, s.durable = limit, s.dir != ""; s.durable {
			s.counters.begin(epoch, s.sensors)
			s.count()
		}
	}
}

// close writes the numbers that were reached, after the last tick.
func (s *state) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.save(s.epoch, s.next, nil)
	if err == nil {
		err = s.counters.remove() // the file knows
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// save writes the file. reached is nil if the next numbers are exact.
func (s *state) save(epoch string, next, reached []uint32) error {
	if s.dir == "" {
		return nil
	}
	saved := savedState{Epoch: epoch, Next: s.byName(next)}
	maps.Copy(saved.Next, s.others)
	if reached != nil {
		saved.Reached = s.byName(reached)
	}
	return saved.write(s.dir)
}

func (s *state) byName(numbers []uint32) map[string]uint32 {
	all := map[string]uint32{}
	for i, c := range s.sensors {
		all[c.Name] = numbers[i]
	}
	return all
}
