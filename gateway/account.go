package gateway

import (
	"sensorgateway/gateway/window"
	"sensorgateway/wire"
)

// account counts a session's readings, under the broadcaster's lock. While the
// session is quick, it follows from its feed's totals and costs nothing; when it is
// slow, each reading is counted.
type account struct {
	settled wire.Stats     // up to base, without what waits
	base    totals         // the feed's when it was settled
	waiting *window.Window // what the client has not taken; nil while it is quick
	pending uint64         // numbers that a replay is still to bring
}

// totals count the readings of a feed, which are those of each of its members.
type totals struct {
	records, missed uint64
}

// settle brings the account up to the feed's present totals.
func (a *account) settle(now totals) {
	records, missed := now.records-a.base.records, now.missed-a.base.missed
	a.settled.Produced += records + missed
	a.settled.Missed += missed
	if a.waiting == nil {
		a.settled.Delivered += records
	}
	a.base = now
}

// stats returns the account. It must be settled.
func (a *account) stats() wire.Stats {
	s := a.settled
	s.Queued = a.pending
	if w := a.waiting; w != nil {
		kept := uint64(w.Kept())
		s.Queued += kept
		s.Conflated += uint64(w.Total()) - kept
	}
	return s
}

// cancel ends the subscription with its window: what is in it is no longer due.
func (a *account) cancel() {
	if a.waiting != nil {
		a.settled.Produced -= uint64(a.waiting.Total())
		a.waiting = nil
	}
}

// missing takes numbers out of what a replay is to bring that have no record.
func (a *account) missing(n uint64) {
	a.pending -= n
	a.settled.Missed += n
}

// delivered takes a batch out of the window: the connection has taken it.
func (a *account) delivered(batch *window.Window) {
	kept := uint64(batch.Kept())
	a.settled.Delivered += kept
	a.settled.Conflated += uint64(batch.Total()) - kept
	a.waiting.Remove(batch)
}
