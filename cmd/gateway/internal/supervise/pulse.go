package supervise

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// stoppedAfter is how long a part may make no progress before /healthz fails.
const stoppedAfter = 5 * time.Second

// Pulse checks counters that grow at least once a second while their parts work.
type Pulse struct {
	err atomic.Pointer[error]
}

// Watch checks the counters at each tick, once a second, until ctx ends.
func (p *Pulse) Watch(ctx context.Context, tick <-chan time.Time, parts map[string]func() int64) error {
	last, since := map[string]int64{}, map[string]time.Time{}
	for {
		now := time.Now()
		var err error
		for name, beats := range parts {
			if n := beats(); n != last[name] || since[name].IsZero() {
				last[name], since[name] = n, now
			} else if now.Sub(since[name]) >= stoppedAfter {
				err = errors.New(name + " has stopped")
			}
		}
		p.err.Store(&err)
		select {
		case <-tick:
		case <-ctx.Done():
			return nil
		}
	}
}

// Check returns which part has stopped, nil if all work.
func (p *Pulse) Check() error {
	if err := p.err.Load(); err != nil {
		return *err
	}
	return nil // nothing runs yet
}
