package main

import (
	"time"

	"sensorgateway/sensors"
	"sensorgateway/wire"
)

// newClock returns this machine's clock.
func (g *running) newClock() *sensors.Clock {
	return sensors.NewClock(sensors.ClockOptions{Boot: bootClock(), Synced: clockSynced, Stepped: g.clockStepped})
}

// clockStepped tells everybody whom a leap of the system clock concerns, before
// a record has the new time.
func (g *running) clockStepped(step sensors.Step) {
	g.log.Warn("the system clock was set", "by", step.By.Round(time.Millisecond))
	g.server.Event(wire.Event{Kind: wire.EventClockCorrected, StepMS: step.By.Milliseconds(), TS: float64(step.At.UnixMilli()) / 1000})
	if step.Back {
		g.server.RestartStreams()
	}
}
