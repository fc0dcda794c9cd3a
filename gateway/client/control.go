package client

import (
	"context"
	"encoding/json"
	"fmt"

	"sensorgateway/wire"
)

// Control sends a control message and waits for its acknowledgement until ctx ends. The
// Pending of that has the motors whose holder has not answered a request yet. What follows,
// for the request and for what the client has control of, comes as [Message.Control].
func (c *Client) Control(ctx context.Context, message wire.ControlMessage) (ack wire.Ack, err error) {
	m, err := c.Request(ctx, wire.TypeControl, message)
	if err != nil {
		return ack, err
	}
	if err := json.Unmarshal(m.Payload, &ack); err != nil || m.Type != wire.TypeAck {
		return ack, fmt.Errorf("%s of control: the gateway answered with %s instead of an acknowledgement", message.Action, m.Type)
	}
	return ack, nil
}

// Control returns the event in the message, if it is one about the control of a motor.
func (m Message) Control() (e wire.Event, ok bool) {
	return e, m.Type == wire.TypeEvent && json.Unmarshal(m.Payload, &e) == nil && e.Kind == wire.EventControl
}
