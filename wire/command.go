package wire

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Actions of a command (wire/README.md, "Commands").
const (
	Start       = "start"
	Stop        = "stop"
	Set         = "set"
	Keepalive   = "keepalive"
	Status      = "status"
	EStop       = "estop"
	Reset       = "reset"
	Acknowledge = "acknowledge" // of an alarm
)

// Directions of a motor.
const (
	Forward = "forward"
	Reverse = "reverse"
)

// All is the target of a stop or a status of every motor, and of a keepalive of
// every motor that the client holds.
const All = "all"

// Limits of a command's times, in milliseconds.
const (
	MaxRunMS   = 24 * 60 * 60 * 1000
	MinLeaseMS = 100
	MaxLeaseMS = 60 * 60 * 1000
)

// Command is the payload of a command or a control message. A pointer is nil where the
// parameter was not given.
type Command struct {
	ID        string // of its message, as it stands in the JSON; "" if it has none
	Action    string
	Target    string
	Targets   []string // in place of Target: the motors of a message for several
	Speed     *float64 // 0…1
	Direction string   // Forward, Reverse or not given
	RunMS     *int64   // stop after
	LeaseMS   *int64   // stop unless a keepalive or another command comes in time
	Expires   *int64   // Unix ms; later it is refused

	TimeoutMS     *int64 // how long a request for control waits for its answer
	AllowTakeover *bool  // a client that gets control by it loses it to a request that it does not answer

	Warning string // of a stop: what is wrong with its message; see [ParseStop]

	// Overtaken returns whether a stop came after this command, while it waited; nil: it has not
	// waited. It is asked at the moment at which the command would be carried out.
	Overtaken func() bool `json:"-"`
}

// MotorState is the state of a motor: in hello, in acknowledgements, in state
// messages and wherever else motors are listed. A member that a server leaves out
// is zero: without "reversible", a motor is not reversible.
type MotorState struct {
	Target       string      `json:"target"`
	Running      bool        `json:"running"`
	Speed        float64     `json:"speed"`                // what the output is driven with, 0…1
	Direction    string      `json:"direction"`            // Forward or Reverse
	Reason       string      `json:"reason"`               // of the last change
	By           string      `json:"by"`                   // who caused it; "" where nobody did
	TS           float64     `json:"ts"`                   // of the last change, Unix seconds
	Holder       string      `json:"holder,omitempty"`     // whose lease runs
	Control      *Control    `json:"control,omitempty"`    // nil: nobody has control
	Latched      bool        `json:"latched,omitempty"`    // by an e-stop or a fault, until reset
	Fault        string      `json:"fault,omitempty"`      // the failure of the hardware
	Reversible   bool        `json:"reversible"`           // can turn both ways
	Proportional bool        `json:"proportional"`         // has speeds between 0 and 1; else it is on or off
	Interlocks   []Interlock `json:"interlocks,omitempty"` // all of these must hold for it to start, and to run

	ControlRequest *ControlRequest `json:"control_request,omitempty"` // nil: nobody requests it
}

// Reasons of a motor's last change ([MotorState]).
const (
	ReasonBoot       = "boot"       // it has not been commanded since the program started
	ReasonCommand    = "command"    // a client's command
	ReasonLease      = "lease"      // no command of the holder for the lease's time
	ReasonRunMS      = "run_ms"     // the time of the command is up
	ReasonMaxRun     = "max_run"    // the configured time is up
	ReasonDisconnect = "disconnect" // the connection of its operator ended
	ReasonRevoked    = "revoked"    // the token of its operator was revoked, changed or has expired
	ReasonInterlock  = "interlock"  // one does not hold; ":" and its condition follow
	ReasonEStop      = EStop
	ReasonFault      = "fault"    // of the hardware
	ReasonShutdown   = "shutdown" // of the program
)

// Interlock is a condition of a motor, evaluated when the state was made. It may
// change without a state message, unless it stops the motor: a client that needs
// the present value asks for the motors again.
type Interlock struct {
	Condition string `json:"condition"` // such as "indoor.temperature < 60"
	Holds     bool   `json:"holds"`     // false while its sensor fails or sends nothing for too long
}

