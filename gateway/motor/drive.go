package motor

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"sensorgateway/wire"
)

const (
	// tolerance is how far the speed that is read back may be from the one that
	// was driven: PWM has steps. Off has no tolerance.
	tolerance = 0.02
	// retryOff is the pause before another attempt to drive an output off.
	retryOff = 100 * time.Millisecond
	// checkEvery is how often a motor that runs is read back: a pin can fail
	// between two writes.
	checkEvery = 500 * time.Millisecond
)

// drive drives the output with the speed that its profile has now, with at least
// one write if always, and returns when it is due again; zero is never. A failure
// becomes the motor's fault, and is returned for the answer to a command.
func (c *Controller) drive(m *motor, now time.Time, always bool) (next time.Time, err error) {
	for {
		speed, next := m.at(now)
		if speed != m.speed || always {
			if err := m.put(speed, now); err != nil {
				c.fail(m, err, now)
				return m.retry, err
			}
			c.show(m)
		}
		always = false
		m.driven = now
		if next.IsZero() || next.After(now) {
			return next, nil
		}
	}
}

// off ends the motor's order, drives it off and notes the reason. A motor
// without an order is driven off too, but that is no change.
func (c *Controller) off(m *motor, reason, by string, now time.Time) error {
	changes := m.running || m.stuck()
	m.release()
	if err := m.put(0, now); err != nil {
		c.fail(m, err, now)
		return err
	}
	m.retry = time.Time{}
	if m.unclaimed {
		c.claimed(m, now)
		return nil
	}
	if !changes {
		c.show(m)
		return nil
	}
	m.change(reason, by, now)
	c.notify(m)
	return nil
}

// fail latches a failure of the motor's output, and drives it off; if that fails
// too, Run tries again until it succeeds. The fault is the first failure since
// the last reset. The fault of pins that do not exist yet ends when they appear.
func (c *Controller) fail(m *motor, err error, now time.Time) {
	m.release()
	m.retry = time.Time{}
	stuck := m.put(0, now) != nil
	if stuck {
		m.retry = now.Add(retryOff)
	}
	_, late := errors.AsType[unclaimed](err)
	if m.unclaimed && !late {
		m.fault = "" // its pins were there, and have failed
	}
	switch {
	case m.fault != "" && !m.unclaimed, m.fault != "" && stuck:
		c.show(m)
	case late && !stuck:
		c.claimed(m, now)
	default:
		m.fault, m.unclaimed = oneLine(err), late
		m.change(wire.ReasonFault, "", now)
		c.notify(m)
	}
}

// claimed ends the fault of a motor whose pins did not exist before: they do now, and
// have been off since the start.
func (c *Controller) claimed(m *motor, now time.Time) {
	m.fault, m.unclaimed = "", false
	reason, by := wire.ReasonBoot, ""
	if c.estop {
		reason, by = wire.ReasonEStop, c.estopBy
	}
	m.change(reason, by, now)
	c.notify(m)
}

// put drives the output and reads it back. The motor counts as on from the attempt to
// drive it on, and as off only when off was read back.
func (m *motor) put(speed float64, now time.Time) error {
	if speed != 0 {
		m.set(speed, now)
	}
	m.checked = now
	failed := guarded(func() error { return m.cfg.Output.Drive(speed) })
	read := m.check(speed)
	if failed != nil {
		return fmt.Errorf("%s: drive with speed %v: %w", m.cfg.Name, speed, failed)
	}
	if read != nil {
		return read
	}
	if speed == 0 {
		m.set(0, now)
	}
	return nil
}

// check reads the output back, and returns an error if it is not driven with
// speed.
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

// guarded turns a panic of an output into an error: the output can then be driven
// off, and the other motors are not affected.
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
