package timer

import (
	"context"
	"sync"
	"time"
)

// Seconds lets goroutines work once a second, all at the same moments, so that the
// machine wakes once for all of them.
type Seconds struct {
	kind Kind

	mu  sync.Mutex
	all []chan time.Time
}

// NewSeconds returns a Seconds whose channels get nothing until [Seconds.Run].
func NewSeconds(kind Kind) *Seconds { return &Seconds{kind: kind} }

// C returns a channel of size 1 for the caller alone, which is never removed. Once a second
// it gets the time, unless the value before has not been taken.
func (s *Seconds) C() <-chan time.Time {
	c := make(chan time.Time, 1)
	s.mu.Lock()
	s.all = append(s.all, c)
	s.mu.Unlock()
	return c
}

// Run sends at whole seconds of the system clock, when sensors measure too, until ctx
// ends.
func (s *Seconds) Run(ctx context.Context) error {
	t := New(s.kind)
	defer t.Close()
	for {
		t.Reset(untilNext(time.Now()))
		select {
		case now := <-t.C():
			s.speak(now)
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Seconds) speak(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.all {
		select {
		case c <- now:
		default:
		}
	}
}

// untilNext returns how long it is to the next whole second, or to the one after it if that is
// nearer to a second from now: the system clock may be slewed, or step.
func untilNext(now time.Time) time.Duration {
	d := time.Second - time.Duration(now.Nanosecond())
	if d < time.Second/2 {
		d += time.Second
	}
	return d
}
