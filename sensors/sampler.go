package sensors

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors/timer"
	"sensorgateway/wire"
)

const (
	// closeAfter is when a tick's message leaves although a sensor's record is
	// still missing (wire/README.md, "Readings").
	closeAfter = 90 * time.Millisecond
	// maxRead is the longest time that a read may take, unless the chip needs longer. The
	// next tick ends the read too.
	maxRead = time.Second
	// maxIdle bounds the scheduler's sleep, so that a watchdog can tell a slow
	// sensor from a scheduler that has stopped.
	maxIdle = time.Second
	// deputyAfter is how long a tick waits for the probe that is to begin it; then schedule begins it.
	deputyAfter = 20 * time.Millisecond
	// endCheck is how often, at the end, it is checked whether a probe hangs.
	endCheck = 50 * time.Millisecond
	// SlowInterval is the interval beyond which a sensor's first tick does not wait
	// for its deadline.
	SlowInterval = 10 * time.Second
)

// Config is one chip of a [Sampler]: its own sensor, and further ones.
type Config struct {
	ID         uint16
	Name       string
	Chip       Chip
	Bus        i2c.Bus
	Address    uint16
	Interval   time.Duration
	StuckAfter time.Duration // a value that stays the same for so long is a failure; 0: never
	Median     int           // each value is the median of so many ticks, an odd number up to [wire.MaxMedian]; 0: no median
	FirstSeq   uint32        // sequence number of the first tick
	Also       []Further
}

// maxRead is how long a read may take.
func (c *Config) maxRead() time.Duration {
	return min(c.Interval, max(maxRead, c.Chip.MaxRead))
}

// title is the chip and where it is, for an error when no driver says so.
func (c *Config) title() string {
	if c.Chip.Kernel != nil {
		return c.Chip.Model
	}
	return fmt.Sprintf("%s 0x%02x", c.Chip.Model, c.Address)
}

// Further is an additional sensor, made of another value of a chip. It shares the ticks,
// times and transactions of the chip's own sensor.
type Further struct {
	ID       uint16
	Name     string
	Value    int // which one of [Chip.Also]
	FirstSeq uint32
}

// A Sampler reads each of its sensors on absolute deadlines.
//
// Deadlines are whole multiples of a sensor's interval since the Unix epoch. The system
// clock is read for them once, at the start; from then on they are counted on the boot
// clock. So they do not drift, and gateways with synchronised clocks measure at the same
// moments. The first tick of a sensor slower than 10 s comes at once, because its deadline
// may be hours away. Each chip has a goroutine that measures, its probe. An idle probe waits
// for the next deadline, if that is its own. The scheduler's goroutine waits for timeouts,
// and for deadlines that no probe waits for; so a chip that takes too long costs only its own
// readings. A goroutine that has a result, or that wakes up, does all that follows from that
// itself, one goroutine at a time: to wake another one would cost more than all else.
type Sampler struct {
	log     *slog.Logger
	clock   *Clock
	flags   wire.Flags
	publish func(records []wire.Record, offset int64)
	event   func(wire.Event)
	guard   func(run func(context.Context) error) func(context.Context) error
	slots   []*slot
	sensors int // in all slots

	mu       mutex          // guards what follows, and the slots
	deputy   *timer.Sleeper // the scheduler's goroutine sleeps on it; nil before and after that
	deadline *timer.Sleeper // the timed probe sleeps on it
	timed    *slot          // whose probe waits for the next deadline; nil: none does
	stopping bool           // no tick begins any more
	open     []*batch       // ticks whose message has not left
	free     []*batch

	beats  atomic.Int64
	missed atomic.Int64
	late   Histogram
}

// slot is a sensor as the scheduler sees it.
type slot struct {
	*probe
	next time.Duration // deadline of the next tick; all moments are on the boot clock
	then time.Duration // deadline of the tick after that, if it is not one interval later; else 0
	tick uint32        // number of the next one, from 0

	called  chan struct{} // of size 1: tells the probe to take its job
	given   bool          // the job is ready for the probe to take
	busy    bool          // the job is given, or the probe works on one
	pending bool          // the tick awaits its records
	job     job           // of the pending tick
	expires time.Duration // when its records are late
	batch   *batch        // whose message its records travel in
	due     time.Duration // the deadline of the batch
}

