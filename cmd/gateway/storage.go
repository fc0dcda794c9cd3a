package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sensorgateway/cmd/gateway/internal/chips"
	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/cmd/gateway/internal/notify"
	"sensorgateway/cmd/gateway/internal/state"
	"sensorgateway/gateway/history"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/memoryfile"
	"sensorgateway/sensors/timer"
	"sensorgateway/wire"
)

const (
	// memoryHistory bounds the log of readings where there is no directory for it:
	// about an hour of eight sensors.
	memoryHistory = 16 << 20 // bytes
	// diskTime is how long the disk has when the gateway stops: a little longer than
	// the clients, who must not wait for one that hangs.
	diskTime = farewellTime + time.Second
)

// storage is all that is on the disk: the log of readings, the numbers and the
// e-stop's latch. It is opened and closed as one: whoever holds the state's lock
// has the whole directory.
type storage struct {
	history *storedReadings
	state   *state.State
	latch   *state.Latch
	dir     string
	guard   guard
	log     *slog.Logger

	claimed chan struct{} // closed when the directory is this gateway's
	opened  chan struct{} // closed when all is read, or openErr is set
	openErr error         // another gateway has the directory
	steps   atomic.Int64  // how many steps of opening are done
}

// storageOptions is what a storage is opened with.
type storageOptions struct {
	cfg          *config.Config
	memory       string // directory of files in memory, see [state.Options]
	changed      func(error)
	latchChanged func(error)
	latchRead    func(by string, at time.Time) // who had latched the e-stop before the restart
	damaged      func(history.Damage)
	evicted      func(history.Eviction)
	newEpoch     func(epoch string, next []uint32)
	seconds      func() <-chan time.Time
	guard        guard
	log          *slog.Logger
}

// newStorage returns a storage that does not use the disk yet.
func newStorage(o storageOptions) (*storage, error) {
	dir := o.cfg.State
	s := &storage{
		latch: state.NewLatch(dir, o.latchChanged, o.log), dir: dir, guard: o.guard, log: o.log,
		claimed: make(chan struct{}), opened: make(chan struct{}),
	}
	stored := history.Options{
		MaxBytes: o.cfg.History.Size, MaxAge: o.cfg.History.Age, Boot: machine.BootID(), Timer: timer.New(timer.Kernel), Seconds: o.seconds, Log: o.log,
		Changed: o.changed, Damaged: o.damaged, Evicted: o.evicted, Values: chips.Infos(o.cfg),
	}
	var sensors []state.Sensor
	for _, c := range o.cfg.Sensors {
		sensors = append(sensors, state.Sensor{Name: c.Name, Interval: c.Interval})
		stored.Sensors = append(stored.Sensors, c.Name)
	}
	if dir == "" {
		stored.FS, stored.MaxBytes = disk.NewMemory(), memoryHistory
	} else {
		stored.Dir = filepath.Join(dir, logDir)
		if memoryfile.Outlives(o.memory) {
			stored.Memory = state.MemoryFile(o.memory, dir, machine.BootID(), pageSuffix)
		}
	}
	log, err := history.New(stored)
	if err != nil {
		return nil, err
	}
	s.history = &storedReadings{Log: log, inMemory: dir == "", latch: s.latch}
	s.state = state.New(state.Options{
		Dir: dir, Sensors: sensors, Numbers: s.history, Memory: o.memory, Boot: machine.BootID(), NewEpoch: o.newEpoch, Log: o.log,
	})
	return s, nil
}

// run writes until ctx ends, and then, after the last tick, what is left. It does
// not wait longer than diskTime for that: a disk can hang. An error means that the
// directory is another gateway's.
func (s *storage) run(ctx context.Context) error {
	closed := make(chan error, 1) // nobody may be there to receive
	go func() { closed <- s.write(ctx) }()
	select {
	case <-ctx.Done():
	case err := <-closed:
		return err
	}
	late := time.After(diskTime)
	if !s.await(context.WithoutCancel(ctx), stallEndTime, diskTime) {
		s.log.Warn("the disk has not answered since the start: the readings since then are lost", "state", s.dir)
		return nil
	}
	select {
	case err := <-closed:
		if err != nil {
			s.log.Warn("not everything could be written to the disk: sequence numbers may be skipped", "err", err)
		}
	case <-late:
		s.log.Warn("the disk hangs: the newest readings may be lost", "state", s.dir)
	}
	return nil
}

// write writes until ctx ends, and then what is left. If opening fails, it returns at once.
func (s *storage) write(ctx context.Context) error {
	writers, ctx := errgroup.WithContext(ctx)
	writers.Go(func() error { return s.guard(s.history.Run)(ctx) }) // at once: until the log is loaded, it reports that readings are not durable
	writers.Go(func() error {
		select {
		case <-s.claimed:
		case <-ctx.Done():
		}
		return s.guard(s.latch.Run)(ctx)
	})
	writers.Go(func() error {
		<-s.opened
		if s.openErr != nil {
			return s.openErr
		}
		return s.guard(s.state.Run)(ctx)
	})
	if err := writers.Wait(); s.openErr != nil {
		return err
	}
	s.latch.Close()
	return errors.Join(s.history.Close(), s.state.Close()) // the state releases the lock: last
}

// storedReadings is the log of readings as a listener.
type storedReadings struct {
	notify.Nop
	*history.Log
	inMemory bool
	latch    *state.Latch
}

// Tick stores the records. The listeners behind it may show them.
func (r *storedReadings) Tick(records []wire.Record, offset int64) { r.Append(records, offset) }

// Durable returns why the readings, or the e-stop's latch, are not stored durably,
// nil if they are.
func (r *storedReadings) Durable() error {
	readings, latch := r.readingsDurable(), r.latch.Stored()
	if readings != nil && latch != nil && !r.inMemory {
		return fmt.Errorf("%w; %w", readings, latch)
	}
	return cmp.Or(readings, latch)
}

func (r *storedReadings) readingsDurable() error {
	if r.inMemory {
		return errors.New("readings are in memory only: there is no state directory")
	}
	return r.Log.Durable()
}
