package timer

import (
	"testing"
	"time"
)

// kinds calls f with each kind of timer.
func kinds(t *testing.T, f func(*testing.T, Kind)) {
	for name, kind := range map[string]Kind{"runtime": Runtime, "kernel": Kernel} {
		t.Run(name, func(t *testing.T) { f(t, kind) })
	}
}

// A timer reports when the time of its last Reset has passed, not before, and not after it
// was stopped.
func TestTimer(t *testing.T) {
	kinds(t, func(t *testing.T, kind Kind) {
		timer := New(kind)
		defer timer.Close()
		timer.Reset(time.Hour)
		for _, d := range []time.Duration{3 * time.Millisecond, time.Microsecond, 0, -time.Second} {
			begin := time.Now()
			timer.Reset(d)
			<-timer.C()
			if took := time.Since(begin); took < d {
				t.Errorf("%v is over after %v", d, took)
			}
		}
		timer.Reset(time.Millisecond)
		NewSleeper(kind).Sleep(5 * time.Millisecond)
		timer.Reset(time.Hour)
		select {
		case <-timer.C():
			t.Error("it speaks of the time before")
		default:
		}
		timer.Reset(5 * time.Millisecond)
		timer.Stop()
		sleeper := NewSleeper(kind)
		sleeper.Sleep(15 * time.Millisecond) // longer than what was stopped
		select {
		case <-timer.C():
			t.Error("it speaks although it was stopped")
		default:
		}
	})
}

// Close ends the goroutine that waits, also while the timer runs.
func TestTimerClosed(t *testing.T) {
	kinds(t, func(t *testing.T, kind Kind) {
		timer := New(kind)
		timer.Reset(time.Hour)
		timer.Close()
		if timer.ended != nil {
			<-timer.ended
		}
	})
}

func TestSleeper(t *testing.T) {
	kinds(t, func(t *testing.T, kind Kind) {
		s := NewSleeper(kind)
		for _, d := range []time.Duration{2 * time.Millisecond, time.Millisecond, time.Microsecond, 0, -1} {
			begin := time.Now()
			s.Sleep(d)
			if took := time.Since(begin); took < d {
				t.Errorf("slept for %v instead of %v", took, d)
			}
		}
	})
}

// It wakes when the time of the last WakeIn has passed, also if that is called during Wait.
func TestWakeIn(t *testing.T) {
	kinds(t, func(t *testing.T, kind Kind) {
		sleeper := NewSleeper(kind)
		for _, d := range []time.Duration{3 * time.Millisecond, time.Microsecond, 0, -time.Second} {
			begin := time.Now()
			sleeper.WakeIn(time.Hour)
			sleeper.WakeIn(d)
			sleeper.Wait()
			if took := time.Since(begin); took < d {
				t.Errorf("%v is over after %v", d, took)
			}
		}
		sleeper.WakeIn(time.Hour)
		woken := make(chan struct{})
		go func() {
			sleeper.Wait()
			close(woken)
		}()
		NewSleeper(kind).Sleep(time.Millisecond) // it waits, most probably
		sleeper.WakeIn(0)
		<-woken
		sleeper.Close()
	})
}

// Every tick uses all of these.
func TestAllocatesNothing(t *testing.T) {
	kinds(t, func(t *testing.T, kind Kind) {
		timer, sleeper := New(kind), NewSleeper(kind)
		defer timer.Close()
		defer sleeper.Close()
		if allocs := testing.AllocsPerRun(100, func() {
			timer.Reset(time.Microsecond)
			<-timer.C()
			timer.Stop()
			sleeper.Sleep(time.Microsecond)
			sleeper.WakeIn(time.Microsecond)
			sleeper.Wait()
		}); allocs != 0 {
			t.Errorf("%v allocations", allocs)
		}
	})
}
