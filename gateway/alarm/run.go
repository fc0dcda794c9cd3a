package alarm

import (
	"context"
	"sync"
	"time"
)

const (
	// ageEvery is how often conditions on ages are evaluated, and checks are made without an
	// event; without such conditions, checks are made once a second.
	ageEvery = 200 * time.Millisecond
	// loadTime is how long the first tick waits for what was stored, if the disk does not
	// answer.
	loadTime = 500 * time.Millisecond
	// endTime is how long the end waits for the disk.
	endTime = time.Second
)

// Ready is closed when what was stored is known, or takes too long.
func (a *Alarms) Ready() <-chan struct{} { return a.ready }

// Run makes the checks, stores what has changed and posts it, until ctx ends.
func (a *Alarms) Run(ctx context.Context) error {
	loaded, kept := make(chan struct{}), make(chan struct{})
	keepCtx, endKeep := context.WithCancel(context.WithoutCancel(ctx))
	defer endKeep()
	var poster sync.WaitGroup
	go func() { // it may wait for the disk longer than anybody waits for it
		defer close(kept)
		_ = a.opts.Guard(func(ctx context.Context) error { a.keep(ctx, loaded); return nil })(keepCtx)
	}()
	poster.Go(func() {
		_ = a.opts.Guard(func(ctx context.Context) error { a.deliver(ctx); return nil })(ctx)
	})
	select {
	case <-loaded:
	case <-time.After(loadTime):
	case <-ctx.Done():
	}
	close(a.ready)
	a.watch(ctx)
	a.ended.Store(true)
	poster.Wait()
	endKeep()
	select {
	case <-kept:
	case <-time.After(endTime):
		a.opts.Log.Warn("the disk does not answer: the newest changes of alarms may be lost", "file", a.opts.File)
	}
	return nil
}

// watch makes the checks, and notifies of what has changed, until ctx ends.
func (a *Alarms) watch(ctx context.Context) {
	tick := a.opts.Seconds()
	if len(a.onAge) > 0 {
		tick = time.Tick(ageEvery)
	}
	for {
		a.check()
		a.release()
		select {
		case <-tick:
		case <-a.wake:
		case <-ctx.Done():
			a.release()
			return
		}
	}
}
