package sensors

import (
	"sync/atomic"
	"time"

	"sensorgateway/sensors/timer"
)

const (
	// minStep is the smallest change of the system clock's offset that is a step. Smaller ones
	// are errors of reading it.
	minStep = 5 * time.Millisecond
	// slewRatio is how many seconds it takes at least to slew a clock by one second: 500 ppm
	// (adjtime(3)). Linux slews both clocks alike, which does not change the offset.
	slewRatio = 2000
	// maxHold is the largest step back after which times are held until the system clock has
	// caught up; a leap second is 1 s. After a larger step new streams begin.
	maxHold = 2 * time.Second
	// minGap is how far apart the times of two ticks are while times are held, and the smallest
	// error with which a time counts as wrong.
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
	// Back says that the step is too large to hold times until the clock has caught up: the
	// next times lie before those that were given out.
	Back bool
}

// A Clock measures time since the machine started, and knows the offset of the system clock
// from that. So a step of the system clock moves no deadline, is noticed at the next tick,
// and can be corrected afterwards in times that were stamped before it.
//
// The times it gives never run backwards, except after a [Step] with Back. When the system
// clock steps back less, they almost stand still until it has caught up.
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

// update reads both clocks. It returns the offset that turns moments on the boot clock into
// Unix time, and whether that is right. These moments lie after the last update; the first
// of them is from.
func (c *Clock) update(from time.Duration) (offset time.Duration, right bool) {
	synced := c.ClockOptions.Synced()
	c.synced.Store(synced)
	now, offset, ok := c.read()
	if !c.started {
		c.updated, c.offset, c.given, c.right, c.started = now, offset, offset, synced, true
		return offset, synced
	}
	if !ok { // the clocks could not be compared: keep what is known
		offset, synced = c.offset, synced && c.right
	}
	by, reached := offset-c.offset, c.updated+c.given // no time that was given out is later than reached
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
