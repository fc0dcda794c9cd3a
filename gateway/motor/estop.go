package motor

import (
	"errors"
	"time"

	"sensorgateway/wire"
)

// inputEvery is how often the e-stop input is polled.
const inputEvery = 20 * time.Millisecond

// inputName is the name in "by" of an e-stop by the input.
const inputName = "e-stop input"

// doubtName is the name in "by" of an e-stop by [Controller.DoubtEStop].
const doubtName = "the start (it is not known yet whether the e-stop was latched before)"

// SetEStopInput sets the normally closed e-stop input, before Run, which polls
// it every 20 ms: open is pressed, and an input that cannot be read counts as
// pressed. While it is pressed, a reset is refused.
func (c *Controller) SetEStopInput(pressed func() (bool, error)) { c.input = pressed }

// OnEStop sets, before Run, the function that is called for each e-stop (latched)
// and reset, in order with the changes of motors.
func (c *Controller) OnEStop(f func(latched bool, by string)) { c.publisher.onEStop = f }

// A Latch stores the e-stop's latch over a restart.
type Latch interface {
	// Set is called for each e-stop (latched) and reset, in their order, and returns
	// at once.
	Set(latched bool, by string, at time.Time)
	// Kept waits for a short time until the last Set, or else the state at the start, is
	// stored, and returns whether it is.
	Kept() bool
}

// SetLatch sets, before Run, what stores the e-stop's latch. Without it the latch is not
// stored, and answers do not say that it is not.
func (c *Controller) SetLatch(l Latch) { c.stored = l }

// DoubtEStop latches the e-stop, before Run, while it is not known whether it was latched
// before the restart. This ends with [Controller.RestoreEStop] or a reset.
func (c *Controller) DoubtEStop() {
	defer c.lock(true)()
	c.estop, c.estopBy, c.doubt = true, doubtName, true
	for _, m := range c.motors {
		m.change(wire.ReasonEStop, doubtName, time.Now())
		c.show(m)
	}
}

// RestoreEStop ends the doubt. Before the restart, the e-stop was latched by this client at
// this time, or, if by is "", not at all. If it was pressed or reset since the start, that holds.
func (c *Controller) RestoreEStop(by string, at time.Time) {
	defer c.poke()
	defer c.lock(true)()
	if !c.doubt {
		return
	}
	c.doubt = false
	reason := wire.ReasonBoot
	if c.estop, c.estopBy = by != "", by; c.estop {
		c.publisher.estop(true, by)
		reason = wire.ReasonEStop
	} else {
		at = time.Now()
	}
	for _, m := range c.motors {
		if m.reason == wire.ReasonEStop {
			m.change(reason, by, at)
		}
		c.notify(m)
	}
}

// EStop drives all motors off and latches them until a reset, also before Run
// and after it. by is the name of who caused it.
func (c *Controller) EStop(by string) {
	defer c.poke()
	defer c.lock(true)()
	_ = c.latch(by, time.Now()) // a failure is the motor's fault
}

func (c *Controller) latch(by string, now time.Time) (err error) {
	first := !c.estop || c.doubt
	if first {
		c.setLatch(true, by, now)
	}
	for _, m := range c.motors {
		wasOff := !m.running
		failed := c.off(m, wire.ReasonEStop, by, now)
		if first && wasOff && failed == nil {
			m.change(wire.ReasonEStop, by, now)
			c.notify(m)
		}
		err = errors.Join(err, failed)
	}
	return err
}

func (c *Controller) setLatch(latched bool, by string, at time.Time) {
	c.estop, c.estopBy, c.doubt = latched, by, false
	if c.stored != nil {
		c.stored.Set(latched, by, at)
	}
	c.publisher.estop(latched, by)
}

// reset releases the latches of the e-stop and of faults; it starts nothing. A
// motor whose output still fails keeps its fault. It is for all motors, so it is
// refused if another client has control of one of them.
func (c *Controller) reset(targets []*motor, cl Client, _ wire.Command, now time.Time) error {
	if c.pressed {
		return wire.Errorf(409, "the e-stop input is pressed, open or unreadable: release it first")
	}
	for _, m := range targets {
		if err := m.baton.Refusal(cl); err != nil {
			return wire.Errorf(409, "a reset is for all motors, and %v", err)
		}
	}
	was := c.estop
	if was {
		c.setLatch(false, cl.Name, now)
	}
	var errs []error
	for _, m := range targets {
		if !was && m.fault == "" {
			continue
		}
		if failed := m.put(0, now); failed != nil {
			c.fail(m, failed, now)
			errs = append(errs, failed)
			continue
		}
		m.fault, m.unclaimed, m.retry = "", false, time.Time{}
		m.change(wire.ReasonCommand, cl.Name, now)
		c.notify(m)
	}
	return hardwareError(errs...)
}

// poll reads the e-stop input. An input that opens and closes between two polls
// is missed: 20 ms is shorter than a hand can press.
func (c *Controller) poll() {
	pressed, err := c.input()
	by := inputName
	if err != nil {
		pressed, by = true, inputName+" ("+err.Error()+")"
	}
	defer c.lock(true)()
	if pressed && !c.pressed {
		_ = c.latch(by, time.Now()) // a failure is the motor's fault
	}
	c.pressed = pressed
}
