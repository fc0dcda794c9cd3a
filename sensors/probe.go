package sensors

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"sensorgateway/sensors/internal/backoff"
	"sensorgateway/wire"
)

// A sensor whose ticks are at least slowTick apart repeats a measurement that failed, at most
// maxRepeats times, while the tick has time for it: until repeatPart of the time that a read
// may take is over.
const (
	slowTick    = time.Second
	maxRepeats  = 2
	repeatPause = 100 * time.Millisecond
	repeatPart  = 0.4
)

// A probe is one chip's goroutine: it opens the chip, has it measure for each job,
// checks the values, and opens the chip again after it was lost.
type probe struct {
	cfg       Config
	done      chan struct{} // closed when run has ended
	measuring job           // the job under way
	parts     []*part

	sensor Sensor // nil while the chip is not open
	values [maxValues]float32
	retry  backoff.Backoff // while it waits, the chip is not opened again
	fails  int             // in a row
	cause  error           // of the last failure

	log                  *slog.Logger
	hung                 bool // it was lost, and a reset may help
	isReset              bool // it was reset since
	resets, resetsHelped atomic.Int64
}

// job is one tick of one chip; the probe fills in the rest.
type job struct {
	slot  *slot
	tick  uint32 // counts from 0
	stamp int64  // Unix ms

	outcomes [maxParts]outcome
}

// outcome is what one of the chip's sensors measured.
type outcome struct {
	values [2]float32
	fault  wire.Fault
}

// failed makes f the outcome of all sensors.
func (j *job) failed(f wire.Fault) {
	for i := range j.outcomes {
		j.outcomes[i] = outcome{wire.Failed(f, 0).Values, f}
	}
}

// run measures for each job, and hands exchange the result when it asks for the next job.
func (p *probe) run(exchange func(j *job, measured bool) bool) {
	defer func() {
		if p.sensor != nil {
			p.halt()
		}
	}()
	for measured := false; exchange(&p.measuring, measured); measured = true {
		err := p.measureInTick()
		for i, part := range p.parts {
			if err != nil && part.err == nil {
				part.err = err
			}
			part.note(part.err)
			p.measuring.outcomes[i] = part.outcome(p.values[:])
		}
	}
}

// A hanger is a bus whose Hangs says why a transaction with the chip at addr would have to
// wait, while another one does not end.
type hanger interface{ Hangs(addr uint16) error }

// hasEnded returns whether the probe's goroutine has ended.
func (p *probe) hasEnded() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// hangs returns why the probe cannot return, if its bus says that a transaction does not
// end. Any goroutine may call it.
func (p *probe) hangs() error {
	b, ok := p.cfg.Bus.(hanger)
	if !ok || p.cfg.Chip.Kernel != nil { // a chip that the kernel reads has no bus
		return nil
	}
	if err := b.Hangs(p.cfg.Address); err != nil {
		return fmt.Errorf("%s %w", p.cfg.Chip.Model, err)
	}
	return nil
}

// measureInTick makes one measurement, again if it failed and the tick has time for
// it: a slow sensor does not lose its minute to one disturbance of its wires.
func (p *probe) measureInTick() error {
	start := time.Now()
	within := time.Duration(repeatPart * float64(p.cfg.maxRead()))
	for n := 0; ; n++ {
		err := p.measure()
		if err == nil || p.cfg.Interval < slowTick || n == maxRepeats || time.Since(start) > within || !passing(wire.FaultOf(err)) {
			return err
		}
		time.Sleep(repeatPause)
	}
}

// passing returns whether a failure may be over by the next measurement.
func passing(f wire.Fault) bool {
	switch f {
	case wire.NoAck, wire.Absent, wire.Checksum, wire.WarmingUp, wire.Timeout, wire.BusDown:
		return true
	}
	return false
}

// measure makes one measurement into p.values. Before a chip that was lost is to be tried
// again, measure makes no transfer and returns the last cause.
func (p *probe) measure() error {
	start := time.Now()
	for _, part := range p.parts {
		part.err = nil
	}
	if p.sensor == nil {
		if p.retry.Waiting() {
			return p.cause
		}
		if err := p.open(); err != nil {
			return p.failed(err, time.Since(start))
		}
	}
	for i := range p.values {
		p.values[i] = wire.NotMeasured()
	}
	n := len(p.cfg.Chip.Measures) + len(p.cfg.Chip.Also)
	err := p.guard(func() error { return p.sensor.Sense(p.values[:n]) })
	if err == nil {
		err = p.check()
	}
	if err != nil {
		return p.failed(err, time.Since(start))
	}
	p.fails, p.cause = 0, nil
	p.measured()
	p.retry.Reset()
	return nil
}

func (p *probe) open() error {
	return p.guard(func() error {
		p.reset()
		s, err := p.cfg.Chip.Open(p.cfg.Bus, p.cfg.Address)
		p.sensor = s
		return err
	})
}

// guard turns a driver's panic into an error: one bad driver must not end the readings of
// other chips.
func (p *probe) guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: driver panicked: %v: %w", p.cfg.title(), r, wire.Other)
		}
	}()
	return f()
}

// check checks the values of each sensor. The chip itself has failed if none of
// them is good.
func (p *probe) check() (err error) {
	good := false
	for _, part := range p.parts {
		part.err = part.check(p.sensor, p.values[:], p.cfg.StuckAfter)
		good = good || part.err == nil
	}
	if good {
		return nil
	}
	return p.parts[0].err
}

// failed decides how to go on after a failure that took the time cost.
func (p *probe) failed(err error, cost time.Duration) error {
	p.cause = err
	fault := wire.FaultOf(err)
	if fault == wire.Stuck { // it answers: when its value moves again, it is back
		return err
	}
	for _, part := range p.parts {
		part.sameSince = time.Time{}
	}
	if unasked(err) { // the chip and its driver are as before
		return err
	}
	p.fails++
	opened, lost := p.sensor != nil, p.fails >= lostAfter(p.cfg.Interval)
	p.hung = p.hung || lost && hangs(fault)
	if lost || !opened {
		if fault == wire.NoAck {
			p.cause = &absent{err}
		}
		p.retry.Fail(cost)
	}
	if opened && (lost || fault == wire.WarmingUp) {
		p.halt()
	}
	return p.cause
}

// unasked reports whether a failure says nothing about the chip, because the bus was busy or hung.
func unasked(err error) bool {
	e, ok := errors.AsType[interface {
		error
		Unasked() bool
	}](err)
	return ok && e.Unasked()
}

// halt lets go of the driver. Its error is of no use: the failure before it says why.
func (p *probe) halt() {
	_ = p.guard(p.sensor.Halt)
	p.sensor = nil
}

// absent says that no chip acknowledges at an address any more. The fault of err, NoAck, is
// that of a single tick.
type absent struct{ err error }

func (a *absent) Error() string   { return a.err.Error() }
func (a *absent) Unwrap() []error { return []error{wire.Absent, a.err} }
