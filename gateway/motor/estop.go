package motor

import (
	"errors"
	"time"

	"sensorgateway/wire"
)

// inputEvery is how often the e-stop input is polled.
const inputEvery = 20 * time.Millisecond

// inputName is who pressed the e-stop input.
const inputName = "e-stop input"

// SetEStopInput gives the controller a normally closed e-stop input, before
// Run, which polls it every 20 ms: open is pressed, and so is what cannot be
// read. While it is pressed, no reset is taken.
func (c *Controller) SetEStopInput(pressed func() (bool, error)) { c.input = pressed }

// OnEStop gives the controller, before Run, a function that is told of each
// e-stop (latched) and reset, in order with the changes of motors.
func (c *Controller) OnEStop(f func(latched bool, by string)) { c.board.onEStop = f }

// EStop drives all motors off and latches them until a reset, whatever state
// the controller is in. by is who people are told it was.
func (c *Controller) EStop(by string) {
	defer c.poke()
	defer c.lock(true)()
	c.latch(by, time.Now()) // an error is told as the motor's fault
}

func (c *Controller) latch(by string, now time.Time) (err error) {
	first := !c.estop
	if first {
		c.estop, c.estopBy = true, by
		c.board.estop(true, by)
	}
	for _, m := range c.motors {
		wasOff := !m.running
		failed := c.off(m, "estop", by, now)
		if first && wasOff && failed == nil {
			m.change("estop", by, now)
			c.notify(m)
		}
		err = errors.Join(err, failed)
	}
	return err
}

// reset takes back the latches, of the e-stop and of faults; it starts nothing.
// A motor whose output still fails keeps its fault.
func (c *Controller) reset(targets []*motor, cl Client, _ wire.Command, now time.Time) error {
	if c.pressed {
		return wire.Errorf(409, "the e-stop input is pressed, open or unreadable: release it first")
	}
	was := c.estop
	if was {
		c.estop, c.estopBy = false, ""
		c.board.estop(false, cl.Name)
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
		m.fault, m.retry = "", time.Time{}
		m.change("command", cl.Name, now)
		c.notify(m)
	}
	return hardwareError(errs...)
}

// poll looks at the e-stop input. An input that opens between two polls and
// closes again is missed: 20 ms is less than a hand's shortest push.
func (c *Controller) poll() {
	pressed, err := c.input()
	by := inputName
	if err != nil {
		pressed, by = true, inputName+" ("+err.Error()+")"
	}
	defer c.lock(true)()
	if pressed && !c.pressed {
		c.latch(by, time.Now()) // an error is told as the motor's fault
	}
	c.pressed = pressed
}
