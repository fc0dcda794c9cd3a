package sim

import "time"

// Flaky mode goes in cycles: each chip has every failure once a cycle, at
// about the same moment in it. So the onsets of a failure are at most
// flakyCycle+flakyJitter apart, and any ten seconds hold a whole one of those
// that last up to 0.7 s, and more than half of a freeze, which a driver needs
// a while to notice.
//
// With a cycle of 9 s, a chip that is read every 3 minutes would always be read at the same
// moment of it.
const (
	flakyCycle  = 9100 * time.Millisecond
	flakyJitter = 200 * time.Millisecond // an onset is late by up to this
	flakyPhase  = time.Second            // a chip's cycle begins later than the bus's by up to this
	flakyDue    = time.Second            // a failure begins at a transaction within this after its onset, or not at all
)

// flakyFailures are what a chip has in a cycle, and when: apart, so that each
// shows as what it is. The readings between, two thirds of all, are good.
var flakyFailures = [...]struct {
	Failure
	onset time.Duration
}{
	{Failure{Kind: Vanish, For: 500 * time.Millisecond}, 0},
	{Failure{Kind: Corrupt, For: time.Second, Count: 3}, 1600 * time.Millisecond},
	{Failure{Kind: Freeze, For: 3 * time.Second}, 3200 * time.Millisecond},
}

// A stall strikes the chip of the next transaction, once a cycle for the whole bus, since it
// delays all chips; it comes when all have recovered. Every other one is too long for a limit
// of a quarter of a second for transactions. None ends just when a tick begins: a replay
// would have two outcomes.
const (
	stallOnset = 7500 * time.Millisecond
	shortStall = 200 * time.Millisecond
	longStall  = 290 * time.Millisecond
)

// flaky says when it is time to fail. It is asked within transactions only, so it needs no
// goroutine, and an idle bus costs nothing.
type flaky struct {
	seed   uint64
	start  time.Time
	stalls int64 // as device.had
}

// due reports whether a failure of the chip at an address is due again. had is the number
// of cycles in which the chip has had it, or was not asked while it was due; due returns what
// it is afterwards.
func (f *flaky) due(now time.Time, who, failure uint64, onset time.Duration, had int64) (int64, bool) {
	who = mix(f.seed, who)
	since := now.Sub(f.start) - onset - time.Duration(unit(who)*float64(flakyPhase))
	if since < 0 {
		return had, false
	}
	cycle := int64(since / flakyCycle)
	late := time.Duration(unit(mix(mix(who, failure), uint64(cycle))) * float64(flakyJitter))
	since -= time.Duration(cycle)*flakyCycle + late
	if since < 0 || cycle < had {
		return had, false
	}
	return cycle + 1, since < flakyDue
}

// give gives a chip the failures of its own that are due at the time now.
func (f *flaky) give(d *device, now time.Time) {
	for i, failure := range flakyFailures {
		var due bool
		if d.had[i], due = f.due(now, d.who, uint64(i), failure.onset, d.had[i]); due {
			d.failures.add(now, failure.Failure)
		}
	}
}

// failIfDue gives a chip what is due at the time now. It is called within a
// transaction. A multiplexer never fails by itself: all chips behind it would.
func (b *Bus) failIfDue(d *device, now time.Time) {
	b.mu.Lock()
	f := b.flaky
	b.mu.Unlock()
	if _, switches := d.chip.(*mux); f == nil || switches {
		return
	}
	f.give(d, now)
	const bus = 0 // an address that no chip has
	var due bool
	if f.stalls, due = f.due(now, bus, uint64(len(flakyFailures)), stallOnset, f.stalls); due {
		stall := Failure{Kind: Stall, For: shortStall}
		if f.stalls%2 == 0 {
			stall.For = longStall
		}
		d.failures.add(now, stall)
	}
}
