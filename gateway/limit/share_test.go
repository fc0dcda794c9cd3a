package limit

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// However many work, they take two thirds of one core, and all get on alike.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		share, begin := NewShare(), time.Now()
		var mu sync.Mutex
		var all sync.WaitGroup
		worked, working := [8]time.Duration{}, 0
		for i := range worked {
			all.Go(func() {
				s := Slice{Share: share}
				s.Begin(context.Background())
				for time.Since(begin) < time.Second {
					mu.Lock()
					if working++; working > 1 {
						t.Error("two work at a time")
					}
					mu.Unlock()
					time.Sleep(500 * time.Microsecond)
					worked[i] += 500 * time.Microsecond
					mu.Lock()
					working--
					mu.Unlock()
					s.Yield(context.Background())
				}
				s.End()
			})
		}
		all.Wait()
		sum := time.Duration(0)
		for i, w := range worked {
			sum += w
			if w < 60*time.Millisecond || w > 110*time.Millisecond {
				t.Errorf("the %d. worked %v of 1 s", i, w)
			}
		}
		if sum < 600*time.Millisecond || sum > 700*time.Millisecond {
			t.Errorf("they worked %v of 1 s", sum)
		}
	})
}

// A slice that hangs delays the others for a moment only.
func TestShareWithADiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		share := NewShare()
		hangs := Slice{Share: share}
		hangs.Begin(context.Background())
		begin := time.Now()
		other := Slice{Share: share}
		other.Begin(context.Background())
		if took := time.Since(begin); took != shareTime {
			t.Errorf("the other waits %v", took)
		}
		other.End()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		other.Begin(ctx)
		hangs.End()
		if took := time.Since(begin); took != shareTime+longestPause {
			t.Errorf("it all took %v", took)
		}
		other.Begin(context.Background())
		other.End()
		new(Slice).Begin(ctx) // without a share nothing waits
	})
}
