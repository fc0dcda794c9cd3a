package motor

import (
	"math"
	"time"
)

// rampStep is how often a ramp moves: 50 times a second is smooth for whatever
// has a mass.
const rampStep = 20 * time.Millisecond

// course is the way of an output's speed towards what is wanted: on a ramp,
// never from one direction to the other without a rest at zero, never on again
// before its pause. It only calculates; time is given to it.
type course struct {
	ramp  time.Duration // for a change by 1
	dwell time.Duration // at zero before the other way
	pause time.Duration // at zero before any way

	goal   float64   // the signed speed wanted
	speed  float64   // the signed speed driven
	turned float64   // the last speed that was not 0; 0 if there was none
	moved  time.Time // when the speed was last set, which a ramp counts from
	rested time.Time // since when the speed is 0
}

// at returns the speed to drive now, and when to ask again; zero is never.
func (k *course) at(now time.Time) (speed float64, again time.Time) {
	target, from := k.goal, k.moved
	switch {
	case k.speed != 0 && k.goal*k.speed < 0:
		target = 0 // first
	case k.speed == 0 && k.goal != 0:
		ready := k.ready()
		if now.Before(ready) {
			return 0, ready
		}
		if ready.After(from) {
			from = ready
		}
	}
	speed = target
	if k.ramp > 0 {
		speed = approach(k.speed, target, float64(now.Sub(from))/float64(k.ramp))
	}
	switch {
	case speed != target:
		rest := time.Duration(math.Round(math.Abs(target-speed) * float64(k.ramp)))
		return speed, now.Add(min(max(rest, 1), rampStep))
	case target != k.goal:
		return speed, now.Add(k.rest())
	}
	return speed, time.Time{}
}

// set notes that the output is driven with speed from now on.
func (k *course) set(speed float64, now time.Time) {
	switch {
	case speed != 0:
		k.turned = speed
	case k.speed != 0 || k.rested.IsZero():
		k.rested = now
	}
	k.speed, k.moved = speed, now
}

// rest is how long the output has to be at zero before the goal.
func (k *course) rest() time.Duration {
	if k.goal*k.turned < 0 {
		return max(k.dwell, k.pause)
	}
	return k.pause
}

func (k *course) ready() time.Time { return k.rested.Add(k.rest()) }

// approach goes from v towards target by d, or all the way if no more than
// rounding is missing.
func approach(v, target, d float64) float64 {
	if math.Abs(target-v) <= d+1e-9 {
		return target
	}
	return v + math.Copysign(d, target-v)
}
