//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/scripts/load/swarm"
)

// operator is a client that may command, and connected before the attack.
type operator struct{ ws *websocket.Conn }

// dialOperator connects, and waits for the answer to a first stop.
func dialOperator(ctx context.Context, addr string) (*operator, error) {
	ws, _, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+addr+"/", nil)
	if err != nil {
		return nil, fmt.Errorf("an operator: %w", err)
	}
	o := &operator{ws}
	if _, err := o.stop(); err != nil {
		_ = ws.Close() // the first error tells more
		return nil, err
	}
	return o, nil
}

// stop stops the motor and returns how long the acknowledgement took.
func (o *operator) stop() (time.Duration, error) {
	begin := time.Now()
	if err := o.ws.SetReadDeadline(begin.Add(patience)); err != nil {
		return 0, err
	}
	if err := o.ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"command","payload":{"action":"stop","target":"motor_1"}}`)); err != nil {
		return 0, fmt.Errorf("stop: %w", err)
	}
	for {
		kind, message, err := o.ws.ReadMessage()
		if err != nil {
			return 0, fmt.Errorf("stop: %w", err)
		}
		if kind == websocket.TextMessage && bytes.HasPrefix(message, []byte(`{"type":"ack"`)) {
			return time.Since(begin), nil
		}
	}
}

// durations are measurements.
type durations []time.Duration

func (d durations) percentile(p float64) time.Duration { return swarm.Percentile(slices.Clone(d), p) }
