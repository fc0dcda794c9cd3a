package hub

import (
	"context"

	"sensorgateway/wire"
)

// Command has the gateway carry out an envelope of a client, as on the WebSocket, and
// returns its answer, an envelope of type ack or error. by is for people; the client is
// a connection, named by who calls, whose end is said by [Remote.Lost]. An error is a
// [*wire.Error] of the hub itself: the gateway is away, or did not answer.
func (r *Remote) Command(_ context.Context, _, _ string, _ []byte) (answer []byte, err error) {
	return nil, wire.Errorf(503, "%s cannot be commanded yet", r.name)
}

// Lost says that a client's connection has ended: what it keeps running on the gateway
// stops as it would there.
func (r *Remote) Lost(_ string) {}

// AskReadings asks the gateway for the readings with the numbers after since up to until,
// and returns when those that it has are stored.
func (r *Remote) AskReadings(_ context.Context, _, _ string, _, _ uint32) error {
	return wire.Errorf(503, "%s cannot be asked yet", r.name)
}
