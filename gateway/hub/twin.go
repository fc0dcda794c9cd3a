package hub

import "time"

const (
	// twinTime is how long it is shown that there were two.
	twinTime = time.Hour
	twinText = "two devices connect as this gateway, in turn; fix: give one of them a name of its own: gateway hub code, and gateway enroll --force there"
)

// twins detects two devices with the same identity, such as one with a copy of the other's
// card. Of one device that often restarts, no nonce is seen again once there is a newer one.
// A nonce must come back twice, because a broker may repeat a message.
type twins struct {
	nonce, before string // of the newest start, and of the one before it
	returns       int
	found         time.Time
}

// sawStart takes the nonce of a hello.
func (r *Remote) sawStart(nonce string) {
	if r.twinsFound(nonce) {
		r.registry.o.Log.Warn(twinText, "gateway", r.name)
	}
}

// twinsFound returns whether there are two devices and that was not known yet.
func (r *Remote) twinsFound(nonce string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.twins
	switch nonce {
	case t.nonce:
		return false
	case t.before:
		t.returns++
	default:
		t.returns = 0
	}
	t.nonce, t.before = nonce, t.nonce
	if t.returns < 2 {
		return false
	}
	now := r.registry.o.Now()
	known := now.Sub(t.found) < twinTime
	t.found = now
	r.touch()
	return !known
}
