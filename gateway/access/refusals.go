package access

import (
	"log/slog"
	"sync"
	"time"
)

// The reasons of a [Guard].
const (
	ReasonHost   = "host"
	ReasonOrigin = "origin"
	ReasonForm   = "form"  // what is presented cannot be understood
	ReasonScope  = "scope" // not what its sender may see
	ReasonToken  = "token" // none, or a wrong one
)

// refusalPeriod is the least time between two log lines for the same reason: a client
// that is refused can try again a thousand times a second.
const refusalPeriod = time.Minute

// Refusals counts who was refused, by reason, and logs it, one line a reason and
// minute at most.
type Refusals struct {
	log *slog.Logger

	mu      sync.Mutex
	reasons map[string]*refusal
}

// refusal is one reason.
type refusal struct {
	count  uint64
	logged uint64    // the count at the last line
	at     time.Time // of that line
}

// NewRefusals returns counters for the reasons, and for others as they come. They begin
// at zero, so that a metric shows the first refusal as an increase.
func NewRefusals(log *slog.Logger, reasons ...string) *Refusals {
	r := &Refusals{log: log, reasons: map[string]*refusal{}}
	for _, reason := range reasons {
		r.reasons[reason] = &refusal{}
	}
	return r
}

// Refused counts a refusal. The reason is one of a few fixed words, by which refusals
// are counted and logged; client is where the request came from, why the text for people.
func (r *Refusals) Refused(reason, client, why string) {
	r.mu.Lock()
	n := r.reasons[reason]
	if n == nil {
		n = &refusal{}
		r.reasons[reason] = n
	}
	n.count++
	now := time.Now()
	since := n.count - n.logged
	if n.logged > 0 && now.Sub(n.at) < refusalPeriod {
		r.mu.Unlock()
		return
	}
	n.logged, n.at = n.count, now
	r.mu.Unlock()
	r.log.Warn("a client was refused", "reason", reason, "client", client, "why", why, "refused_since_last_line", since)
}

// Counts returns how many were refused, by reason.
func (r *Refusals) Counts() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := map[string]uint64{}
	for reason, n := range r.reasons {
		counts[reason] = n.count
	}
	return counts
}
