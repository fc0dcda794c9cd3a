package machine

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Memory is given back soon after a storm, and not looked for where there is none.
func TestFreeMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		begin, taken, live := time.Now(), int64(12<<20), int64(12<<20)
		var at []int
		done := make(chan struct{})
		go func() {
			freeMemory(ctx, func() int64 { return taken }, func() {
				at = append(at, int(time.Since(begin).Seconds()))
				taken = live
			})
			close(done)
		}()
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		pass(time.Minute + time.Second) // at rest
		taken = 60 << 20                // a storm that is over
		pass(30 * time.Second)
		live, taken = 50<<20, 50<<20 // many clients
		pass(3 * time.Minute)
		live = 12 << 20 // that leave
		pass(time.Minute)
		cancel()
		<-done
		if want := []int{70, 100, 120, 160, 200, 240, 280}; !slices.Equal(at, want) {
			t.Errorf("freed at %v s, want %v", at, want)
		}
	})
}

func TestMemoryTaken(t *testing.T) {
	if n := memoryTaken(); n < 1<<20 || n > 1<<34 {
		t.Errorf("%d bytes", n)
	}
}
