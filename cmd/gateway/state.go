package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sensorgateway/wire"
)

const (
	stateFile = "state.json"
	// Sequence numbers are written ahead, for so long a time of ticks: no number is
	// used before the file says it may have been, so none is ever used twice, and
	// an SD card sees a write every few minutes instead of one a tick. An unclean
	// stop skips what is left of it.
	reserveTime = 10 * time.Minute
	reserveMin  = 64
	keepEvery   = time.Minute
)

// state is what must survive a restart: the epoch, and the next sequence number
// of each sensor by its name. Without a directory it is kept in memory.
type state struct {
	dir string // "" is memory
	log *slog.Logger

	mu       sync.Mutex
	epoch    string
	first    []uint32 // of the first tick, by sensor
	next     []uint32 // one more than the last one seen
	limit    []uint32 // the first that must not be used yet
	reserve  []uint32
	names    []string
	others   map[string]uint32 // of sensors that are not configured now
	failed   bool              // the last write
	newEpoch func(string)      // tells who must know
}

// savedState is the file. A number is the first that was not used.
type savedState struct {
	Epoch string            `json:"epoch"`
	Next  map[string]uint32 `json:"next_seq"`
}

// openState reads the state in dir, and reserves numbers for the sensors. What
// is damaged is set aside; when nothing can be read or written, the epoch is a
// new one and live goes on.
func openState(dir string, sensors []SensorConfig, log *slog.Logger) *state {
	s := &state{dir: dir, log: log, others: map[string]uint32{}, newEpoch: func(string) {}}
	saved := s.load()
	s.epoch = saved.Epoch
	for name, n := range saved.Next {
		s.others[name] = n
	}
	for _, c := range sensors {
		s.names = append(s.names, c.Name)
		s.first = append(s.first, s.others[c.Name])
		s.reserve = append(s.reserve, uint32(max(reserveTime/c.Interval, reserveMin)))
		delete(s.others, c.Name)
	}
	s.next = append(s.next, s.first...)
	s.limit = append(s.limit, s.first...)
	if err := s.extend(); err != nil {
		log.Warn("sequence numbers cannot be kept: a new epoch begins", "state", dir, "err", err)
		s.epoch = rand.Text()
	}
	return s
}

// load returns what the file says, and a new epoch if it says nothing usable.
func (s *state) load() savedState {
	fresh := savedState{Epoch: rand.Text()}
	if s.dir == "" {
		return fresh
	}
	path := filepath.Join(s.dir, stateFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh
	}
	var saved savedState
	if err == nil {
		if err = json.Unmarshal(data, &saved); err == nil && saved.Epoch == "" {
			err = errors.New("no epoch")
		}
		if err != nil {
			aside := fmt.Sprintf("%s.damaged-%d", path, time.Now().Unix())
			err = errors.Join(fmt.Errorf("damaged, set aside as %s: %w", aside, err), os.Rename(path, aside))
		}
	}
	if err != nil {
		s.log.Warn("sequence numbers cannot be continued: a new epoch begins", "file", path, "err", err)
		return fresh
	}
	return saved
}

// Cover is told of all records before anybody else, and sees to it that their
// numbers are reserved.
func (s *state) Cover(records []wire.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range records {
		s.next[r.Sensor] = r.Seq + 1
		if before(s.limit[r.Sensor], s.next[r.Sensor]) {
			s.mustExtend() // a leap, as after a pause of the whole machine
		}
	}
}

// keep extends the reservation in time until ctx ends.
func (s *state) keep(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.mu.Lock()
			s.renew()
			s.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

// renew extends what is half used, and gives the epoch up before a number would
// be used that could come again. s.mu is held.
func (s *state) renew() {
	for i := range s.limit {
		if left := s.limit[i] - s.next[i]; left > s.reserve[i]/2 && !s.failed {
			continue
		}
		if err := s.extend(); err == nil {
			s.failed = false
			return
		} else if !s.failed {
			s.failed = true
			s.log.Warn("sequence numbers cannot be kept", "state", s.dir, "err", err)
		}
		break
	}
	if s.failed {
		for i := range s.limit {
			if s.limit[i]-s.next[i] < s.reserve[i]/4 {
				s.giveUp()
				return
			}
		}
	}
}

func (s *state) mustExtend() {
	if err := s.extend(); err != nil {
		s.log.Warn("sequence numbers cannot be kept", "state", s.dir, "err", err)
		s.failed = true
		s.giveUp()
	}
}

// giveUp begins a new epoch in memory; the file, with the old one, is written
// again when that works.
func (s *state) giveUp() {
	s.epoch = rand.Text()
	s.log.Warn("sequence numbers cannot be continued: a new epoch begins", "state", s.dir, "epoch", s.epoch)
	for i := range s.limit {
		s.limit[i] = s.next[i] + s.reserve[i]
	}
	go s.newEpoch(s.epoch) // may take its time; we are in a tick
}

// extend reserves numbers from the next on. s.mu is held, or nobody else knows s.
func (s *state) extend() error {
	limit := make([]uint32, len(s.next))
	for i, n := range s.next {
		limit[i] = n + s.reserve[i]
	}
	err := s.save(limit)
	if err == nil || s.dir == "" {
		s.limit = limit
	}
	return err
}

// close writes the numbers that were reached, after the last tick.
func (s *state) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.save(s.next)
}

// save writes the file: it has the old content or the new one, whenever power fails.
func (s *state) save(next []uint32) error {
	if s.dir == "" {
		return nil
	}
	saved := savedState{Epoch: s.epoch, Next: map[string]uint32{}}
	for name, n := range s.others {
		saved.Next[name] = n
	}
	for i, name := range s.names {
		saved.Next[name] = next[i]
	}
	data, err := json.Marshal(saved)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return err
	}
	return replaceFile(filepath.Join(s.dir, stateFile), append(data, '\n'))
}

// replaceFile writes a file so that a power cut leaves the old one or the new one.
func replaceFile(path string, data []byte) error {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// before compares sequence numbers, which wrap (RFC 1982, section 3.2).
func before(a, b uint32) bool { return int32(a-b) < 0 }
