package sensors

import (
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/physic"

	"sensorgateway/wire"
)

const (
	// lostAfter is how many failures in a row make a sensor lost: its driver is
	// dropped, and the chip is looked for again with a growing pause.
	lostAfter = 5
	minPause  = 250 * time.Millisecond
	maxPause  = 5 * time.Second
	// margin lets a chip's limit itself pass: the nearest value that it can say may
	// lie just beyond. In °C.
	margin = 0.05
)

// A probe is one chip's goroutine: it finds the chip, has it measure when told,
// judges what came, and finds it again after it was away.
type probe struct {
	cfg  Config
	work chan job // of size 1; the scheduler never sends while a job is under way

	sensor  Sensor // nil while the chip is not open
	env     physic.Env
	retryAt time.Time     // not opened again before
	pause   time.Duration // and so long after the next failure
	fails   int           // in a row
	cause   error         // of the last failure

	same      [2]int64 // the last good measurement
	sameSince time.Time

	mu   sync.Mutex
	last error // for Sampler.Err
}

// job is one tick of one sensor; the probe fills in the rest.
type job struct {
	slot  *slot
	seq   uint32
	stamp int64 // Unix ms

	reading wire.Reading
	fault   wire.Fault
}

func (p *probe) run(results chan<- job) {
	defer func() {
		if p.sensor != nil {
			p.halt()
		}
	}()
	for j := range p.work {
		err := p.measure()
		p.note(err)
		if err != nil {
			j.fault = wire.FaultOf(err)
			j.reading = wire.Failed(j.fault, j.stamp)
		} else {
			j.reading = wire.Reading{
				Values:    [2]float32{float32(p.env.Temperature.Celsius()), float32(percent(p.env.Humidity))},
				UnixMilli: j.stamp,
			}
		}
		results <- j // has room for every probe
	}
}

func percent(h physic.RelativeHumidity) float64 { return float64(h) / float64(physic.PercentRH) }

// measure makes one measurement into p.env. While the chip is lost and not yet
// to be tried again, it costs nothing and returns the last cause.
func (p *probe) measure() error {
	if p.sensor == nil {
		if time.Now().Before(p.retryAt) {
			return p.cause
		}
		if err := p.open(); err != nil {
			return p.failed(err)
		}
	}
	p.env = physic.Env{}
	err := p.guard(func() error { return p.sensor.Sense(&p.env) })
	if err == nil {
		err = p.judge()
	}
	if err != nil {
		return p.failed(err)
	}
	p.fails, p.pause, p.cause = 0, 0, nil
	return nil
}

func (p *probe) open() error {
	return p.guard(func() error {
		s, err := p.cfg.Chip.Open(p.cfg.Bus, p.cfg.Address)
		p.sensor = s
		return err
	})
}

// guard makes an error of a driver's panic: one bad chip must not take the
// others' readings along.
func (p *probe) guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s 0x%02x: driver panicked: %v: %w", p.cfg.Chip.Model, p.cfg.Address, r, wire.Other)
		}
	}()
	return f()
}

// judge refuses what the chip cannot have measured, and what has stood still
// for longer than any real surroundings do.
func (p *probe) judge() error {
	t, h := p.env.Temperature.Celsius(), percent(p.env.Humidity)
	if !(t >= p.cfg.Chip.Min-margin && t <= p.cfg.Chip.Max+margin && h >= 0 && h <= 100) {
		return fmt.Errorf("%v: %.2f °C, %.2f %%RH is outside its range: %w", p.sensor, t, h, wire.Implausible)
	}
	now, same := time.Now(), [2]int64{int64(p.env.Temperature), int64(p.env.Humidity)}
	if same != p.same || p.sameSince.IsZero() {
		p.same, p.sameSince = same, now
	} else if d := now.Sub(p.sameSince); p.cfg.StuckAfter > 0 && d >= p.cfg.StuckAfter {
		return fmt.Errorf("%v: %.2f °C, %.2f %%RH to the last bit for %v: %w", p.sensor, t, h, d.Truncate(time.Second), wire.Stuck)
	}
	return nil
}

// failed decides what a failure means for the next tick.
func (p *probe) failed(err error) error {
	p.cause = err
	fault := wire.FaultOf(err)
	if fault == wire.Stuck { // it answers: when its value moves again, it is back
		return err
	}
	p.sameSince = time.Time{}
	p.fails++
	opened := p.sensor != nil
	if p.fails >= lostAfter || !opened {
		if fault == wire.NoAck {
			p.cause = &absent{err}
		}
		p.pause = min(max(2*p.pause, minPause), maxPause)
		p.retryAt = time.Now().Add(p.pause)
	}
	if opened && (p.fails >= lostAfter || fault == wire.WarmingUp) {
		p.halt()
	}
	return p.cause
}

// halt lets go of the driver. Its error says nothing that the failure before it
// did not.
func (p *probe) halt() {
	_ = p.guard(p.sensor.Halt)
	p.sensor = nil
}

func (p *probe) note(err error) {
	p.mu.Lock()
	p.last = err
	p.mu.Unlock()
}

func (p *probe) noted() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// absent says that nobody acknowledges at an address any more: the cause of
// err, NoAck, is what one tick sees of it.
type absent struct{ err error }

func (a *absent) Error() string   { return a.err.Error() }
func (a *absent) Unwrap() []error { return []error{wire.Absent, a.err} }
