// Package twin detects two devices with the same identity, such as one with a copy of the
// other's card, by the nonces of their starts.
//
// It refuses to know how a start is noticed, and who is told.
package twin

import "time"

// Time is how long it is shown that there were two.
const Time = time.Hour

// Finder finds whether the starts of a gateway are those of two devices. Of one device that
// often restarts, no nonce is seen again once there is a newer one. A nonce must come back
// twice, because a broker may repeat a message.
type Finder struct {
	nonce, before string // of the newest start, and of the one before it
	returns       int
	found         time.Time
}

// Saw takes the nonce of a start. two: it shows that there are two devices; news: which was
// not known yet.
func (f *Finder) Saw(nonce string, now time.Time) (two, news bool) {
	switch nonce {
	case f.nonce:
		return false, false
	case f.before:
		f.returns++
	default:
		f.returns = 0
	}
	f.nonce, f.before = nonce, f.nonce
	if f.returns < 2 {
		return false, false
	}
	_, known := f.Found(now)
	f.found = now
	return true, !known
}

// Found returns when two were last seen, if that was lately.
func (f *Finder) Found(now time.Time) (at time.Time, lately bool) {
	return f.found, !f.found.IsZero() && now.Sub(f.found) < Time
}