// Ack is the payload of an ack message.
type Ack struct {
	Action      string       `json:"action"`
	Target      any          `json:"target"` // as in the command: a string, or strings
	Status      string       `json:"status"` // "ok"
	State       *MotorState  `json:"state,omitempty"`
	Alarm       *Alarm       `json:"alarm,omitempty"`
	Motors      []MotorState `json:"motors,omitzero"`        // for target "all", several targets, estop and reset, also where there are none
	Repeat      bool         `json:"repeat,omitempty"`       // of the client's last command, or a request for control that it has or waits for: nothing was done, and this is the state of now
	Kept        *bool        `json:"kept,omitempty"`         // false: the e-stop or the reset is not stored yet, and would not survive a restart
	ClockSynced *bool        `json:"clock_synced,omitempty"` // false: the expires of the command was checked against a clock that is not synchronised
	Pending     []string     `json:"pending,omitempty"`      // the motors whose holder has yet to answer the request for control
	Audited     *bool        `json:"audited,omitempty"`      // false: the disk has not taken the record of this command in the audit log yet
	Warning     string       `json:"warning,omitempty"`      // what is wrong with the message of a stop that was carried out
}

// Error is the payload of an error message, and the error that carries it
// there; the codes are HTTP's.
type Error struct {
	Code        int    `json:"code"`
	Message     string `json:"message"`
	ClockSynced *bool  `json:"clock_synced,omitempty"` // as in [Ack]
}

func (e *Error) Error() string { return e.Message }

// Errorf returns an error with a code.
func Errorf(code int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// AsError returns the error that a client is sent for err: the [*Error] in it, 500
// if there is none.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Errorf(500, "%v", err)
}

// Unsynced returns the answer to a command with an expires, with the remark that the
// gateway's clock, by which that was judged, is not synchronised.
func Unsynced(ack Ack, err error) (Ack, error) {
	if err != nil {
		refused := AsError(err)
		refused.ClockSynced = new(bool)
		return ack, refused
	}
	ack.ClockSynced = new(bool)
	return ack, nil
}

// action is what a command can ask for: its parameters, and what is required of
// them together.
type action struct {
	parameters []string // besides action and expires, which every command may have
	check      func(*Command) error
	several    bool // target may be an array
	control    bool // it is one of a control message
	// It is not refused for parameters that it does not take: a stop must always be carried out.
	stops bool
	// It starts motors or permits that, so it is refused if a stop has overtaken it.
	starts bool
}

var actions = map[string]action{
	Start:     {parameters: []string{"target", "speed", "direction", "run_ms", "lease_ms"}, check: oneMotor, starts: true},
	Set:       {parameters: []string{"target", "speed", "direction", "run_ms", "lease_ms"}, check: someChange, starts: true},
	Stop:      {parameters: []string{"target"}, check: someTarget, stops: true},
	Keepalive: {parameters: []string{"target", "lease_ms"}, check: someMotors, several: true},
	Status:    {parameters: []string{"target"}, check: someTarget},
	EStop:     {parameters: []string{"target"}, check: allMotors, stops: true},
	Reset:     {parameters: []string{"target"}, check: allMotors, starts: true},

	Acknowledge: {parameters: []string{"target"}, check: someTarget},

	RequestControl: ofControl,
	GrantControl:   ofControl,
	DenyControl:    ofControl,
	ReleaseControl: ofControl,
}

// Actions returns what command and control messages can ask for.
func Actions() []string { return slices.Sorted(maps.Keys(actions)) }

// ofControl is each action of a control message. All may have the parameters of a request,
// which have an effect in a request only.
var ofControl = action{parameters: []string{"target", "timeout_ms", "allow_takeover"}, check: someMotors, several: true, control: true}

func someTarget(c *Command) error {
	if c.Target == "" {
		return Errorf(422, "target is missing")
	}
	return nil
}

func someMotors(c *Command) error {
	if slices.Contains(c.Targets, All) {
		return Errorf(422, `target %q cannot be in an array: write "target":%[1]q`, All)
	}
	if c.Targets != nil {
		return nil
	}
	return someTarget(c)
}

func oneMotor(c *Command) error {
	if c.Target == All {
		return Errorf(422, "target %q is only for stop, status and keepalive", All)
	}
	return someTarget(c)
}

func someChange(c *Command) error {
	if err := oneMotor(c); err != nil {
		return err
	}
	if c.Speed == nil && c.Direction == "" && c.RunMS == nil && c.LeaseMS == nil {
		return Errorf(422, "set needs speed, direction, run_ms or lease_ms")
	}
	return nil
}

func allMotors(c *Command) error {
	if c.Target != "" && c.Target != All {
		wrong := Errorf(422, "%s is for all motors: leave target out", c.Action)
		if c.Action != EStop {
			return wrong
		}
		c.Warning = cmp.Or(c.Warning, wrong.Message)
	}
	c.Target = All
	return nil
}

