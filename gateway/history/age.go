package history

import (
	"fmt"
	"time"
)

const (
	// durableMax is how old the oldest reading may be that is not durable yet: a sync
	// begins once a second, and takes its time.
	durableMax = 2 * time.Second
	// durableAgain is how long a slow disk must keep up before it is said that readings
	// are durable again, so that one at the limit does not say so every second.
	durableAgain = 3 * time.Second
)

// waiting is since when readings wait to become durable; zero: none do. Log.mu guards
// it.
type waiting struct {
	since   time.Time // those that no sync covers yet
	covered time.Time // those whose sync is in progress
	slow    time.Time // when it was last seen that they had waited too long
}

// appended notes that there are new readings.
func (w *waiting) appended(now time.Time) {
	if w.since.IsZero() {
		w.since = now
	}
}

// syncing notes that a sync begins. It does not cover what was queued at queued or later.
func (w *waiting) syncing(queued time.Time) {
	w.covered = earlier(w.covered, w.since)
	w.since = queued
}

// synced notes that the sync has ended.
func (w *waiting) synced(err error) {
	if now := time.Now(); !w.covered.IsZero() && now.Sub(w.covered) > durableMax {
		w.slow = now
	}
	if err != nil {
		w.since = earlier(w.since, w.covered)
	}
	w.covered = time.Time{}
}

// earlier returns the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// slowError says that the disk is too slow, or has stopped to answer.
type slowError struct{ waited time.Duration }

func (e slowError) Error() string {
	return fmt.Sprintf("readings have waited for the disk for %v", e.waited.Round(100*time.Millisecond))
}

// DurableAge returns how long the oldest reading has waited that is not durable yet: a
// power cut now loses that much. 0: all are durable.
func (l *Log) DurableAge() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durableAge()
}

func (l *Log) durableAge() time.Duration {
	if first := earlier(l.waiting.since, l.waiting.covered); !first.IsZero() {
		return time.Since(first)
	}
	return 0
}

// keepsUp returns whether the disk has kept up for long enough.
func (l *Log) keepsUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.waiting.slow) >= durableAgain
}

// Durable returns why a power cut would lose more than the newest 2 s of readings, nil
// if it would not.
func (l *Log) Durable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure != nil && l.failure != errStarting {
		return l.failure
	}
	if age := l.durableAge(); age > durableMax {
		return slowError{age}
	}
	return l.failure
}
