package limit

import "time"

// PerSecond is how many messages a client may send in any second (wire/README.md,
// "The connection").
const PerSecond = 20

// A Rate is a sliding window over the last messages of a client, or over anything else
// that may come [PerSecond] times a second. One goroutine at a time uses it.
type Rate struct {
	at   [PerSecond]time.Duration // since started, of the last messages; a ring
	next int
	full bool
}

var started = time.Now() // the origin of times, so that they take 8 bytes

// Take counts a message at now, and returns whether it is allowed.
func (r *Rate) Take(now time.Time) bool {
	t := now.Sub(started)
	if r.full && t-r.at[r.next] < time.Second {
		return false
	}
	r.at[r.next] = t
	if r.next++; r.next == PerSecond {
		r.next, r.full = 0, true
	}
	return true
}
