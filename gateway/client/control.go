package client

import (
	"context"
	"encoding/json"
	"fmt"

	"sensorgateway/wire"
)

// Control sends a control message and waits for its acknowledgement until ctx ends: its
// Pending has the motors whose holder has yet to answer a request. What becomes of
// that, and of the control that the client has, comes as [Message.Control].
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

// Control returns the event of the control of a motor that the message is, if it is one.
func (m Message) Control() (e wire.Event, ok bool) {
	return e, m.Type == wire.TypeEvent && json.Unmarshal(m.Payload, &e) == nil && e.Kind == wire.EventControl
}
