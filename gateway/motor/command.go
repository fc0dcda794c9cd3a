package motor

import (
	"errors"
	"time"

	"sensorgateway/wire"
)

// Command carries out a command of the client, or refuses it; the error is a
// [*wire.Error]. id is the message's id as raw JSON, "" if it has none: without
// one it repeats nothing. It returns after the pin was driven and read back.
func (c *Controller) Command(cl Client, id string, cmd wire.Command) (wire.Ack, error) {
	defer c.poke()
	stops := cmd.Action == wire.Stop || cmd.Action == wire.EStop
	defer c.lock(stops)()
	now := time.Now()

	switch c.phase {
	case starting:
		return wire.Ack{}, wire.Errorf(503, "not ready yet: all motors are off")
	case ended:
		return wire.Ack{}, wire.Errorf(503, "shutting down: all motors are off")
	}
	targets, err := c.targets(cmd)
	if err != nil {
		return wire.Ack{}, err
	}
	if stops {
		c.repeats.forget(cl, cmd.Target)
		return c.stop(cl, cmd, targets, now)
	}

	late := cmd.Expires != nil && now.UnixMilli() > *cmd.Expires
	for _, m := range targets {
		c.advance(m, now)
		if !late {
			m.renew(cl, now)
		}
	}
	if first, ok := c.repeats.find(cl, id, cmd, now); ok {
		return first.ack, first.err
	}
	if late {
		err = wire.Errorf(408, "the command expired %d ms ago", now.UnixMilli()-*cmd.Expires)
	} else {
		err = c.carryOut(cl, cmd, targets, now)
	}
	var ack wire.Ack
	if err == nil {
		ack = c.answer(cmd, targets)
	}
	c.repeats.keep(cl, answer{now, id, cmd, ack, err})
	return ack, err
}

// targets returns the motors that the command is for.
func (c *Controller) targets(cmd wire.Command) ([]*motor, error) {
	switch cmd.Action {
	case wire.EStop, wire.Reset:
		return c.motors, nil
	case wire.Stop, wire.Status:
		if cmd.Target == wire.All {
			return c.motors, nil
		}
	case wire.Start, wire.Set, wire.Keepalive:
	default:
		return nil, wire.Errorf(404, "Unknown command")
	}
	m, ok := c.byName[cmd.Target]
	if !ok {
		return nil, wire.Errorf(404, "Unknown target: %s", cmd.Target)
	}
	return []*motor{m}, nil
}

// stop is for what may never be refused. All targets are driven off, whatever
// happens to one of them.
func (c *Controller) stop(cl Client, cmd wire.Command, targets []*motor, now time.Time) (wire.Ack, error) {
	var err error
	if cmd.Action == wire.EStop {
		err = c.latch(cl.Name, now)
	} else {
		for _, m := range targets {
			err = errors.Join(err, c.off(m, "command", cl.Name, now))
		}
	}
	if err != nil {
		return wire.Ack{}, wire.Errorf(503, "%s", oneLine(err))
	}
	return c.answer(cmd, targets), nil
}

func (c *Controller) carryOut(cl Client, cmd wire.Command, targets []*motor, now time.Time) error {
	switch cmd.Action {
	case wire.Status:
		for _, m := range targets {
			if err := m.check(m.speed); err != nil {
				c.fail(m, err, now) // the answer shows it
			}
		}
		return nil
	case wire.Reset:
		return c.reset(cl, now)
	}
	m := targets[0]
	if err := c.refusal(m, cl, cmd, now); err != nil {
		return err
	}
	m.accept(cl, cmd, now)
	if cmd.Action == wire.Keepalive {
		return nil
	}
	if _, err := c.drive(m, now, true); err != nil {
		return wire.Errorf(503, "%s", oneLine(err))
	}
	m.moving = m.speed != m.goal
	m.change("command", cl.Name, now)
	c.tell(m)
	return nil
}

// answer acknowledges a command with the state of its targets.
func (c *Controller) answer(cmd wire.Command, targets []*motor) wire.Ack {
	ack := wire.Ack{Action: cmd.Action, Target: cmd.Target, Status: "ok"}
	if cmd.Action == wire.EStop || cmd.Action == wire.Reset || cmd.Target == wire.All {
		ack.Motors = make([]wire.MotorState, 0, len(targets))
		for _, m := range targets {
			ack.Motors = append(ack.Motors, c.state(m))
		}
		return ack
	}
	s := c.state(targets[0])
	ack.State = &s
	return ack
}
