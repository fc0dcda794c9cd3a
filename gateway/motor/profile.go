package motor

import (
	"math"
	"time"
)

// rampStep is how often a ramp changes the speed: 50 times a second is smooth
// for whatever has a mass.
const rampStep = 20 * time.Millisecond

// profile is a motor's motion profile: the speeds between the present one and
// the goal. It ramps; it never goes from one direction to the other without a
// dwell at zero, and never from zero before the pause has passed. It calculates
// only: the caller says what time it is.
type profile struct {
	ramp  time.Duration // for a change of the speed by 1
	dwell time.Duration // at zero before the other direction
	pause time.Duration // at zero before any speed

	goal      float64   // the signed speed wanted
	speed     float64   // the signed speed driven
	lastSpeed float64   // the last speed that was not 0; 0 if there was none
	driven    time.Time // when speed was last driven; a ramp counts from it
	zeroSince time.Time // since when speed is 0
}

// at returns the speed to drive at now, and when the next change is due; zero is
// never.
func (p *profile) at(now time.Time) (speed float64, next time.Time) {
	target, from := p.goal, p.driven
	switch {
	case p.speed != 0 && p.goal*p.speed < 0:
		target = 0 // before the other direction
	case p.speed == 0 && p.goal != 0:
		ready := p.ready()
		if now.Before(ready) {
			return 0, ready
		}
		if ready.After(from) {
			from = ready
		}
	}
	speed = target
	if p.ramp > 0 {
		speed = approach(p.speed, target, float64(now.Sub(from))/float64(p.ramp))
	}
	switch {
	case speed != target:
		left := time.Duration(math.Round(math.Abs(target-speed) * float64(p.ramp)))
		return speed, now.Add(min(max(left, 1), rampStep))
	case target != p.goal:
		return speed, now.Add(p.rest())
	}
	return speed, time.Time{}
}

// set notes that the output is driven with speed from now on.
func (p *profile) set(speed float64, now time.Time) {
	switch {
	case speed != 0:
		p.lastSpeed = speed
	case p.speed != 0 || p.zeroSince.IsZero():
		p.zeroSince = now
	}
	p.speed, p.driven = speed, now
}

// rest is how long the speed has to be 0 on the way to the goal.
func (p *profile) rest() time.Duration {
	if p.goal*p.lastSpeed < 0 {
		return max(p.dwell, p.pause)
	}
	return p.pause
}

// ready is when the speed may leave 0.
func (p *profile) ready() time.Time { return p.zeroSince.Add(p.rest()) }

// approach goes from v towards target by d, or all the way if what remains is a
// rounding error.
func approach(v, target, d float64) float64 {
	if math.Abs(target-v) <= d+1e-9 {
		return target
	}
	return v + math.Copysign(d, target-v)
}
