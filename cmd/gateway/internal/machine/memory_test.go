package machine

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Memory is given back soon after many clients have left, and not looked for at rest.
func TestFreeMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		begin := time.Now()
		var taken, live atomic.Int64
		taken.Store(12 << 20)
		live.Store(12 << 20)
		var at []int
		done := make(chan struct{})
		go func() {
			freeMemory(ctx, taken.Load, func() int { return 20 }, func() {
				at = append(at, int(time.Since(begin).Seconds()))
				taken.Store(live.Load())
			})
			close(done)
		}()
		time.Sleep(time.Minute + time.Second) // at rest: nothing is looked for
		taken.Store(60 << 20)                 // a storm that is over
		time.Sleep(30 * time.Second)
		live.Store(50 << 20) // many clients
		taken.Store(50 << 20)
		time.Sleep(3 * time.Minute)
		live.Store(12 << 20) // that leave
		time.Sleep(time.Minute)
		cancel()
		<-done
		if want := []int{70, 100, 120, 160, 200, 240, 280}; !slices.Equal(at, want) {
			t.Errorf("freed at %v s, want %v", at, want)
		}
	})
}

// When most clients leave after a long time, what they took is given back at the next
// look, however rarely there was something to give until then.
func TestFreeMemoryWhenClientsLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		begin := time.Now()
		var taken, live, running atomic.Int64
		taken.Store(60 << 20) // many clients, for minutes
		live.Store(60 << 20)
		running.Store(10_000)
		var at []int
		done := make(chan struct{})
		go func() {
			freeMemory(ctx, taken.Load, func() int { return int(running.Load()) }, func() {
				at = append(at, int(time.Since(begin).Seconds()))
				taken.Store(live.Load())
			})
			close(done)
		}()
		time.Sleep(155 * time.Second)
		running.Store(9_000) // some leave, which is nothing special
		time.Sleep(20 * time.Second)
		running.Store(20)
		live.Store(20 << 20)
		time.Sleep(10 * time.Second)
		cancel()
		<-done
		if want := []int{10, 30, 70, 110, 150, 180}; !slices.Equal(at, want) {
			t.Errorf("freed at %v s, want %v", at, want)
		}
	})
}

func TestMemoryTaken(t *testing.T) {
	if n := memoryTaken(); n < 1<<20 || n > 1<<34 {
		t.Errorf("%d bytes", n)
	}
}

// A few clients that leave are no reason to look for what they took.
func TestFreeMemoryWhenFewLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var running, freed atomic.Int64
		running.Store(memoryClients - 1)
		done := make(chan struct{})
		go func() {
			freeMemory(ctx, func() int64 { return 20 << 20 }, func() int { return int(running.Load()) }, func() { freed.Add(1) })
			close(done)
		}()
		time.Sleep(35 * time.Second) // after 10 and 30
		running.Store(0)
		time.Sleep(20 * time.Second)
		cancel()
		<-done
		if n := freed.Load(); n != 2 {
			t.Errorf("freed %d times, want 2", n)
		}
	})
}
