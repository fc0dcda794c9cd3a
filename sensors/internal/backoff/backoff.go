// Package backoff is the pause before a bus or a chip that failed is tried again.
package backoff

import "time"

const (
	minPause = 250 * time.Millisecond
	maxPause = 5 * time.Second
)

// Backoff is such a pause: 250 ms after the first failure, doubling with each
// further one up to 5 s. The zero value does not wait.
type Backoff struct {
	pause time.Duration
	until time.Time
}

// Fail begins the next pause.
func (b *Backoff) Fail() {
	b.pause = min(max(2*b.pause, minPause), maxPause)
	b.until = time.Now().Add(b.pause)
}

// Waiting reports whether the pause has not passed.
func (b *Backoff) Waiting() bool { return time.Now().Before(b.until) }

// Reset forgets the failures.
func (b *Backoff) Reset() { *b = Backoff{} }
