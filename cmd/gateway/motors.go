package main

import (
	"context"
	"time"

	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/cmd/gateway/internal/supervise"
	"sensorgateway/gateway"
	"sensorgateway/gateway/motor"
	"sensorgateway/wire"
)

// buildMotors claims the motors' pins, which are off and safe from then on. The
// gateway starts also without a pin that cannot be claimed: its motor has a fault
// until it can.
func (g *running) buildMotors() {
	hw := machine.Pins(g.cfg, g.simulate)
	var configs []motor.Config
	for _, m := range g.cfg.Motors {
		out := motor.NewLateOutput(func() (motor.Output, error) { return motor.Open(m.Output, hw) })
		configs = append(configs, motor.Config{
			Name: m.Name, Output: out, Reversible: m.Output.Reversible(), Proportional: m.Output.Proportional(),
			Ramp: m.Ramp, Dwell: m.Dwell, MinPause: m.MinPause, MaxRun: m.MaxRun, KeepOnLoss: m.KeepOnLoss, Interlocks: m.Needs,
		})
		if err := out.Drive(0); err != nil {
			g.log.Warn("motor cannot be driven: it has a fault until it can", "motor", m.Name, "err", err)
		}
	}
	g.motors = motor.New(configs, g.notify.MotorChanged, g.log)
	g.motors.OnEStop(g.estopChanged)
	g.motors.OnControl(g.notify.Event)
	if g.cfg.EStopPin != "" {
		g.motors.SetEStopInput(machine.EStopInput(hw, g.cfg.EStopPin, g.log))
	}
}

// estopChanged makes an event of an e-stop, or of its reset.
func (g *running) estopChanged(latched bool, by string) {
	kind := wire.EventReset
	if latched {
		kind = wire.EventEStop
	}
	g.notify.Event(wire.Event{Kind: kind, By: by, TS: wire.Seconds(time.Now().UnixMilli())})
}

// handlers returns, for each action of a command, what carries it out.
func (g *running) handlers() map[string]gateway.Handler {
	all, act := map[string]gateway.Handler{}, g.act()
	for _, action := range motor.Actions() {
		all[action] = act
	}
	all[wire.Acknowledge] = g.auditor.Recorded(g.acknowledge, g.motors.States)
	return all
}

// act carries a command out, and records it.
func (g *running) act() gateway.Handler { return g.auditor.Recorded(g.command, g.motors.States) }

func (g *running) command(_ context.Context, c gateway.Client, cmd wire.Command) (any, error) {
	if cmd.Stops() && g.uplink != nil && c.Identity.How != fromHub { // the uplink knows those of hubs
		g.uplink.Stopped()
	}
	return g.motors.Command(motor.Client{ID: c.ID, Token: c.Identity.Token, Name: c.Name}, cmd)
}

// guard is the [guard] of all goroutines of the gateway.
func (g *running) guard(run func(context.Context) error) func(context.Context) error {
	return supervise.Guard(run, g.crashed)
}

// crashed is called before the process dies of a panic: no motor runs on meanwhile, and what
// was logged before is written.
func (g *running) crashed() {
	g.motors.Off()
	g.lines.End()
}
