// Package timer waits for moments: with the runtime's timers, or with the kernel's, where
// there are some (Linux: timerfd_create(2)).
//
// A runtime's timer that is due wakes two threads, the one that runs the goroutine and
// the runtime's monitor; and since the runtime waits for events in whole milliseconds,
// the former often wakes twice. A kernel's timer is an event of the poller like any
// other, and exact: it wakes one thread. At ten ticks a second, of an otherwise idle
// program, the difference is most of what it costs.
//
// It refuses to know what is waited for.
package timer

import (
	"sync"
	"time"
)

// Kind is whose timers are used. The zero value is [Runtime].
type Kind int

const (
	// Runtime is Go's, which tests can hurry (testing/synctest).
	Runtime Kind = iota
	// Kernel is the kernel's, or the runtime's where there are none.
	Kernel
)

// A Timer reports when a time has passed. One goroutine uses it, and closes it.
type Timer struct {
	c       <-chan time.Time
	runtime *time.Timer
	kernel  *descriptor // nil: the runtime's is used
	ended   chan struct{}

	mu    sync.Mutex     // guards what follows; used with a kernel's timer only
	over  chan time.Time // the same channel as c
	armed bool           // the end of the last Reset's time has not been reported
}

// New returns a timer that is stopped.
func New(kind Kind) *Timer {
	if kind == Kernel {
		if d, err := newDescriptor(); err == nil {
			c := make(chan time.Time, 1)
			t := &Timer{c: c, over: c, kernel: d, ended: make(chan struct{})}
			go t.run()
			return t
		}
	}
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &Timer{c: t.C, runtime: t}
}

// C has a value when the time of the last Reset has passed, and none after Stop.
func (t *Timer) C() <-chan time.Time { return t.c }

// run sends on C when the time has passed, until the descriptor is closed. What has woken it
// may belong to an earlier Reset: then the time of the last one is still running.
func (t *Timer) run() {
	defer close(t.ended)
	for t.kernel.wait() {
		t.mu.Lock()
		if t.armed && !t.kernel.running() {
			t.armed = false
			t.over <- time.Now() // it was emptied when the timer was armed
		}
		t.mu.Unlock()
	}
}

// Reset has the timer report when d has passed from now on, and nothing of an earlier Reset.
func (t *Timer) Reset(d time.Duration) {
	if t.kernel == nil {
		t.runtime.Reset(d)
		return
	}
	t.set(max(d, 1), true) // 0 would stop it
}

// Stop has the timer report nothing until the next Reset.
func (t *Timer) Stop() {
	if t.kernel == nil {
		t.runtime.Stop()
		return
	}
	t.set(0, false)
}

func (t *Timer) set(d time.Duration, armed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.armed = armed
	select {
	case <-t.over:
	default:
	}
	t.kernel.set(d)
}

// Close ends the use of the timer.
func (t *Timer) Close() {
	t.Stop()
	if t.kernel != nil {
		t.kernel.close()
		<-t.ended
	}
}

// A Sleeper lets one goroutine at a time sleep.
type Sleeper struct {
	runtime *time.Timer
	kernel  *descriptor // nil: the runtime's is used
}

// NewSleeper returns a sleeper, whose descriptor, if it has one, is closed by Close, or when
// nobody refers to it any more.
func NewSleeper(kind Kind) *Sleeper {
	if kind == Kernel {
		if d, err := newDescriptor(); err == nil {
			return &Sleeper{kernel: d}
		}
	}
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &Sleeper{runtime: t}
}

// Sleep sleeps for at least d.
func (s *Sleeper) Sleep(d time.Duration) {
	if s.kernel == nil || d <= 0 {
		time.Sleep(d)
		return
	}
	s.kernel.set(d)
	s.kernel.wait()
}

// WakeIn ends Wait when d has passed from now on, and not before. Any goroutine may call it,
// and the last call counts.
func (s *Sleeper) WakeIn(d time.Duration) {
	if s.kernel == nil {
		s.runtime.Reset(d)
		return
	}
	s.kernel.set(max(d, 1)) // 0 would stop it
}

// Wait sleeps until the time of WakeIn has passed. Each WakeIn ends one Wait only.
func (s *Sleeper) Wait() {
	if s.kernel == nil {
		<-s.runtime.C
		return
	}
	s.kernel.wait()
}

// Close ends the use of the sleeper: nobody sleeps, or wakes it any more.
func (s *Sleeper) Close() {
	if s.kernel == nil {
		s.runtime.Stop()
		return
	}
	s.kernel.close()
}
