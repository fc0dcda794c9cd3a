package window

import "sensorgateway/wire"

// An Account counts a client's readings. While the client is quick, it follows from its
// feed's totals and costs nothing; when it is slow, each reading is counted.
type Account struct {
	Settled wire.Stats // up to Base, without what waits
	Base    Totals     // the feed's when it was settled
	Waiting *Window    // what the client has not taken; nil while it is quick
	Pending uint64     // numbers that a replay is still to bring
}

// Totals count the readings of a feed, which are those of each of its clients.
type Totals struct {
	Records, Missed uint64
}

// Settle brings the account up to the feed's present totals.
func (a *Account) Settle(now Totals) {
	records, missed := now.Records-a.Base.Records, now.Missed-a.Base.Missed
	a.Settled.Produced += records + missed
	a.Settled.Missed += missed
	if a.Waiting == nil {
		a.Settled.Delivered += records
	}
	a.Base = now
}

// Stats returns the account. It must be settled.
func (a *Account) Stats() wire.Stats {
	s := a.Settled
	s.Queued = a.Pending
	if w := a.Waiting; w != nil {
		kept := uint64(w.Kept())
		s.Queued += kept
		s.Conflated += uint64(w.Total()) - kept
	}
	return s
}

// Cancel ends the subscription with its window: what is in it is no longer due.
func (a *Account) Cancel() {
	if a.Waiting != nil {
		a.Settled.Produced -= uint64(a.Waiting.Total())
		a.Waiting = nil
	}
}

// Miss counts numbers as missed that a replay was to bring: they have no record.
func (a *Account) Miss(n uint64) {
	a.Pending -= n
	a.Settled.Missed += n
}

// Delivered takes a batch out of the window: the connection has taken it.
func (a *Account) Delivered(batch *Window) {
	kept := uint64(batch.Kept())
	a.Settled.Delivered += kept
	a.Settled.Conflated += uint64(batch.Total()) - kept
	a.Waiting.Remove(batch)
}