// parameters read the parameters of a command, each on its own.
var parameters = map[string]func(*Command, json.RawMessage) error{
	"action": func(c *Command, raw json.RawMessage) error { return text("action", raw, &c.Action) },
	"target": func(c *Command, raw json.RawMessage) error {
		err := text("target", raw, &c.Target)
		if err == nil || !actions[c.Action].several {
			return err
		}
		if json.Unmarshal(raw, &c.Targets) != nil || len(c.Targets) == 0 || slices.Contains(c.Targets, "") {
			return Errorf(422, "target must be a string or an array of strings")
		}
		return nil
	},
	"speed": func(c *Command, raw json.RawMessage) error {
		var v float64
		if json.Unmarshal(raw, &v) != nil || !(v >= 0 && v <= 1) {
			return Errorf(422, "speed must be a number from 0 to 1")
		}
		c.Speed = &v
		return nil
	},
	"direction": func(c *Command, raw json.RawMessage) error {
		if text("direction", raw, &c.Direction) != nil || c.Direction != Forward && c.Direction != Reverse {
			return Errorf(422, "direction must be %q or %q", Forward, Reverse)
		}
		return nil
	},
	"run_ms": func(c *Command, raw json.RawMessage) error { return whole("run_ms", raw, 1, MaxRunMS, &c.RunMS) },
	"lease_ms": func(c *Command, raw json.RawMessage) error {
		return whole("lease_ms", raw, MinLeaseMS, MaxLeaseMS, &c.LeaseMS)
	},
	"expires": func(c *Command, raw json.RawMessage) error { return whole("expires", raw, 0, 1<<53, &c.Expires) },
	"timeout_ms": func(c *Command, raw json.RawMessage) error {
		return whole("timeout_ms", raw, MinControlMS, MaxControlMS, &c.TimeoutMS)
	},
	"allow_takeover": func(c *Command, raw json.RawMessage) error {
		if json.Unmarshal(raw, &c.AllowTakeover) != nil {
			return Errorf(422, "allow_takeover must be true or false")
		}
		return nil
	},
}

// Stops returns whether the command is one that stops motors, which is never
// refused to anybody who may connect.
func (c Command) Stops() bool { return actions[c.Action].stops }

// Starts returns whether the command starts motors or permits that. When a stop comes while it
// waits, it is not carried out any more, but refused with [Overtaken].
func (c Command) Starts() bool { return actions[c.Action].starts }

// Overtaken is the error of a command that a stop has overtaken.
func Overtaken() *Error {
	return Errorf(409, "a stop came while this command waited, and ended it; fix: send it again if the motor shall run")
}

// Control returns whether it is a control message.
func (c Command) Control() bool { return actions[c.Action].control }

// ParseCommand reads the payload of a command message. Its errors are [*Error]:
// 404 for an unknown action, 422 for a parameter that is missing, unknown,
// null, given twice or out of range. A stop or an e-stop is not refused for
// parameters that it does not take: they are its Warning.
func ParseCommand(payload []byte) (Command, error) { return parseCommand(payload, false) }

// ParseControl reads the payload of a control message, as [ParseCommand] that of a
// command.
func ParseControl(payload []byte) (Command, error) { return parseCommand(payload, true) }

func parseCommand(payload []byte, control bool) (Command, error) {
	var c Command
	all, err := members(payload)
	if err != nil {
		return c, Errorf(422, "payload: %v", err)
	}
	if raw, ok := all["action"]; !ok {
		return c, Errorf(422, "action is missing")
	} else if err := text("action", raw, &c.Action); err != nil {
		return c, err
	}
	action, known := actions[c.Action]
	if !known || action.control != control {
		return c, Errorf(404, "Unknown command")
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		parse, known := parameters[name]
		takes := name == "action" || name == "expires" || slices.Contains(action.parameters, name)
		var wrong error
		switch {
		case !known:
			wrong = Errorf(422, "unknown parameter %q", name)
		case !takes:
			wrong = Errorf(422, "%s takes no %s", c.Action, name)
		case isNull(all[name]):
			wrong = Errorf(422, "%s is null: leave it out instead", name)
		default:
			wrong = parse(&c, all[name])
		}
		if wrong == nil {
			continue
		}
		if takes || !action.stops {
			return c, wrong
		}
		c.Warning = cmp.Or(c.Warning, wrong.Error())
	}
	return c, action.check(&c)
}

func text(name string, raw json.RawMessage, into *string) error {
	if isNull(raw) || json.Unmarshal(raw, into) != nil {
		return Errorf(422, "%s must be a string", name)
	}
	return nil
}

func whole(name string, raw json.RawMessage, least, most int64, into **int64) error {
	var v float64
	if json.Unmarshal(raw, &v) != nil || v != math.Trunc(v) || v < float64(least) || v > float64(most) {
		return Errorf(422, "%s must be a whole number from %d to %d", name, least, most)
	}
	n := int64(v)
	*into = &n
	return nil
}
