package gateway

import "time"

// perSecond is how many messages a client may send in any second (protocol.md,
// section 5).
const perSecond = 20

// window is a sliding window over the last messages of a client.
type window struct {
	at   [perSecond]time.Duration // since started, of the last messages; a ring
	next int
	full bool
}

var started = time.Now() // the origin of monotonic times that are kept small

// take counts a message at now, and returns whether it is allowed.
func (w *window) take(now time.Time) bool {
	t := now.Sub(started)
	if w.full && t-w.at[w.next] < time.Second {
		return false
	}
	w.at[w.next] = t
	if w.next++; w.next == perSecond {
		w.next, w.full = 0, true
	}
	return true
}
