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
	blind   bool   // and what that is, is not known: the numbers begin anywhere behind it
	ahead   []span // what came beyond it, in order and apart from each other
	next    entry

	recovered, lost uint32 // numbers not reported yet: that came by replay, and that it left out
}

// span is a run of numbers without gaps, except those that were reported as missed.
type span struct{ first, last uint32 }

// entry is how the next live number goes with those before.
type entry uint8

const (
	anywhere entry = iota // it is the first
	follows               // it follows the last: what lies between is lost
	apart                 // what lies between may be replayed
)

// maxAhead is how many spans are remembered: each takes a connection that ended
// before its replay did.
const maxAhead = 16

// see takes the next record of the sensor. It returns false for a number that
// came before, else how many are missing right before it in the live lane.
func (t *track) see(r wire.Record) (missed uint32, isNew bool) {
	if r.Flags&wire.Historical != 0 {
		return 0, t.replayed(r.Seq)
	}
	return t.live(r.Seq)
}

func (t *track) live(n uint32) (missed uint32, isNew bool) {
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
	return missed, true
}

func (t *track) replayed(n uint32) (isNew bool) {
	if t.next == anywhere {
		return true // nobody asked for it here
	}
	if !wire.Before(t.settled, n) || slices.ContainsFunc(t.ahead, func(s span) bool { return n-s.first <= s.last-s.first }) {
		return false
	}
	t.recovered++
	t.settle(n - 1)
	t.blind = false
	t.settle(n)
	t.lost-- // n itself is not
	return true
}

// last is the highest number that came.
func (t *track) last() uint32 {
	if k := len(t.ahead); k > 0 {
		return t.ahead[k-1].last
	}
	return t.settled
}

// settle says that nothing up to this number will come any more: what did not is
// lost.
func (t *track) settle(to uint32) {
	lost := uint32(0)
	join := func() {
		lost += t.ahead[0].first - t.settled - 1
		t.settled = t.ahead[0].last
		t.ahead = slices.Delete(t.ahead, 0, 1)
	}
	for len(t.ahead) > 0 && !wire.Before(to, t.ahead[0].first) {
		join()
	}
	if wire.Before(t.settled, to) {
		lost += to - t.settled
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
