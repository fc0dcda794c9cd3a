package sensors

import (
	"sync/atomic"
	"time"

	"sensorgateway/sensors/timer"
)

const (
	// minStep is how far the offset of the system clock must leap to be a step.
	// Less is how precisely it is read.
	minStep = 5 * time.Millisecond
	// slewRatio is the least time that it takes to slew a clock by one part of it:
	// 500 ppm (adjtime(3)). Linux slews both clocks alike, which changes no offset.
	slewRatio = 2000
	// maxHold is how far the system clock may step back while times are held until
	// it has caught up; a leap second is 1 s. Farther back, new streams begin.
	maxHold = 2 * time.Second
	// minGap is how much time passes between two ticks while times are held, and
	// the error that makes a time wrong.
	minGap = time.Millisecond
	// A reading of both clocks that took longer was interrupted; it is repeated.
	maxBetween = time.Millisecond
	attempts   = 4
)

// ClockOptions is where a [Clock] gets its time from.
type ClockOptions struct {
	Boot    func() time.Duration // since the machine started, sleep included; nil: since NewClock, by Go's monotonic clock
	Wall    func() time.Time     // the system clock; nil: time.Now
	Synced  func() bool          // whether something keeps the system clock right; nil: always
	Timers  timer.Kind           // that the sampler waits with
	Stepped func(Step)           // called by the sampler, before the first tick with the new time; nil: not called
}

// A Step is a leap of the system clock.
type Step struct {
	By time.Duration // forward if positive
	At time.Time     // by the system clock as it is now
	// Back says that it is too far back to be waited for: the next times lie before
	// those that were given out.
	Back bool
}

// A Clock measures time since the machine started, and knows by how much the
// system clock is off it. So a step of the system clock moves no deadline, is
// noticed at the next tick, and can be set right afterwards in what was stamped
// before.
//
// The times it gives never run backwards, unless it says so: when the system
// clock steps back a little, they all but stand until it has caught up.
type Clock struct {
	ClockOptions
	synced atomic.Bool
	steps  atomic.Int64

	// Guarded by the sampler's lock.
	updated time.Duration // when it was updated last
	offset  time.Duration // of the system clock then: Unix time minus Boot
	given   time.Duration // the offset that times were given with: offset, or more while they are held
	right   bool          // the system clock was synchronised then
	started bool          // the above are known
}

// NewClock returns a clock of which one sampler makes use.
func NewClock(o ClockOptions) *Clock {
	if o.Boot == nil {
		start := time.Now()
		o.Boot = func() time.Duration { return time.Since(start) }
	}
	if o.Wall == nil {
		o.Wall = time.Now
	}
	if o.Synced == nil {
		o.Synced = func() bool { return true }
	}
	if o.Stepped == nil {
		o.Stepped = func(Step) {}
	}
	c := &Clock{ClockOptions: o}
	c.synced.Store(c.ClockOptions.Synced())
	return c
}

// Synced returns whether the system clock was synchronised at the last update.
func (c *Clock) Synced() bool { return c.synced.Load() }

// Steps is how often the system clock stepped.
func (c *Clock) Steps() int64 { return c.steps.Load() }

// update reads both clocks. It returns what makes Unix time of moments on the boot
// clock, which lie after the last update, the first of them at from; and whether
// that is right.
func (c *Clock) update(from time.Duration) (offset time.Duration, right bool) {
	synced := c.ClockOptions.Synced()
	c.synced.Store(synced)
	now, offset, ok := c.read()
	if !c.started {
		c.updated, c.offset, c.given, c.right, c.started = now, offset, offset, synced, true
		return offset, synced
	}
	if !ok { // nothing is known now that was not before
		offset, synced = c.offset, synced && c.right
	}
	by, reached := offset-c.offset, c.updated+c.given // after all times that were given out
	stepped := by.Abs() > minStep+(now-c.updated)/slewRatio
	back := c.given-offset > maxHold
	c.given = max(offset, min(c.given, reached+minGap-from))
	if back {
		c.given = offset
	}
	c.updated, c.offset, c.right = now, offset, synced
	if stepped {
		c.steps.Add(1)
		c.Stepped(Step{By: by, At: time.Unix(0, int64(now+offset)), Back: back})
	}
	return c.given, synced && c.given-offset < minGap
}

// read reads both clocks. ok is false if the process did not run between the
// two readings for so long that the offset is not what it seems.
func (c *Clock) read() (now, offset time.Duration, ok bool) {
	best := time.Duration(-1)
	for range attempts {
		before := c.Boot()
		wall := c.Wall()
		now = c.Boot()
		if took := now - before; best < 0 || took < best {
			best, offset = took, time.Duration(wall.UnixNano())-before-took/2
		}
		if best <= maxBetween {
			return now, offset, true
		}
	}
	return now, offset, false
}
