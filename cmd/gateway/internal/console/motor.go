package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/client"
	"sensorgateway/wire"
)

const defaultLease = 2 * time.Second

// motorActions are the actions that can be asked for; keepalive is not.
var motorActions = []string{wire.Start, wire.Set, wire.Stop, wire.Status, wire.EStop, wire.Reset, wire.TypeControl}

// Motor commands the motors of a gateway.
func Motor(env Env) *cobra.Command {
	var r remote
	var f motorFlags
	var c controlFlags
	var subprotocol subprotocolFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "motor URL ACTION [MOTOR]",
		Short: "Command the motors of a gateway",
		Long: `Sends a command to the motors of a gateway and shows the state that it acknowledges.

  start MOTOR   runs it until you press Ctrl-C, or for the time of --for. The motor
                stops when this program or its connection ends, however that happens.
  set MOTOR     changes --speed and --direction of one that runs
  stop MOTOR    stops it; "all" stops all
  status [MOTOR]
  estop         stops all motors and keeps them from starting until a reset
  reset         allows starts again after an estop or a fault
  control request MOTOR   so that nobody else starts, sets or resets it, until you press
                Ctrl-C. Whoever has control is asked. If you are asked, write grant or deny.
  control grant|deny|release MOTOR   for who shows the same token

A server that is no gateway may know no subprotocol, no leases and no states. Then a
motor is stopped by this program, and whether it stops when the connection is lost is
up to that server.`,
		Example: "  gateway motor localhost:8765 start motor_1 --speed 0.5 --for 5s\n  gateway motor localhost:8765 control request motor_1\n  gateway motor localhost:8765 estop",
		RunE: func(cmd *cobra.Command, args []string) error {
			control := len(args) > 1 && args[1] == wire.TypeControl
			if len(args) < 2 || len(args) > 3 && !control {
				return UsageError{errors.New("motor takes the URL of a gateway, an action and, for most, a motor: see gateway motor --help")}
			}
			f.given, c.given = cmd.Flags().Changed, cmd.Flags().Changed
			p := statePrinter{env.Stdout, asJSON || !env.Terminal}
			var run func(context.Context, client.Options) error
			var err error
			if control {
				run, err = c.session(args[2:], p, env)
			} else {
				run, err = f.operator(args[1:], p, env)
			}
			if err != nil {
				return UsageError{err}
			}
			o, err := r.options(args[0])
			if err != nil {
				return err
			}
			if o.Subprotocol, err = subprotocol.option(); err != nil {
				return UsageError{err}
			}
			return r.explain(run(cmd.Context(), o))
		},
	}
	r.flags(env, cmd.Flags())
	f.flags(cmd)
	c.flags(cmd)
	subprotocol.flag(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "show states as JSON, one a line, as when the output is no terminal")
	return cmd
}

// motorFlags are the parameters of a command.
type motorFlags struct {
	speed     float64
	direction string
	run       time.Duration
	lease     time.Duration
	given     func(flag string) bool
}

func (f *motorFlags) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Float64Var(&f.speed, "speed", 1, "from 0 to 1")
	flags.StringVar(&f.direction, "direction", wire.Forward, "forward or reverse")
	flags.DurationVar(&f.run, "for", 0, "`time` to run, then stop")
	flags.DurationVar(&f.lease, "lease", defaultLease, "`time` without a sign of life from here after which the gateway stops the motor (with --for: none unless given)")
}

// operator is who sends the command that the arguments and the flags mean.
func (f *motorFlags) operator(args []string, p statePrinter, env Env) (func(context.Context, client.Options) error, error) {
	payload, err := f.payload(args)
	if err != nil {
		return nil, err
	}
	return newOperator(payload, p, env.Stderr).run, nil
}

// motorPayload is a command as it is sent. To the gateway, a parameter that is
// missing is not zero.
type motorPayload struct {
	Action    string   `json:"action"`
	Target    string   `json:"target,omitempty"`
	Speed     *float64 `json:"speed,omitempty"`
	Direction string   `json:"direction,omitempty"`
	RunMS     *int64   `json:"run_ms,omitempty"`
	LeaseMS   *int64   `json:"lease_ms,omitempty"`
}

// payload is the command that the arguments (an action, perhaps a target) and
// the flags mean, checked as the gateway will check it.
func (f *motorFlags) payload(args []string) (motorPayload, error) {
	p := motorPayload{Action: args[0]}
	if len(args) > 1 {
		p.Target = args[1]
	} else if p.Action == wire.Status {
		p.Target = wire.All
	}
	if slices.Contains(controlActions, p.Action) {
		return p, fmt.Errorf("unknown action %s: did you mean \"control %s\"?", phrase.Quote(p.Action), p.Action)
	}
	if !slices.Contains(motorActions, p.Action) && p.Action != wire.Keepalive {
		if near := phrase.Nearest(p.Action, motorActions); near != "" {
			return p, fmt.Errorf("unknown action %s: did you mean %q?", phrase.Quote(p.Action), near)
		}
		return p, fmt.Errorf("unknown action %s: write %s", phrase.Quote(p.Action), phrase.OneOf(motorActions))
	}
	if p.Action == wire.Keepalive {
		return p, errors.New("keepalive needs the connection that started the motor: start does it by itself")
	}
	if p.Action == wire.Set && (f.given("for") || f.given("lease")) {
		return p, errors.New("--for and --lease go with start, which stays to see to them")
	}
	if f.given("timeout") || f.given("allow-takeover") {
		return p, errors.New("--timeout and --allow-takeover go with control request")
	}
	if f.given("speed") {
		p.Speed = &f.speed
	}
	if f.given("direction") {
		p.Direction = f.direction
	}
	if f.given("for") {
		p.RunMS = milliseconds(f.run)
	}
	if f.given("lease") || p.Action == wire.Start && p.RunMS == nil {
		p.LeaseMS = milliseconds(f.lease)
	}
	text, err := json.Marshal(p)
	if err != nil {
		return p, fmt.Errorf("--speed: %w", err) // NaN: nothing else can fail
	}
	_, err = wire.ParseCommand(text)
	return p, err
}

func milliseconds(d time.Duration) *int64 {
	ms := d.Milliseconds()
	return &ms
}
