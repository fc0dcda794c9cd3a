// Package backoff is the pause before a bus or a chip that failed is tried again. It
// refuses to know what failed, and does not try anything itself.
package backoff

import "time"

const (
	maxDoublings = 4
	maxPause     = 30 * time.Second
)

// Backoff is such a pause. It is as long as the failure took; with each further failure
// it doubles, up to 16 times that, and 30 s at most. So what fails at once is tried again
// at once, and what holds a bus for seconds leaves it to the others for most of the time.
// The zero value does not wait.
type Backoff struct {
	failures int // doublings of the next pause
	until    time.Time
}

// Fail begins the next pause, after a failure that took cost.
func (b *Backoff) Fail(cost time.Duration) {
	b.until = time.Now().Add(min(max(cost, 0)<<b.failures, maxPause))
	b.failures = min(b.failures+1, maxDoublings)
}

// Waiting reports whether the pause has not passed.
func (b *Backoff) Waiting() bool { return time.Now().Before(b.until) }

// Reset forgets the failures.
func (b *Backoff) Reset() { *b = Backoff{} }
