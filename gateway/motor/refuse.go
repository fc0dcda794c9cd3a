package motor

import (
	"time"

	"sensorgateway/wire"
)

// refusal returns why a start, set or keepalive is refused, nil if it is not.
func (c *Controller) refusal(m *motor, cl Client, cmd wire.Command, now time.Time) error {
	name := m.cfg.Name
	switch {
	case cmd.Direction == wire.Reverse && !m.cfg.Reversible:
		return wire.Errorf(422, "%s turns one way only", name)
	case cmd.Speed != nil && *cmd.Speed != 0 && *cmd.Speed != 1 && !m.cfg.Proportional:
		return wire.Errorf(422, "%s is either on or off: speed must be 0 or 1", name)
	case c.estop:
		return wire.Errorf(409, "e-stop by %s: reset it first", c.estopBy)
	case m.fault != "":
		return wire.Errorf(503, "fault, reset it first: %s", m.fault)
	case cmd.Action != wire.Keepalive && m.baton.Refusal(cl) != nil:
		return m.baton.Refusal(cl)
	case m.held() && m.holder.ID != cl.ID && (cmd.Action == wire.Keepalive || !m.baton.Has(cl)):
		return wire.Errorf(409, "%s is held by %s", name, m.holder.Name)
	case cmd.Action != wire.Start && !m.running:
		return wire.Errorf(409, "%s is not running", name)
	case cmd.Action == wire.Keepalive && !m.held():
		return wire.Errorf(409, "%s has no lease to keep alive: start or set it with lease_ms", name)
	case m.running:
		return nil // what follows holds for a motor that is off
	}
	if i, why := c.interlocks.permit(m.index, now); i != nil {
		return wire.Errorf(409, "interlock: %s (%s)", i.Text, why)
	}
	if wait := m.zeroSince.Add(m.pause).Sub(now); m.pause > 0 && wait > 0 {
		return wire.Errorf(409, "%s pauses between runs: %v more", name, (wait + time.Millisecond - 1).Truncate(time.Millisecond))
	}
	return nil
}

// maxClockError is how far from an unsynchronised clock's time a start may expire.
// Beyond it, the clock or the command is too wrong to tell whether the command is late.
const maxClockError = time.Minute

// expired returns the refusal of a command that has expired, nil if it has not.
// unsure means that the clock is not synchronised and the command may move a motor.
func expired(cmd wire.Command, now time.Time, unsure bool) error {
	if cmd.Expires == nil {
		return nil
	}
	expires := time.UnixMilli(*cmd.Expires)
	if unsure && expires.Sub(now.Truncate(time.Millisecond)).Abs() > maxClockError {
		const form = "2006-01-02T15:04:05.000Z"
		return wire.Errorf(408, "expires is %s, but it is %s by the gateway's clock, which is not synchronised: leave expires out, or set the clock",
			expires.UTC().Format(form), now.UTC().Format(form))
	}
	if late := now.UnixMilli() - *cmd.Expires; late > 0 {
		return wire.Errorf(408, "the command expired %d ms ago", late)
	}
	return nil
}
