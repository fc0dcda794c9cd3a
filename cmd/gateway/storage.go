package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/cmd/gateway/internal/notify"
	"sensorgateway/cmd/gateway/internal/state"
	"sensorgateway/gateway/history"
	"sensorgateway/gateway/history/disk"
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
}

// storageOptions is what a storage is opened with.
type storageOptions struct {
	cfg          *config.Config
	memory       string // directory of files in memory, see [state.Options]
	changed      func(error)
	latchChanged func(error)
	damaged      func(history.Damage)
	evicted      func(history.Eviction)
	newEpoch     func(epoch string, next []uint32)
	guard        guard
	log          *slog.Logger
}

// openStorage fails only if another gateway uses the directory. Whatever else is
// wrong with the disk, there is a storage, and live readings go on.
func openStorage(o storageOptions) (*storage, error) {
	dir := o.cfg.State
	lock, err := state.Claim(dir)
	if err != nil {
		return nil, err
	}
	s := &storage{latch: state.NewLatch(dir, o.latchChanged, o.log), dir: dir, guard: o.guard, log: o.log}
	stored := history.Options{
		MaxBytes: o.cfg.History.Size, MaxAge: o.cfg.History.Age, Boot: machine.BootID(), Log: o.log,
		Changed: o.changed, Damaged: o.damaged, Evicted: o.evicted,
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
	}
	log, err := history.Open(stored)
	if err != nil {
		return nil, err
	}
	s.history = &storedReadings{Log: log, inMemory: dir == "", latch: s.latch}
	s.state = state.Open(state.Options{
		Dir: dir, Lock: lock, Sensors: sensors, Numbers: s.history, Memory: o.memory, Boot: machine.BootID(), NewEpoch: o.newEpoch, Log: o.log,
	})
	s.history.Begin(s.state.Epoch(), s.state.First())
	return s, nil
}

// run writes until ctx ends, and then, after the last tick, what is left. It does
// not wait longer than diskTime for that: a disk can hang.
func (s *storage) run(ctx context.Context) error {
	closed := make(chan error, 1) // nobody may be there to receive
	go func() {
		var writers errgroup.Group
		for _, run := range []func(context.Context) error{s.history.Run, s.state.Run, s.latch.Run} {
			writers.Go(func() error { return s.guard(run)(ctx) })
		}
		err := writers.Wait()
		s.latch.Close()
		closed <- errors.Join(err, s.history.Close(), s.state.Close()) // the lock last
	}()
	<-ctx.Done()
	select {
	case err := <-closed:
		if err != nil {
			s.log.Warn("not everything could be written to the disk: sequence numbers may be skipped", "err", err)
		}
	case <-time.After(diskTime):
		s.log.Warn("the disk hangs: the newest readings may be lost", "state", s.dir)
	}
	return nil
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
	if readings != nil && latch != nil {
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

// storageTrouble makes events of it that the readings or the e-stop's latch are not
// stored durably, and that both are again.
type storageTrouble struct {
	notify func(wire.Event)

	mu    sync.Mutex // held over notify, so that events come in order
	where [2]error   // of the readings, of the latch
}

func (t *storageTrouble) readings(err error) { t.change(0, err) }
func (t *storageTrouble) latch(err error)    { t.change(1, err) }

func (t *storageTrouble) change(i int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.where[i] = err
	e := wire.Event{Kind: wire.EventStorageBack, TS: float64(time.Now().UnixMilli()) / 1000}
	switch {
	case err != nil:
		e.Kind, e.Reason = wire.EventStorageFailed, err.Error()
	case errors.Join(t.where[:]...) != nil:
		return // the other one is not stored yet
	}
	t.notify(e)
}

// storageDamaged makes an event of it that stored readings were found to be lost. The
// log of readings has logged it.
func (g *running) storageDamaged(d history.Damage) {
	g.notify.Event(wire.Event{
		Kind: wire.EventStorageDamaged, Reason: d.Reason, Readings: d.Readings, TS: float64(time.Now().UnixMilli()) / 1000,
	})
}

// historyEvicted makes an event of it that stored readings were evicted beyond the
// ordinary. The log of readings has logged it.
func (g *running) historyEvicted(e history.Eviction) {
	g.notify.Event(wire.Event{
		Kind: wire.EventHistoryEvicted, Reason: e.Reason, Readings: e.Readings, TS: float64(time.Now().UnixMilli()) / 1000,
	})
}
