package main

import (
	"time"

	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/sensors"
	"sensorgateway/sensors/timer"
	"sensorgateway/wire"
)

// newClock returns this machine's clock.
func (g *running) newClock() *sensors.Clock {
	return sensors.NewClock(sensors.ClockOptions{Boot: machine.BootClock(), Timers: timer.Kernel, Synced: machine.ClockSynced, Stepped: g.clockStepped})
}

// clockStepped makes an event of a step of the system clock, before a record has
// the new time. If the step back is too long for records to wait, the streams of
// readings end, because times never run backwards within a stream.
func (g *running) clockStepped(step sensors.Step) {
	g.log.Warn("the system clock was set", "by", step.By.Round(time.Millisecond))
	g.notify.Event(wire.Event{Kind: wire.EventClockCorrected, StepMS: step.By.Milliseconds(), TS: wire.Seconds(step.At.UnixMilli())})
	if step.Back {
		g.server.RestartStreams()
	}
}
