package motor

import (
	"fmt"
	"math"
	"strings"
	"time"
)

const (
	// tolerance is by how much a speed may read back differently: PWM has
	// steps. Off has no tolerance.
	tolerance = 0.02
	// retryOff is how long after a failure it is tried again to drive an output off.
	retryOff = 100 * time.Millisecond
	// checkEvery is how often a motor that runs is read back: a pin can be lost
	// while nobody drives it anew, as that of PWM in software.
	checkEvery = 500 * time.Millisecond
)

// drive brings the output to where its course is now, with at least one write
// if always, and returns when to come again; zero is never. A failure is dealt
// with here, and returned for whoever asked.
func (c *Controller) drive(m *motor, now time.Time, always bool) (again time.Time, err error) {
	for {
		speed, again := m.at(now)
		if speed != m.speed || always {
			if err := m.put(speed, now); err != nil {
				c.fail(m, err, now)
				return m.retry, err
			}
			c.show(m)
		}
		always = false
		m.moved = now
		if again.IsZero() || again.After(now) {
			return again, nil
		}
	}
}

// off ends the motor's order, drives it off and says why. If it had no order,
// it is driven off all the same, and nothing has changed.
func (c *Controller) off(m *motor, reason, by string, now time.Time) error {
	changes := m.running || m.stuck()
	m.release()
	if err := m.put(0, now); err != nil {
		c.fail(m, err, now)
		return err
	}
	m.retry = time.Time{}
	if !changes {
		c.show(m)
		return nil
	}
	m.change(reason, by, now)
	c.notify(m)
	return nil
}

// fail latches a failure of the motor's output, and drives it off; if that
// fails too, Run tries again for as long as it takes. The first failure since
// the last reset is the one that is told.
func (c *Controller) fail(m *motor, err error, now time.Time) {
	m.release()
	m.retry = time.Time{}
	if m.put(0, now) != nil {
		m.retry = now.Add(retryOff)
	}
	if m.fault != "" {
		c.show(m)
		return
	}
	m.fault = oneLine(err)
	m.change("fault", "", now)
	c.notify(m)
}

// put drives the output and reads it back. The motor counts as on from the
// attempt on, and as off once off was read back.
func (m *motor) put(speed float64, now time.Time) error {
	if speed != 0 {
		m.set(speed, now)
	}
	m.checked = now
	driven := guarded(func() error { return m.cfg.Output.Drive(speed) })
	read := m.check(speed)
	if driven != nil {
		return fmt.Errorf("%s: drive with speed %v: %w", m.cfg.Name, speed, driven)
	}
	if read != nil {
		return read
	}
	if speed == 0 {
		m.set(0, now)
	}
	return nil
}

// check reads back whether the output is driven with speed.
func (m *motor) check(speed float64) error {
	var read float64
	err := guarded(func() (err error) { read, err = m.cfg.Output.State(); return err })
	if err != nil {
		return fmt.Errorf("%s: read back: %w", m.cfg.Name, err)
	}
	if math.Abs(read) <= 1 { // a number
		m.read = read
	}
	if off := math.Abs(read - speed); !(off <= tolerance) || speed == 0 && read != 0 {
		return fmt.Errorf("%s: driven with speed %v, but reads back %v", m.cfg.Name, speed, read)
	}
	return nil
}

// guarded makes a panic of an output its failure: it must not keep the output
// from being driven off, nor the others from what is due.
func guarded(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return call()
}

// oneLine is the text of errors that may be joined, for a state or an answer.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
