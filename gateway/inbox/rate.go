package inbox

import "time"

// PerSecond is how many messages a client may send in any second (wire/README.md,
// "The connection").
const PerSecond = 20

// limiter is a sliding window over the last messages of a client.
type limiter struct {
	at   [PerSecond]time.Duration // since started, of the last messages; a ring
	next int
	full bool
}

var started = time.Now() // the origin of times, so that they take 8 bytes

// take counts a message at now, and returns whether it is allowed.
func (l *limiter) take(now time.Time) bool {
	t := now.Sub(started)
	if l.full && t-l.at[l.next] < time.Second {
		return false
	}
	l.at[l.next] = t
	if l.next++; l.next == PerSecond {
		l.next, l.full = 0, true
	}
	return true
}