// Options are what a [Sampler] needs.
type Options struct {
	Sensors []Config
	Clock   *Clock     // used by this sampler only
	Flags   wire.Flags // of every record; [wire.ClockUnsynced] is added if its time may be wrong
	// Publish is called with the records of a tick, by one goroutine at a time. It must not
	// retain them. The offset, in milliseconds, is the Unix time minus the time since the
	// machine started; the records' times were made with it. For each sensor, records come in
	// the order of their sequence numbers and times.
	Publish func(records []wire.Record, offset int64)
	// Event is called when a sensor is lost and when it is back, before the record that shows
	// it is published, and never at the same time as Publish. nil: it is not called.
	Event func(wire.Event)
	// Guard wraps the work of each goroutine that calls Publish or Event, so that a panic
	// leaves the machine safe; nil: no guard.
	Guard func(run func(context.Context) error) func(context.Context) error
	Log   *slog.Logger
}

// NewSampler prepares a sampler.
func NewSampler(o Options) *Sampler {
	if o.Event == nil {
		o.Event = func(wire.Event) {}
	}
	if o.Guard == nil {
		o.Guard = func(run func(context.Context) error) func(context.Context) error { return run }
	}
	s := &Sampler{log: o.Log, clock: o.Clock, flags: o.Flags, publish: o.Publish, event: o.Event, guard: o.Guard, mu: make(mutex, 1)}
	for _, cfg := range o.Sensors {
		sl := &slot{called: make(chan struct{}, 1), probe: &probe{cfg: cfg, done: make(chan struct{}), parts: parts(&cfg), log: o.Log}}
		s.slots = append(s.slots, sl)
		s.sensors += len(sl.parts)
	}
	return s
}

// Beats grows at least once a second while the scheduler runs.
func (s *Sampler) Beats() int64 { return s.beats.Load() }

// Missed is how many ticks could not be made because the machine was late by
// more than an interval. Their sequence numbers were skipped.
func (s *Sampler) Missed() int64 { return s.missed.Load() }

// Lateness counts how late ticks began.
func (s *Sampler) Lateness() *Histogram { return &s.late }

// Err returns why the last measurement of the sensor with this number failed, nil if it
// succeeded.
func (s *Sampler) Err(id int) error {
	for _, sl := range s.slots {
		for _, p := range sl.parts {
			if int(p.id) == id {
				return p.noted()
			}
		}
	}
	return nil
}

// Run samples until ctx ends, finishes the ticks it has begun, lets go of the
// chips and returns. It is called once.
func (s *Sampler) Run(ctx context.Context) error {
	s.deputy, s.deadline = timer.NewSleeper(s.clock.Timers), timer.NewSleeper(s.clock.Timers)
	start := s.clock.Boot()
	offset, _ := s.clock.update(start)
	for _, sl := range s.slots {
		sl.next = nextDeadline(start, offset, sl.cfg.Interval)
		if sl.cfg.Interval > SlowInterval && sl.next-start > maxRead {
			sl.next, sl.then = start, sl.next
		}
	}
	for _, sl := range s.slots { // each may begin the ticks of all
		exchange := func(j *job, measured bool) bool { return s.exchange(sl, j, measured) }
		run := s.guard(func(context.Context) error { sl.run(exchange); return nil })
		go func() {
			defer close(sl.done)
			_ = run(ctx)
		}()
	}
	s.schedule(ctx)
	defer s.deadline.Close() // no probe waits for it any more
	return s.waitAtMost(2 * maxRead)
}

// nextDeadline returns the first deadline after now.
func nextDeadline(now, offset, interval time.Duration) time.Duration {
	return now + interval - (now+offset)%interval
}

// waitAtMost waits for the probes, but not for one that never returns: its call is held in
// the kernel, and ends with the process, if at all.
func (s *Sampler) waitAtMost(d time.Duration) error {
	for end := time.Now().Add(d); ; {
		left := slices.DeleteFunc(slices.Clone(s.slots), func(sl *slot) bool { return sl.hasEnded() })
		if len(left) == 0 {
			return nil
		}
		select {
		case <-left[0].done:
			continue
		case <-time.After(min(endCheck, max(time.Until(end), 0))):
		}
		left = slices.DeleteFunc(left, func(sl *slot) bool { return sl.hasEnded() || sl.hangs() != nil })
		switch {
		case len(left) == 0: // only probes whose transactions hang remain: their bus is closed when these end
			return nil
		case !time.Now().Before(end):
			return fmt.Errorf("%s has not returned from its measurement for %v: given up", left[0].cfg.title(), d)
		}
	}
}

