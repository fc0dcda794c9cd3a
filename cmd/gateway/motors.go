package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"periph.io/x/conn/v3/gpio"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/gateway"
	"sensorgateway/gateway/motor"
	"sensorgateway/gateway/pins"
	"sensorgateway/sensors/sim"
	"sensorgateway/wire"
)

// buildMotors claims the motors' pins, which are off and safe from then on. A
// pin that cannot be had is no reason not to start: its motor has a fault, and a
// reset tries again.
func (g *running) buildMotors(hw pins.Hardware) {
	var configs []motor.Config
	for _, m := range g.cfg.Motors {
		out := &lateOutput{open: func() (motor.Output, error) { return motor.Open(m.Output, hw) }}
		configs = append(configs, motor.Config{
			Name: m.Name, Output: out, Reversible: m.Output.Reversible(), Proportional: m.Output.Proportional(),
			Ramp: m.Ramp, Dwell: m.Dwell, MinPause: m.MinPause, MaxRun: m.MaxRun, KeepOnLoss: m.KeepOnLoss, Interlocks: m.Needs,
		})
		out.claim()
		out.claimed(2 * time.Second) // at the start there is nobody to wait for
		if err := out.Drive(0); err != nil {
			g.log.Warn("motor cannot be driven: it has a fault until a reset", "motor", m.Name, "err", err)
		}
	}
	g.motors = motor.New(configs, g.motorChanged, g.log)
	g.motors.OnEStop(func(latched bool, by string) {
		g.latch.Set(latched, by)
		kind := wire.EventReset
		if latched {
			kind = wire.EventEStop
		}
		g.server.Event(wire.Event{Kind: kind, By: by, TS: float64(time.Now().UnixMilli()) / 1000})
	})
	if g.cfg.EStopPin == "" {
		return
	}
	input, err := hw.Input(g.cfg.EStopPin, gpio.PullUp)
	if err != nil {
		g.log.Error("the e-stop input cannot be read, so it counts as pressed: no motor will start", "err", err)
		g.motors.SetEStopInput(func() (bool, error) { return true, err })
		return
	}
	g.motors.SetEStopInput(func() (bool, error) {
		level, err := input.Level()
		return level == gpio.High, err // closed to ground is released
	})
}

// motorChanged tells everybody who listens.
func (g *running) motorChanged(m wire.MotorState) {
	g.metrics.MotorChanged(m)
	g.server.State(m)
}

// handlers are what carries out each action of a command.
func (g *running) handlers() map[string]gateway.Handler {
	all := map[string]gateway.Handler{}
	for _, action := range motor.Actions() {
		all[action] = g.command
	}
	return all
}

func (g *running) command(_ context.Context, c gateway.Client, cmd wire.Command) (any, error) {
	return g.motors.Command(motor.Client{ID: c.ID, Name: c.Name}, cmd)
}

// claimTime is how long a command waits for pins that are not there yet.
const claimTime = 20 * time.Millisecond

// lateOutput is an output whose pins may not be there yet: each attempt to
// drive it is one to claim them. That can take a second, for which the other
// motors must not wait, so it goes on beside. The controller calls it one call
// at a time.
type lateOutput struct {
	open    func() (motor.Output, error)
	out     motor.Output
	err     error         // why there is none
	claims  chan struct{} // closed when the attempt that is under way has ended; nil if none is
	next    motor.Output  // what came of it
	nextErr error
}

func (l *lateOutput) claim() {
	if l.claims == nil {
		done := make(chan struct{})
		l.claims = done
		go func() { defer close(done); l.next, l.nextErr = l.open() }()
	}
}

// claimed waits for the attempt that is under way, d at most.
func (l *lateOutput) claimed(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.claims:
		l.out, l.err, l.claims = l.next, l.nextErr, nil
	case <-timer.C:
	}
}

func (l *lateOutput) Drive(speed float64) error {
	if l.out == nil {
		l.claim()
		l.claimed(claimTime)
	}
	switch {
	case l.out != nil:
		return l.out.Drive(speed)
	case l.err != nil:
		return l.err
	}
	return errors.New("its pins are being claimed")
}

func (l *lateOutput) State() (float64, error) {
	if l.out == nil {
		return 0, nil // nobody drives it, and Drive has said why
	}
	return l.out.State()
}

func (l *lateOutput) Close() error {
	if l.claims != nil {
		l.claimed(2 * time.Second)
	}
	if l.out == nil {
		return nil
	}
	return l.out.Close()
}

// pins returns emulated pins. The one that sets the first motor's speed drives
// the fan of the emulated room, and the e-stop's contact is closed.
func (s *simulation) pins(cfg *config.Config, room *sim.Room) pins.Hardware {
	fan := ""
	if len(cfg.Motors) > 0 {
		o := cfg.Motors[0].Output
		fan = cmp.Or(o.PWM, o.Enable, o.Pin, o.In1)
	}
	pins := pins.NewSim(func(pin string, duty float64) {
		if pin == fan {
			room.SetFan(duty)
		}
	})
	if cfg.EStopPin != "" {
		pins.SetInput(cfg.EStopPin, gpio.Low)
	}
	return pins
}

// outputsOffCommand drives all motors' outputs off, whatever a process that was
// killed has left: it is what the service does after every stop.
func outputsOffCommand() *cobra.Command {
	path := ""
	cmd := &cobra.Command{
		Use:   "outputs-off",
		Short: "Drive all motors' outputs off, as after a gateway that was killed",
		Args:  console.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := serveOptions{config: path}.configuration(nil)
			if err != nil {
				return fmt.Errorf("no output was driven off: %w", err)
			}
			var specs []motor.Spec
			for _, m := range cfg.Motors {
				specs = append(specs, m.Output)
			}
			if err := motor.AllOff(specs, pins.System()); err != nil {
				return fmt.Errorf("not all outputs could be driven off: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration `file` (default "+config.DefaultFile+")")
	return cmd
}
