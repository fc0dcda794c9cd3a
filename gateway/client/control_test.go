package client

import (
	"testing"

	"sensorgateway/wire"
)

// A request for control, its acknowledgement, and what becomes of it.
func TestControl(t *testing.T) {
	timeout := int64(4000)
	bubble(t, Options{Subprotocol: wire.ReadingsV2}, func(p *serverConn) {
		p.hello()
		m := p.next()
		if m.Type != "control" || string(m.Payload) != `{"action":"request","target":"motor_1","timeout_ms":4000,"allow_takeover":true}` {
			t.Errorf("%+v: %s", m, m.Payload)
		}
		p.say(answer{"ack", quoted(m.ID), wire.Ack{Action: "request", Target: "motor_1", Status: "ok", Pending: []string{"motor_1"}}})
		p.say(answer{"event", nil, wire.Event{Kind: "estop", By: "anna"}})
		p.say(answer{"event", nil, wire.Event{Kind: "control", Action: "grant", Target: "motor_1", From: "anna", To: "ben"}})
		p.say(answer{"error", quoted(p.next().ID), wire.Error{Code: 409, Message: "nobody requests control of motor_1"}})
		p.say(answer{"pong", quoted(p.next().ID), nil})
		p.wait()
	}, func(c *run) {
		next[Connected](c)
		ack, err := c.Control(c.t.Context(), wire.ControlMessage{Action: wire.RequestControl, Target: "motor_1", TimeoutMS: &timeout, AllowTakeover: true})
		if err != nil || len(ack.Pending) != 1 || ack.Pending[0] != "motor_1" {
			t.Errorf("%+v, %v", ack, err)
		}
		next[Message](c) // the acknowledgement
		if e, ok := next[Message](c).Control(); ok {
			t.Errorf("taken for an event of control: %+v", e)
		}
		if e, ok := next[Message](c).Control(); !ok || e.Action != wire.GrantControl || e.Target != "motor_1" || e.To != "ben" {
			t.Errorf("%+v, %v", e, ok)
		}
		_, err = c.Control(c.t.Context(), wire.ControlMessage{Action: wire.GrantControl, Target: "motor_1"})
		if wire.AsError(err).Code != 409 {
			t.Error(err)
		}
		if _, err = c.Control(c.t.Context(), wire.ControlMessage{Action: wire.DenyControl, Target: "motor_1"}); err == nil {
			t.Error("an answer that is no acknowledgement was taken for one")
		}
	})
}
