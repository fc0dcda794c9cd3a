package main

import (
	"context"
	"time"

	"sensorgateway/cmd/gateway/internal/state"
)

const (
	// stallTime is how long the start waits for a disk that does not answer: motors,
	// live readings and the listener do not need it. With a shorter time, each start from a
	// slow card would begin a new epoch, because one synced write came too late.
	stallTime = 2500 * time.Millisecond
	// openTime is how long the start waits for a disk that answers.
	openTime = 5 * time.Second
	// stallEndTime is how long the stop waits for a disk that has not answered since the
	// start: it has had all that time to store what is left.
	stallEndTime = 500 * time.Millisecond
)

// openStorage returns a storage that is open, or that opens when the disk answers.
// It fails only if another gateway uses the directory. Whatever else is wrong with
// the disk, there is a storage, and live readings go on.
func openStorage(ctx context.Context, o storageOptions) (*storage, error) {
	s, err := newStorage(o)
	if err != nil {
		return nil, err
	}
	return s, s.start(ctx, func() error { return s.open(o.latchRead) })
}

// start lets open read what is stored, and chooses the numbers of the first tick by
// what was read in time.
func (s *storage) start(ctx context.Context, open func() error) error {
	go func() { // write waits for it
		defer close(s.opened)
		s.openErr = open()
	}()
	switch opened := s.await(ctx, stallTime, openTime); {
	case opened && s.openErr != nil:
		return s.openErr
	case !opened && ctx.Err() != nil: // no tick will come: the numbers that are stored stay as they are
		return nil
	case !opened:
		s.log.Warn("the disk does not answer: the start goes on without what is stored, which comes when it does", "state", s.dir)
	}
	s.state.Start()
	used, skipped := s.state.Used()
	s.history.Expect(s.state.Epoch(), used, skipped)
	s.history.Begin(s.state.Epoch(), s.state.First())
	return nil
}

// open reads what is stored, for as long as that takes.
func (s *storage) open(latchRead func(by string, at time.Time)) error {
	latchRead(s.latch.Read())
	s.steps.Add(1)
	lock, err := state.Claim(s.dir)
	if err != nil {
		return err
	}
	close(s.claimed)
	s.steps.Add(1)
	s.history.Load()
	s.steps.Add(1)
	s.state.Load(lock)
	return nil
}

// await waits until the storage is open, and returns whether it is. It waits no longer
// than most, and no longer than stall without progress.
func (s *storage) await(ctx context.Context, stall, most time.Duration) bool {
	tick := time.NewTicker(stallTime / 20)
	defer tick.Stop()
	begin, advanced, last := time.Now(), time.Now(), int64(0)
	for {
		select {
		case <-s.opened:
			return true
		case <-ctx.Done():
			return false
		case now := <-tick.C:
			if n := s.steps.Load() + s.history.Loading(); n != last {
				advanced, last = now, n
			}
			if now.Sub(advanced) >= stall || now.Sub(begin) >= most {
				return false
			}
		}
	}
}
