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

	"sensorgateway/wire"
)

const (
	// Sequence numbers are written ahead, for so long a time of ticks: no number is
	// used before the file says it may have been, so none is ever used twice, and
	// an SD card sees a write every few minutes instead of one a tick. What is left
	// of it after an unclean stop is skipped, unless the log of readings knows.
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
	names   []string
	reserve []uint32
	first   []uint32          // of the first tick, by sensor
	others  map[string]uint32 // of sensors that are not configured now
	// newEpoch tells who must know, with the numbers that come first in it, by
	// sensor; quick, and called in a tick.
	newEpoch func(epoch string, next []uint32)

	mu      sync.Mutex
	epoch   string
	durable bool     // the file has this epoch; else no limit holds: nobody can continue it
	next    []uint32 // one more than the last one seen
	limit   []uint32 // the first that must not be used yet
	failed  bool     // the last write; so it is told once
	behind  bool     // the log lacks numbers that are out
	mark    mark     // that it does not
}

// stateOptions is what a state is opened with.
type stateOptions struct {
	dir     string   // "" is memory
	lock    *os.File // from claimState; the state's from then on
	sensors []SensorConfig
	kept    keptNumbers // nil if there is no log of readings
	marks   string      // directory in memory for the [mark]; "" if there is none
	log     *slog.Logger
}

// keptNumbers is what the log of readings knows of the numbers that were used.
// It is given each of them before anybody else.
type keptNumbers interface {
	// Epoch is that of the newest record, "" if there is none.
	Epoch() string
	// Last returns the newest number of a sensor in that epoch.
	Last(sensor uint16) (seq uint32, ok bool)
	// Exact tells whether nothing can be missing that was written: the machine has
	// not been off since.
	Exact() bool
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
	s := &state{stateOptions: o, newEpoch: func(string, []uint32) {}, mark: markOf(o.marks, o.dir)}
	saved := s.load()
	// Nothing that was written to the log is missing, and nothing else was out.
	exact := s.mark.set && s.kept != nil && s.kept.Exact()
	s.epoch, s.others = saved.Epoch, maps.Clone(saved.Next)
	for i, c := range s.sensors {
		s.names = append(s.names, c.Name)
		s.first = append(s.first, s.continued(saved, uint16(i), exact))
		s.reserve = append(s.reserve, uint32(max(reserveTime/c.Interval, reserveMin)))
		delete(s.others, c.Name)
	}
	if saved.Reached != nil && !exact {
		s.log.Info("the last stop was unclean: sequence numbers that may have been used are skipped")
	}
	s.next = append(s.next, s.first...)
	s.limit = append(s.limit, s.first...)
	if s.extend(); s.dir != "" && !s.durable {
		s.epoch = rand.Text() // the file's would come again
	}
	return s
}

// continued returns a sensor's first number: the file's, which after an unclean
// stop is the end of a reservation, or one more than the last in the log if that
// is exact; and never one that the log has.
func (s *state) continued(saved savedState, sensor uint16, exact bool) uint32 {
	name := s.sensors[sensor].Name
	first := saved.Next[name]
	if s.kept == nil || s.kept.Epoch() != saved.Epoch {
		return first
	}
	last, ok := s.kept.Last(sensor)
	if !ok {
		return first
	}
	if reached, unclean := saved.Reached[name]; unclean && exact {
		first = reached
	}
	if wire.Before(first, last+1) {
		first = last + 1
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
	epoch := s.epoch
	s.mu.Unlock()
	if leap {
		s.newEpoch(epoch, next)
	}
}

// Logged is told, before a tick is published, whether the log of readings has
// written it and all before.
func (s *state) Logged(written bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind = !written
	s.settle()
}

// settle marks whether the numbers can go on where the log ends. s.mu is held.
func (s *state) settle() {
	if err := s.mark.put(s.durable && s.kept != nil && !s.behind); err != nil {
		s.log.Warn("it cannot be marked that the log of readings is complete", "err", err)
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
	s.settle()
	s.log.Warn("sequence numbers cannot be continued: a new epoch begins", "state", s.dir, "epoch", s.epoch)
}

// extend reserves numbers from the next on. One goroutine at a time calls it.
func (s *state) extend() {
	s.mu.Lock()
	epoch, reached, limit := s.epoch, make([]uint32, len(s.next)), make([]uint32, len(s.next))
	for i, n := range s.next {
		reached[i], limit[i] = n, n+s.reserve[i]
	}
	s.mu.Unlock()
	err := s.save(epoch, limit, reached)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !s.failed {
		s.log.Warn("sequence numbers cannot be kept", "state", s.dir, "err", err)
	}
	if s.failed = err != nil; err == nil && epoch == s.epoch {
		s.limit, s.durable = limit, s.dir != ""
	}
	s.settle()
}

// close writes the numbers that were reached, after the last tick.
func (s *state) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.save(s.epoch, s.next, nil)
	if err == nil {
		err = s.mark.put(false) // the file knows
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
	saved := savedState{Epoch: epoch, Next: maps.Clone(s.others)}
	for i, name := range s.names {
		saved.Next[name] = next[i]
	}
	if reached != nil {
		saved.Reached = map[string]uint32{}
		for i, name := range s.names {
			saved.Reached[name] = reached[i]
		}
	}
	return saved.write(s.dir)
}
