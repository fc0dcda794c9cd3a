package sim

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Kind is a way in which a chip fails.
type Kind uint8

// The kinds.
const (
	Vanish  Kind = iota + 1 // acknowledges nothing, and comes back as it was: a loose contact
	Unplug                  // acknowledges nothing, and comes back as after power-on
	Corrupt                 // answers a measurement with one bit wrong; the BME280, which has no checksum, with all bits set or clear
	Stall                   // holds the clock low, and with it the whole bus, and then goes on
	Hang                    // holds the clock low until the bus driver gives up: connection timed out
	Freeze                  // measures what it measured before, to the last bit
	Ones                    // answers 0xFF to everything
	Zeros                   // answers 0x00 to everything
)

// Failure is something that goes wrong with a chip.
//
// For limits its time, Count limits how often it shows: in transactions (Vanish,
// Unplug, Stall, Hang), answers (Corrupt, Ones, Zeros) or measurements (Freeze).
// Whichever comes first ends it; without either it lasts until [Bus.Repair].
//
// For Stall and Hang, For is how long one transaction is held (0: until the bus
// is closed), and a Count of 0 means one.
//
// Share is the probability that it shows when it could, 0…1: a bad contact
// loses a part of the transactions. 0 means always.
type Failure struct {
	Kind  Kind
	For   time.Duration
	Count int
	Share float64
}

// activeFailure is a failure that has begun.
type activeFailure struct {
	Failure
	end time.Time // zero: not yet known
}

func (a *activeFailure) over(now time.Time) bool { return !a.end.IsZero() && !now.Before(a.end) }

// failures are those of one chip; they may be added at any moment.
type failures struct {
	mu     sync.Mutex
	chance *rand.Rand // decides which transactions fail by Share; not the chip's, whose noise must not depend on it
	list   []activeFailure
}

func (a *failures) add(now time.Time, failures ...Failure) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range failures {
		n := activeFailure{Failure: f}
		switch {
		case f.Kind == Stall || f.Kind == Hang:
			n.Count = max(f.Count, 1)
		case f.For > 0:
			n.end = now.Add(f.For)
		}
		a.list = append(a.list, n)
	}
}

// repair ends them all.
func (a *failures) repair(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.list {
		if !a.list[i].over(now) {
			a.list[i].end = now
		}
	}
}

// settle forgets those that are over. It returns when the chip got its power
// back, if it did.
func (a *failures) settle(now time.Time) (powered time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = slices.DeleteFunc(a.list, func(n activeFailure) bool {
		if !n.over(now) {
			return false
		}
		if n.Kind == Unplug && n.end.After(powered) {
			powered = n.end
		}
		return true
	})
	return powered
}

// strike reports whether a failure of this kind shows now, and counts it.
func (a *failures) strike(now time.Time, kind Kind) (Failure, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.list {
		n := &a.list[i]
		if n.Kind != kind || n.over(now) || n.Share > 0 && a.chance.Float64() >= n.Share {
			continue
		}
		if n.Count > 0 {
			if n.Count--; n.Count == 0 {
				n.end = now
			}
		}
		return n.Failure, true
	}
	return Failure{}, false
}
