package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"maps"
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
//
// The disk is written by one goroutine ([state.keep]) and never under the lock,
// for the ticks pass through here.
type state struct {
	dir      string // "" is memory
	lock     *os.File
	log      *slog.Logger
	names    []string
	reserve  []uint32
	first    []uint32          // of the first tick, by sensor
	others   map[string]uint32 // of sensors that are not configured now
	newEpoch func(string)      // tells who must know; quick, and called in a tick

	mu      sync.Mutex
	epoch   string
	durable bool     // the file has this epoch; else no limit holds: nobody can continue it
	next    []uint32 // one more than the last one seen
	limit   []uint32 // the first that must not be used yet
	failed  bool     // the last write; so it is told once
}

// savedState is the file: a line of JSON, and one with its CRC-32C. A number is
// the first that was not used.
type savedState struct {
	Epoch string            `json:"epoch"`
	Next  map[string]uint32 `json:"next_seq"`
}

// openState reads the state in dir, and reserves numbers for the sensors. What
// is damaged is set aside; when nothing can be read or written, the epoch is a
// new one and live goes on. It fails only if another process uses the directory.
func openState(dir string, sensors []SensorConfig, log *slog.Logger) (*state, error) {
	s := &state{dir: dir, log: log, newEpoch: func(string) {}}
	if dir != "" {
		if err := os.MkdirAll(dir, 0o750); err == nil { // else writing will say so
			if s.lock, err = lockDir(dir); err != nil {
				return nil, fmt.Errorf("state in %s: %w; fix: stop the other gateway, or give this one another --state", dir, err)
			}
		}
	}
	saved := s.load()
	s.epoch, s.others = saved.Epoch, maps.Clone(saved.Next)
	for _, c := range sensors {
		s.names = append(s.names, c.Name)
		s.first = append(s.first, saved.Next[c.Name])
		s.reserve = append(s.reserve, uint32(max(reserveTime/c.Interval, reserveMin)))
		delete(s.others, c.Name)
	}
	s.next = append(s.next, s.first...)
	s.limit = append(s.limit, s.first...)
	if s.extend(); dir != "" && !s.durable {
		s.epoch = rand.Text() // the file's would come again
	}
	return s, nil
}

// load returns what the file says, and a new epoch if it says nothing usable.
func (s *state) load() savedState {
	fresh := savedState{Epoch: rand.Text(), Next: map[string]uint32{}}
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
		if saved, err = parseState(data); err != nil {
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

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (s savedState) format() ([]byte, error) {
	line, err := json.Marshal(s)
	return fmt.Appendf(line, "\n%08x\n", crc32.Checksum(line, castagnoli)), err
}

func parseState(data []byte) (s savedState, err error) {
	line, sum, _ := bytes.Cut(data, []byte("\n"))
	if want := fmt.Sprintf("%08x\n", crc32.Checksum(line, castagnoli)); string(sum) != want {
		return s, errors.New("its checksum does not match")
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, err
	}
	if s.Epoch == "" || s.Next == nil {
		return s, errors.New("it lacks the epoch or the numbers")
	}
	return s, nil
}

// Cover is told of all records before anybody else, and sees to it that their
// numbers are reserved. A leap beyond that, as after a pause of the whole
// machine, begins a new epoch: a tick does not wait for a disk.
func (s *state) Cover(records []wire.Record) {
	s.mu.Lock()
	leap := false
	for _, r := range records {
		if before(s.next[r.Sensor], r.Seq+1) {
			s.next[r.Sensor] = r.Seq + 1
		}
		leap = leap || s.durable && before(s.limit[r.Sensor], s.next[r.Sensor])
	}
	if leap {
		s.giveUp()
	}
	epoch := s.epoch
	s.mu.Unlock()
	if leap {
		s.newEpoch(epoch)
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
	epoch := s.epoch
	s.mu.Unlock()
	if durable {
		s.newEpoch(epoch)
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
	epoch, limit := s.epoch, make([]uint32, len(s.next))
	for i, n := range s.next {
		limit[i] = n + s.reserve[i]
	}
	s.mu.Unlock()
	err := s.save(epoch, limit)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !s.failed {
		s.log.Warn("sequence numbers cannot be kept", "state", s.dir, "err", err)
	}
	if s.failed = err != nil; err == nil && epoch == s.epoch {
		s.limit, s.durable = limit, s.dir != ""
	}
}

// close writes the numbers that were reached, after the last tick.
func (s *state) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.save(s.epoch, s.next)
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// save writes the file: it has the old content or the new one, whenever power fails.
func (s *state) save(epoch string, next []uint32) error {
	if s.dir == "" {
		return nil
	}
	saved := savedState{Epoch: epoch, Next: maps.Clone(s.others)}
	for i, name := range s.names {
		saved.Next[name] = next[i]
	}
	data, err := saved.format()
	if err == nil {
		err = os.MkdirAll(s.dir, 0o750)
	}
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(s.dir, stateFile), data)
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
