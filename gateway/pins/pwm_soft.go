package pins

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// SoftPWM is PWM in software, on a line. A goroutine makes the pulses; it exists
// only while the duty is between 0 and 1. Each edge has an absolute time, so the
// frequency does not drift; the scheduler makes an edge late, by some 0.1 ms on
// an idle Pi. A late rising edge shortens its pulse, and one that is later than
// the end of its pulse is left out.
type SoftPWM struct {
	line   Line
	period time.Duration

	wake chan struct{} // the duty has changed; size 1: one wake-up stands for all
	done chan struct{} // closed when the goroutine has ended; nil: there is none

	mu   sync.Mutex
	duty float64
	err  error // why the pulses ended
}

// NewSoftPWM returns PWM on the line, which must be inactive; it owns the line
// from then on.
func NewSoftPWM(line Line, hz int) *SoftPWM {
	return &SoftPWM{line: line, period: time.Second / time.Duration(hz), wake: make(chan struct{}, 1)}
}

func (p *SoftPWM) String() string { return p.line.String() }

// Set sets the duty. A change from one duty between 0 and 1 to another moves the
// falling edge of the present cycle. If the pulses had ended because of an error,
// Set returns it, unless the duty is 0: then only the write of 0 matters.
func (p *SoftPWM) Set(duty float64) error {
	if err := checkDuty(duty); err != nil {
		return fmt.Errorf("%v: %w", p, err)
	}
	p.mu.Lock()
	p.duty = duty
	p.mu.Unlock()
	pulses := duty > 0 && duty < 1

	if p.done != nil {
		select {
		case p.wake <- struct{}{}:
		default:
		}
		if pulses {
			select {
			case <-p.done:
			default:
				return nil
			}
		}
		<-p.done // after one write at most
		p.done = nil
		failed := p.err // no lock: the goroutine has ended
		p.err = nil
		if failed != nil && duty > 0 {
			return failed
		}
	}
	start := time.Now()
	if err := p.line.Out(duty > 0); err != nil || !pulses {
		return err
	}
	p.done = make(chan struct{})
	go p.pulse(start)
	return nil
}

// Get returns the duty of the pulses (each was read back at its end), or if there
// are none, the level of the line.
func (p *SoftPWM) Get() (float64, error) {
	if p.done != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.duty, p.err
	}
	level, err := p.line.Level()
	return levelNumber(level), err
}

// Close releases the line.
func (p *SoftPWM) Close() error { return p.line.Close() }

// pulse makes pulses until the duty is 0 or 1. The first began at start. The line may
// have either level afterwards.
func (p *SoftPWM) pulse(start time.Time) {
	defer close(p.done)
	timer := time.NewTimer(p.period)
	defer timer.Stop()
	cycle, level := start, gpio.High
	for {
		duty := p.current()
		if duty == 0 || duty == 1 {
			return
		}
		on := time.Duration(duty * float64(p.period))
		edge := cycle.Add(p.period)
		if level {
			edge = cycle.Add(on)
		}
		if wait := time.Until(edge); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-p.wake:
				continue
			}
		}
		if !level {
			late := time.Since(edge)
			cycle = edge.Add(late.Truncate(p.period)) // cycles that were missed are not made up for
			if late%p.period >= on {
				continue
			}
		}
		if err := p.check(level); err != nil {
			p.fail(err)
			return
		}
		level = !level
		if err := p.line.Out(level); err != nil {
			p.fail(err)
			return
		}
	}
}

// check returns an error if the line does not carry the level that it was driven with.
func (p *SoftPWM) check(level gpio.Level) error {
	read, err := p.line.Level()
	if err == nil && read != level {
		err = fmt.Errorf("%v: driven %v, but reads back %v", p, level, read)
	}
	return err
}

// fail ends the pulses with the line inactive, if it can be.
func (p *SoftPWM) fail(err error) {
	err = errors.Join(err, p.line.Out(gpio.Low))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *SoftPWM) current() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.duty
}
