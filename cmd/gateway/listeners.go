package main

import (
	"sensorgateway/cmd/gateway/internal/notify"
	"sensorgateway/gateway/motor"
	"sensorgateway/wire"
)

// listeners are all who are notified of ticks, events and motors' changes, in this
// order. A new one is a file with a [notify.Listener] and a line here.
func (g *running) listeners() []notify.Listener {
	return []notify.Listener{
		g.storage.state,                 // no number is used before it is reserved
		g.storage.history,               // no record is seen before it is in the log
		notify.NewCalibrated(g.sensors), // the log stores what was measured; those below get the calibrated values
		g.first,
		g.auditor,
		g.metrics,
		interlocks{motors: g.motors}, // a motor stops before its clients see why
		g.alarms,
		g.homeAssistant,
		g.uplink,
		broadcast{g},
	}
}

// interlocks evaluates the motors' interlocks with each tick.
type interlocks struct {
	notify.Nop
	motors *motor.Controller
}

func (i interlocks) Tick(records []wire.Record, _ int64) { i.motors.Observe(records) }

// broadcast sends everything to the clients who subscribed to it.
type broadcast struct{ g *running }

func (b broadcast) Tick(records []wire.Record, _ int64) { b.g.server.Publish(records) }
func (b broadcast) MotorChanged(m wire.MotorState)      { b.g.server.State(m) }
func (b broadcast) Event(e wire.Event)                  { b.g.trouble.Send(e, b.g.server.Event) }
