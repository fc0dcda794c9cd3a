//go:build linux

package swarm

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Tick is what the clients got of one tick.
type Tick struct {
	Stamp       int64         // the time in its readings
	Clients     int           // that got it
	First, Last time.Duration // from its time until the first and the last client had read it
}

// Ticks is ticks in the order in which they came.
type Ticks []Tick

// arrived notes that a client read a tick, age after it was made.
func (t *Ticks) arrived(stamp int64, age time.Duration) {
	for i := len(*t) - 1; i >= 0; i-- { // few ticks are incomplete at a time
		if k := &(*t)[i]; k.Stamp == stamp {
			k.Clients++
			k.Last = max(k.Last, age)
			return
		}
	}
	*t = append(*t, Tick{Stamp: stamp, Clients: 1, First: age, Last: age})
}

// complete returns how many ticks all of n clients have.
func (t Ticks) complete(n int) (whole int) {
	for _, k := range t {
		if k.Clients == n {
			whole++
		}
	}
	return whole
}

// whole returns the length of t up to the last tick that all of n clients have.
// Clients still wait for those that follow.
func (t Ticks) whole(n int) int {
	for i := len(t); i > 0; i-- {
		if t[i-1].Clients == n {
			return i
		}
	}
	return 0
}

// Delivered returns an error unless each of n clients got each tick.
func (t Ticks) Delivered(n int) error {
	for i, k := range t {
		if k.Clients != n {
			return fmt.Errorf("tick %d of %d came to %d of %d clients", i+1, len(t), k.Clients, n)
		}
	}
	return nil
}

// First returns the age below which the share p of the ticks had reached their
// first client.
func (t Ticks) First(p float64) time.Duration {
	return t.percentile(p, func(k Tick) time.Duration { return k.First })
}

// Last returns the age below which the share p of the ticks had reached their last
// client.
func (t Ticks) Last(p float64) time.Duration {
	return t.percentile(p, func(k Tick) time.Duration { return k.Last })
}

func (t Ticks) percentile(p float64, of func(Tick) time.Duration) time.Duration {
	d := make([]time.Duration, len(t))
	for i, k := range t {
		d[i] = of(k)
	}
	return Percentile(d, p)
}

// Percentile returns what the share p of the values is at most, and zero of none. It
// sorts the values.
func Percentile[T cmp.Ordered](values []T, p float64) (v T) {
	if len(values) == 0 {
		return v
	}
	slices.Sort(values)
	return values[min(int(p*float64(len(values))), len(values)-1)]
}
