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
	case m.held() && m.holder.ID != cl.ID:
		return wire.Errorf(409, "%s is held by %s", name, m.holder.Name)
	case cmd.Action != wire.Start && !m.running:
		return wire.Errorf(409, "%s is not running", name)
	case cmd.Action == wire.Keepalive && !m.held():
		return wire.Errorf(409, "%s has no lease to keep alive: start or set it with lease_ms", name)
	case m.running:
		return nil // what follows holds for a motor that is off
	}
	if i, why := c.interlocks.permit(m.index, now); i != nil {
		return wire.Errorf(409, "interlock: %s (%s)", i.text, why)
	}
	if wait := m.zeroSince.Add(m.pause).Sub(now); m.pause > 0 && wait > 0 {
		return wire.Errorf(409, "%s pauses between runs: %v more", name, (wait + time.Millisecond - 1).Truncate(time.Millisecond))
	}
	return nil
}
