package motor

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"sensorgateway/wire"
)

// handler carries out an action of a command: on the targets, for the client.
type handler struct {
	targets func(c *Controller, cl Client, cmd wire.Command) ([]*motor, error)
	handle  func(c *Controller, targets []*motor, cl Client, cmd wire.Command, now time.Time) error
}

var handlers = map[string]handler{
	wire.Start:     {targets: (*Controller).named, handle: (*Controller).move},
	wire.Set:       {targets: (*Controller).named, handle: (*Controller).move},
	wire.Keepalive: {targets: (*Controller).kept, handle: (*Controller).keepalive},
	wire.Status:    {targets: (*Controller).named, handle: (*Controller).status},
	wire.Stop:      {targets: (*Controller).named, handle: (*Controller).stop},
	wire.EStop:     {targets: (*Controller).every, handle: (*Controller).stopAll},
	wire.Reset:     {targets: (*Controller).every, handle: (*Controller).reset},

	wire.RequestControl: passing,
	wire.GrantControl:   passing,
	wire.DenyControl:    passing,
	wire.ReleaseControl: passing,
}

// Actions returns the actions that [Controller.Command] carries out.
func Actions() []string { return slices.Sorted(maps.Keys(handlers)) }

// Command carries out a command of the client, or refuses it; the error is a
// [*wire.Error]. A command without an ID is no repeat of another. Command
// returns after the pin was driven and read back.
func (c *Controller) Command(cl Client, cmd wire.Command) (wire.Ack, error) {
	defer c.poke()
	unsynced := cmd.Expires != nil && c.synced != nil && !c.synced()
	ack, err := c.command(cl, cmd, unsynced)
	if (cmd.Action == wire.EStop || cmd.Action == wire.Reset) && err == nil && c.stored != nil && !c.stored.Kept() {
		ack.Kept = new(bool)
	}
	if unsynced {
		return wire.Unsynced(ack, err)
	}
	return ack, err
}

func (c *Controller) command(cl Client, cmd wire.Command, unsynced bool) (wire.Ack, error) {
	defer c.lock(cmd.Stops())()
	now := time.Now()

	switch {
	case c.phase == starting:
		return wire.Ack{}, wire.Errorf(503, "not ready yet: all motors are off")
	case c.phase == ended && cmd.Action != wire.EStop: // which latches for the next start
		return wire.Ack{}, wire.Errorf(503, "shutting down: all motors are off")
	}
	action, known := handlers[cmd.Action]
	if !known {
		return wire.Ack{}, wire.Errorf(404, "Unknown command")
	}
	targets, err := action.targets(c, cl, cmd)
	if err != nil {
		return wire.Ack{}, err
	}
	// A command that starts motors is carried out once: its repeat is only answered.
	once, overtaken := cmd.Starts(), cmd.Starts() && cmd.Overtaken != nil && cmd.Overtaken()
	cmd.Overtaken = nil // it does not make a repeat another command
	if cmd.Stops() {
		c.repeats.forget(cl, cmd.Target)
	} else {
		late := expired(cmd, now, unsynced && once)
		if overtaken {
			late = wire.Overtaken()
		}
		for _, m := range targets {
			c.due(m, now)
			if late == nil {
				m.renew(cl, now)
			}
		}
		if c.repeats.has(cl, cmd, now) || cmd.Control() && repeated(targets, cl, cmd) {
			ack := c.answer(cmd, cl, targets)
			ack.Repeat = true
			return ack, nil
		}
		err = late
	}
	if err == nil {
		err = action.handle(c, targets, cl, cmd, now)
	}
	switch {
	case err != nil && once:
		delete(c.repeats[cl.ID], cmd.Target) // the same command is no repeat
	case once:
		c.repeats.add(cl, cmd, now)
	}
	if err != nil {
		return wire.Ack{}, err
	}
	return c.answer(cmd, cl, targets), nil
}

func (c *Controller) every(Client, wire.Command) ([]*motor, error) { return c.motors, nil }

// named returns the motors that a command's target names.
func (c *Controller) named(_ Client, cmd wire.Command) ([]*motor, error) {
	if cmd.Target == wire.All && cmd.Targets == nil {
		return c.motors, nil
	}
	names := cmd.Targets // as a list, or those in the client's scope for the target all
	if names == nil {
		names = []string{cmd.Target}
	}
	var targets []*motor
	for _, name := range names {
		m, ok := c.byName[name]
		if !ok {
			return nil, wire.Errorf(404, "Unknown target: %s", name)
		}
		targets = append(targets, m)
	}
	return targets, nil
}

// kept returns the motors of a keepalive: the target all means those that the client holds.
func (c *Controller) kept(cl Client, cmd wire.Command) (targets []*motor, err error) {
	if cmd.Target != wire.All {
		return c.named(cl, cmd)
	}
	for _, m := range c.motors {
		if m.holder == cl {
			targets = append(targets, m)
		}
	}
	if targets == nil {
		return nil, wire.Errorf(409, "you hold no motor: start or set one with lease_ms")
	}
	return targets, nil
}

// stop drives all targets off, even if one of them fails.
func (c *Controller) stop(targets []*motor, cl Client, _ wire.Command, now time.Time) error {
	var errs []error
	for _, m := range targets {
		errs = append(errs, c.off(m, wire.ReasonCommand, cl.Name, now))
	}
	return hardwareError(errs...)
}

func (c *Controller) stopAll(_ []*motor, cl Client, _ wire.Command, now time.Time) error {
	return hardwareError(c.latch(cl.Name, now))
}

// status reads the targets back; the answer shows a fault that this finds.
func (c *Controller) status(targets []*motor, _ Client, _ wire.Command, now time.Time) error {
	for _, m := range targets {
		if err := m.check(m.speed); err != nil {
			c.fail(m, err, now)
		}
	}
	return nil
}

// keepalive is refused only if it is refused for each target: a motor that has stopped
// must not end the leases of the others. The answer shows which motors run.
func (c *Controller) keepalive(targets []*motor, cl Client, cmd wire.Command, now time.Time) (refused error) {
	kept := false
	for _, m := range targets {
		if err := c.refusal(m, cl, cmd, now); err != nil {
			refused = cmp.Or(refused, err)
			continue
		}
		m.accept(cl, cmd, now)
		kept = true
	}
	if kept {
		return nil
	}
	return refused
}

// move is start and set.
func (c *Controller) move(targets []*motor, cl Client, cmd wire.Command, now time.Time) error {
	for _, m := range targets {
		if err := c.refusal(m, cl, cmd, now); err != nil {
			return err
		}
		m.accept(cl, cmd, now)
		if _, err := c.drive(m, now, true); err != nil {
			return hardwareError(err)
		}
		m.moving = m.speed != m.goal
		m.change(wire.ReasonCommand, cl.Name, now)
		c.notify(m)
	}
	return nil
}

// hardwareError is the answer to a command whose outputs failed, nil if none did.
func hardwareError(errs ...error) error {
	if err := errors.Join(errs...); err != nil {
		return wire.Errorf(503, "%s", oneLine(err))
	}
	return nil
}

// answer acknowledges a command with the state of its targets.
func (c *Controller) answer(cmd wire.Command, cl Client, targets []*motor) wire.Ack {
	ack := wire.Ack{Action: cmd.Action, Target: cmd.Target, Status: "ok", Warning: cmd.Warning}
	if cmd.Action == wire.RequestControl {
		ack.Pending = pending(targets, cl)
	}
	if cmd.Targets != nil && cmd.Target != wire.All {
		ack.Target = cmd.Targets
	}
	if cmd.Targets != nil || cmd.Target == wire.All {
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
