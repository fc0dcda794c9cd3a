package supervise

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A part that makes no progress for 5 s has stopped, and until it goes on.
func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pulse
		if err := p.Check(); err != nil {
			t.Errorf("before it runs: %v", err)
		}
		var ticks, broadcasts atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- p.Watch(ctx, time.Tick(time.Second), map[string]func() int64{"the scheduler": ticks.Load, "the broadcast": broadcasts.Load})
		}()
		for second, want := range []string{"", "", "", "", "", "the broadcast has stopped", "the broadcast has stopped"} {
			synctest.Wait()
			got := ""
			if err := p.Check(); err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("after %d s: %q, want %q", second, got, want)
			}
			ticks.Add(1)
			time.Sleep(time.Second)
		}
		broadcasts.Add(1)
		time.Sleep(time.Second)
		synctest.Wait()
		if err := p.Check(); err != nil {
			t.Errorf("it goes on, but %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