// begin starts the ticks that are due, and wakes their probes, except the one that is awake.
func (s *Sampler) begin(now time.Duration, awake *slot) {
	from, due := now, false // from is the earliest due deadline
	for _, sl := range s.slots {
		late := now - sl.next
		if late < 0 {
			continue
		}
		if skipped := late / sl.cfg.Interval; skipped > 0 {
			s.missed.Add(int64(skipped) * int64(len(sl.parts)))
			sl.tick += uint32(skipped)
			sl.next += skipped * sl.cfg.Interval
		}
		from, due = min(from, sl.next), true
	}
	if !due && now-s.clock.updated < maxIdle {
		return
	}
	before := s.clock.given
	offset, right := s.clock.update(from)
	flags := s.flags
	if !right {
		flags |= wire.ClockUnsynced
	}
	if before-offset > maxHold {
		s.restamp(offset, flags)
	}
	for _, sl := range s.slots {
		late := now - sl.next
		if late < 0 {
			continue
		}
		s.late.Observe(late)
		s.overtaken(sl)
		sl.job = job{slot: sl, tick: sl.tick, stamp: stamp(sl.next+offset, late, sl.cfg.Interval)}
		sl.batch = s.batchOf(sl.next, offset, flags)
		sl.batch.pending++
		sl.due = sl.next
		sl.pending = true
		sl.expires = sl.next + sl.cfg.maxRead()
		sl.next += sl.cfg.Interval
		if sl.then != 0 {
			sl.next, sl.then = sl.then, 0
		}
		sl.tick++
		if sl.busy { // the probe still works on an earlier tick, which has expired
			s.fail(sl, sl.hangs())
			continue
		}
		sl.busy, sl.given = true, true
		if sl != awake {
			s.call(sl)
		}
	}
}

// restamp corrects the times of records that are not published yet after the clock has
// stepped back, so that they lie before the next ticks.
func (s *Sampler) restamp(offset time.Duration, flags wire.Flags) {
	for _, b := range s.open {
		by := milliseconds(offset) - milliseconds(b.offset)
		for i := range b.records {
			b.records[i].UnixMilli += by
			b.records[i].Flags = flags
		}
		for _, sl := range s.slots {
			if sl.pending && sl.batch == b {
				sl.job.stamp += by
			}
		}
		b.offset, b.flags = offset, flags
	}
}

// overtaken sends a message that still waits for other sensors when one of its own sensors
// has its next tick: later records must not pass earlier ones.
func (s *Sampler) overtaken(sl *slot) {
	if b := sl.batch; b != nil && b.deadline == sl.due && slices.Contains(s.open, b) {
		s.send(b)
	}
}

// stamp returns the time of a tick in Unix milliseconds. That is its deadline; or, if the
// tick began later than a tenth of the interval, the moment when it began, but always before
// the next deadline.
func stamp(deadline, late, interval time.Duration) int64 {
	if late > interval/10 {
		deadline += min(late, interval-minGap)
	}
	return milliseconds(deadline)
}

// milliseconds rounds to the nearest.
func milliseconds(d time.Duration) int64 { return d.Round(time.Millisecond).Milliseconds() }

// arrived takes a probe's result. It ignores a result that is too late: the tick was
// published as failed.
func (s *Sampler) arrived(j *job) {
	sl := j.slot
	sl.busy = false
	if sl.pending && sl.job.tick == j.tick {
		s.finish(sl, j)
	}
}

// expire ends the ticks that have waited too long.
func (s *Sampler) expire(now time.Duration) {
	for _, sl := range s.slots {
		if sl.pending && now >= sl.expires {
			err := sl.hangs()
			if err == nil {
				err = fmt.Errorf("%s: no reading within %v: %w", sl.cfg.title(), sl.cfg.maxRead(), wire.Timeout)
			}
			s.fail(sl, err)
		}
	}
}

// fail finishes a tick whose probe has not returned. If err is nil, the last error stays noted.
func (s *Sampler) fail(sl *slot, err error) {
	fault := wire.Timeout
	if err != nil {
		fault = wire.FaultOf(err)
		for _, p := range sl.parts {
			p.note(err)
		}
	}
	sl.job.failed(fault)
	s.finish(sl, &sl.job)
}

// finish puts the records of a chip's pending tick into their message.
func (s *Sampler) finish(sl *slot, j *job) {
	sl.pending = false
	b := sl.batch
	b.pending--
	stamp := sl.job.stamp // restamp may have moved it since the chip was asked
	lost := lostAfter(sl.cfg.Interval)
	for i, p := range sl.parts {
		o := &j.outcomes[i]
		if p.median > 0 && o.fault == wire.Good {
			o.values = p.window.median(p.median, lost, j.tick, o.values)
		}
		b.records = append(b.records, wire.Record{
			Sensor: p.id, Flags: b.flags, Fault: o.fault, Seq: p.firstSeq + sl.job.tick,
			Reading: wire.Reading{Values: o.values, UnixMilli: stamp},
		})
		s.detect(p, lost, o.fault, stamp)
	}
}

// hurry lets each pending tick expire within maxRead, because the sampler stops.
func (s *Sampler) hurry(now time.Duration) {
	for _, sl := range s.slots {
		sl.expires = min(sl.expires, now+maxRead)
	}
}
