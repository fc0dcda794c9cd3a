package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// standstill is after which time without a beat /healthz says so.
const standstill = 5 * time.Second

// pulse watches counters that grow at least once a second while their owners work.
type pulse struct {
	err atomic.Pointer[error]
}

// watch looks at the counters once a second until ctx ends.
func (p *pulse) watch(ctx context.Context, parts map[string]func() int64) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last, since := map[string]int64{}, map[string]time.Time{}
	for {
		now := time.Now()
		var err error
		for name, beats := range parts {
			if n := beats(); n != last[name] || since[name].IsZero() {
				last[name], since[name] = n, now
			} else if now.Sub(since[name]) >= standstill {
				err = errors.New(name + " stands still")
			}
		}
		p.err.Store(&err)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// check returns what stands still.
func (p *pulse) check() error {
	if err := p.err.Load(); err != nil {
		return *err
	}
	return nil // not begun
}
