package hub

import "time"

const (
	// twinTime is how long it is shown that there were two.
	twinTime = time.Hour
	twinText = "two devices connect as this gateway, in turn; fix: give one of them a name of its own: gateway hub code, and gateway enroll --force there"
)

// twins tell two devices with the same identity, such as one with a copy of the other's
// card, from one that is started again and again: a start that was over is not seen again.
// That twice, for a broker may repeat itself.
type twins struct {
	nonce, before string // of the newest start, and of the one that it took the place of
	returns       int
	found         time.Time
}

// sawStart takes the nonce of a hello.
func (r *Remote) sawStart(nonce string) {
	now := r.registry.o.Now()
	r.mu.Lock()
	switch nonce {
	case r.nonce:
		r.mu.Unlock()
		return
	case r.before:
		r.returns++
	default:
		r.returns = 0
	}
	r.nonce, r.before = nonce, r.nonce
	told := now.Sub(r.found) < twinTime
	if r.returns >= 2 {
		r.found = now
		r.touch()
	}
	tell := r.returns >= 2 && !told
	r.mu.Unlock()
	if tell {
		r.registry.o.Log.Warn(twinText, "gateway", r.name)
	}
}
