package gateway

import (
	"fmt"

	"sensorgateway/gateway/access"
	"sensorgateway/wire"
)

// scope is the set of sensors that a client may see.
func (b *broadcaster) scope(id *access.Identity) (set sensorSet) {
	for i, info := range b.s.opts.Sensors {
		if id.Sensors.Has(info.Name) {
			set |= 1 << i
		}
	}
	return set
}

// primary is the sensor that readings.v1 shows a client on "/": the configured one,
// or the first that it may see, and that readings.v1 carries if there is one.
func (b *broadcaster) primary(c *session) int {
	if len(b.s.opts.Sensors) == 0 || c.scope.Has(uint16(b.s.opts.Primary)) {
		return b.s.opts.Primary
	}
	for i := range b.s.opts.Sensors {
		if c.scope.Has(uint16(i)) && b.carries(i) == nil {
			return i
		}
	}
	return c.scope.First()
}

// outOfScope returns why the readings of a path are not for the client, nil if they
// are, or if the path has no readings.
func (s *Server) outOfScope(c *session, path string) error {
	sensor, ok := s.streamOf(path)
	switch {
	case !ok || len(s.opts.Sensors) == 0:
		return nil
	case sensor >= 0 && !c.scope.Has(uint16(sensor)):
		return fmt.Errorf("%s is not in the scope of %s", s.opts.Sensors[sensor].Name, c.Name)
	case c.scope == 0:
		return fmt.Errorf("no sensor is in the scope of %s", c.Name)
	}
	return nil
}

// lossReason is why the motors of a client stop whose connection has ended.
func (c *session) lossReason() string {
	if c.Identity.Ended() != "" {
		return wire.ReasonRevoked
	}
	return wire.ReasonDisconnect
}

// checkIdentity closes a session whose identity no longer holds.
func (c *session) checkIdentity() {
	if c.ended {
		return
	}
	reason := c.Identity.Ended()
	if reason == "" {
		return
	}
	c.ended = true
	c.close(wire.ClosePolicy, reason)
}
