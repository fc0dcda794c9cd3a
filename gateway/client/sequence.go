package client

import (
	"slices"

	"sensorgateway/wire"
)

// track is which sequence numbers of one sensor came. They come in two lanes,
// each in order: live, and replayed ones that fill what live has left out. So
// replay moves the frontier below which everything is settled, and what came
// live beyond it is remembered until replay has caught up.
type track struct {
	settled uint32 // this number and all before it came, or are lost for good
	blind   bool   // settled is only a lower bound: the numbers begin somewhere after it
	ahead   []span // what came beyond it, in order and apart from each other
	next    entry
	gone    []absence // what was reported as missing, and may still come
	late    bool      // some of that has come: the server is a hub

	recovered, lost uint32 // numbers not reported yet: that came by replay, and that it left out
}

// span is a run of numbers without gaps, except those that were reported as missed.
type span struct{ first, last uint32 }

func (s span) has(n uint32) bool { return n-s.first <= s.last-s.first }

// absence is a run of numbers that did not come.
type absence struct {
	span
	conflated bool // others stand for them
}

// entry says how the next live number relates to those before.
type entry uint8

const (
	anywhere entry = iota // it is the first
	follows               // it follows the last: what lies between is lost
	apart                 // what lies between may be replayed
)

// maxAhead is how many spans are remembered: there is one for each connection that
// ended before its replay did.
const maxAhead = 16

// maxGone is how many absences are remembered: a hub fills no more at a time.
const maxGone = 64

// see takes the next record of the sensor. isNew is false for a number that came
// before. Else missed is how many are missing right before it in the live lane, and
// late says that it was itself reported as missing.
func (t *track) see(r wire.Record) (missed uint32, late, isNew bool) {
	if r.Flags&wire.Historical != 0 {
		late, isNew = t.replayed(r.Seq)
		return 0, late, isNew
	}
	missed, isNew = t.live(r.Seq, r.Flags&wire.Conflated != 0)
	return missed, false, isNew
}

func (t *track) live(n uint32, conflated bool) (missed uint32, isNew bool) {
	last := t.last()
	switch {
	case t.next == anywhere:
		t.settled, t.next = n, follows
		return 0, true
	case !wire.Before(last, n):
		return 0, false
	}
	missed = n - last - 1
	switch k := len(t.ahead); {
	case t.next == apart && missed > 0:
		t.ahead, missed = append(t.ahead, span{n, n}), 0
	case k > 0:
		t.ahead[k-1].last = n
	default:
		t.settled = n
	}
	t.next = follows
	if missed > 0 {
		t.miss(last+1, n-1, conflated)
	}
	return missed, true
}

func (t *track) replayed(n uint32) (late, isNew bool) {
	i := slices.IndexFunc(t.gone, func(a absence) bool { return a.has(n) })
	switch {
	case t.next == anywhere:
		return false, true // nobody asked for it here
	case i >= 0:
		late = !t.gone[i].conflated
		t.late = t.late || late
	case !wire.Before(t.settled, n), slices.ContainsFunc(t.ahead, func(s span) bool { return s.has(n) }):
		return false, false
	default:
		t.recovered++
		t.settle(n - 1)
		t.blind = false
		t.settle(n)
		t.lost-- // n itself is not
	}
	t.pass(n)
	return late, true
}

// miss remembers that these numbers did not come.
func (t *track) miss(first, last uint32, conflated bool) {
	if len(t.gone) == maxGone {
		t.gone = slices.Delete(t.gone, 0, 1)
	}
	t.gone = append(t.gone, absence{span{first, last}, conflated})
}

// pass notes that nothing up to this number comes any more: replay is in order.
func (t *track) pass(n uint32) {
	t.gone = slices.DeleteFunc(t.gone, func(a absence) bool { return !wire.Before(n, a.last) })
	for i, a := range t.gone {
		if a.has(n) {
			t.gone[i].first = n + 1
		}
	}
}

// since is the number after which to ask for what was missed: the one up to which all
// is settled; of a hub, the last one before what may still come late.
func (t *track) since() uint32 {
	since := t.settled
	for _, a := range t.gone {
		if t.late && !a.conflated && wire.Before(a.first-1, since) {
			since = a.first - 1
		}
	}
	return since
}

// last is the highest number that came.
func (t *track) last() uint32 {
	if k := len(t.ahead); k > 0 {
		return t.ahead[k-1].last
	}
	return t.settled
}

// settle ends the wait for numbers up to this one: those that did not come are lost,
// unless a hub gets them later.
func (t *track) settle(to uint32) {
	lost := uint32(0)
	lose := func(last uint32) {
		if last == t.settled {
			return
		}
		if lost += last - t.settled; !t.blind {
			t.miss(t.settled+1, last, false)
		}
	}
	join := func() {
		lose(t.ahead[0].first - 1)
		t.settled = t.ahead[0].last
		t.ahead = slices.Delete(t.ahead, 0, 1)
	}
	for len(t.ahead) > 0 && !wire.Before(to, t.ahead[0].first) {
		join()
	}
	if wire.Before(t.settled, to) {
		lose(to)
		t.settled = to
	}
	if len(t.ahead) > 0 && t.ahead[0].first == t.settled+1 {
		join()
	}
	if !t.blind {
		t.lost += lost
	}
	t.blind = t.blind && lost == 0
}
