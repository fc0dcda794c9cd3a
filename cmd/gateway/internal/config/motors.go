package config

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/condition"
	"sensorgateway/gateway/motor"
	"sensorgateway/wire"
)

// motors reads the list of motors.
func (s *section) motors(sensors []wire.SensorInfo, uses *pinUses) []Motor {
	list := s.list("motors", `begin each motor with "- "`)
	if list == nil {
		return nil
	}
	if len(list.Content) > maxMotors {
		s.fault(list.Content[maxMotors], "motors", "%d motors are too many (at most %d)", len(list.Content), maxMotors)
	}
	var motors []Motor
	names := map[string]*section{}
	for i, n := range list.Content {
		if entry := s.section(n, fmt.Sprintf("motors[%d]", i)); entry != nil {
			motors = append(motors, entry.motor(names, sensors, uses))
		}
	}
	return motors
}

// motor reads one motor.
func (s *section) motor(names map[string]*section, sensors []wire.SensorInfo, uses *pinUses) Motor {
	defer s.done()
	var c Motor
	s.must("name", "kind")
	if n := s.name("motor_1", names, &c.Name); n != nil && c.Name == "all" {
		s.fault(n, "name", `"all" means every motor in a command (choose another)`)
	}
	s.output(uses, &c.Output)
	s.times(&c)
	s.operatorLoss(&c.KeepOnLoss)
	c.Needs = s.needs(sensors)
	return c
}

// motorKinds are the kinds of output.
var motorKinds = []string{motor.OnOff, motor.HBridge, motor.DirPWM}

// pinKeys are the keys that name pins.
var pinKeys = []struct {
	name string
	of   func(*motor.Spec) *string
}{
	{"pin", func(o *motor.Spec) *string { return &o.Pin }},
	{"in1", func(o *motor.Spec) *string { return &o.In1 }},
	{"in2", func(o *motor.Spec) *string { return &o.In2 }},
	{"enable", func(o *motor.Spec) *string { return &o.Enable }},
	{"standby", func(o *motor.Spec) *string { return &o.Standby }},
	{"dir", func(o *motor.Spec) *string { return &o.Dir }},
	{"pwm", func(o *motor.Spec) *string { return &o.PWM }},
}

// output reads what the motor is connected to. What an output can be is for
// [motor.Spec.Validate] to say.
func (s *section) output(uses *pinUses, o *motor.Spec) {
	s.choice("kind", motorKinds)
	read := map[string]*yaml.Node{"kind": s.text("kind", &o.Kind)}
	for _, key := range pinKeys {
		n := s.pin(key.name, uses, key.of(o))
		if read[key.name] = n; n == nil || !slices.Contains(motorKinds, o.Kind) {
			continue
		}
		if takers := takersOf(key.of); !slices.Contains(takers, o.Kind) {
			s.fault(n, key.name, "kind %s has none (remove it, or write kind: %s)", o.Kind, phrase.OneOf(takers))
			*key.of(o) = ""
		}
	}
	read["active_low"] = s.truth("active_low", &o.ActiveLow)
	n := s.number("pwm_frequency", 100_000, "write it in hertz, such as 100", &o.PWMFrequency)
	if read["pwm_frequency"] = n; n != nil && o.PWMFrequency == 0 {
		s.fault(n, "pwm_frequency", "0 is no frequency (remove the line for the usual one)")
	}

	for _, err := range keyErrors(o.Validate()) {
		switch n := read[err.Key]; {
		case n != nil:
			s.fault(n, err.Key, "%s", phrase.Brief(err.Err))
		case !s.has(err.Key): // else it was noted
			s.fault(s.node, err.Key, "%s", phrase.Brief(err.Err))
		}
	}
}

// takersOf returns the kinds that can have a pin.
func takersOf(pin func(*motor.Spec) *string) (kinds []string) {
	for _, kind := range motorKinds {
		without := motor.Spec{Kind: kind}
		with := without
		*pin(&with) = "GPIO17"
		if len(keyErrors(with.Validate())) <= len(keyErrors(without.Validate())) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// keyErrors returns what [motor.Spec.Validate] joined.
func keyErrors(err error) (errs []*motor.KeyError) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			if keyError, ok := errors.AsType[*motor.KeyError](err); ok {
				errs = append(errs, keyError)
			}
		}
	}
	return errs
}

// times reads how the motor moves in time; 0 asks for nothing.
func (s *section) times(c *Motor) {
	noRamp, noDwell := "", "" // why it can have none
	switch {
	case c.Output.Kind == motor.OnOff:
		noRamp, noDwell = "a motor of kind on_off is on or off", "a motor of kind on_off turns one way only"
	case c.Output.Kind == motor.HBridge && !s.has("enable") && !s.has("pwm"):
		noRamp = "without enable or pwm the motor is on or off"
	}
	for _, t := range []struct {
		key, most string
		limit     time.Duration
		into      *time.Duration
		cannot    string
	}{
		{"ramp", "1m", time.Minute, &c.Ramp, noRamp},
		{"dwell", "1m", time.Minute, &c.Dwell, noDwell},
		{"min_pause", "1m", time.Minute, &c.MinPause, ""},
		{"max_run", "24h", 24 * time.Hour, &c.MaxRun, ""},
	} {
		var v time.Duration
		switch n := s.duration(t.key, 50*time.Millisecond, &v); {
		case n == nil: // the default, or noted
		case v < 0 || v > t.limit:
			s.fault(n, t.key, "%s is out of range (0s to %s)", phrase.Quote(n.Value), t.most)
		case v != 0 && t.cannot != "":
			s.fault(n, t.key, "%s (remove the line)", t.cannot)
		default:
			*t.into = v
		}
	}
}

// operatorLoss reads whether the motor goes on when its operator is lost.
func (s *section) operatorLoss(keep *bool) {
	choices := []string{"stop", "keep"}
	choice := choices[0]
	s.choice("on_operator_loss", choices)
	if n := s.text("on_operator_loss", &choice); n != nil && !slices.Contains(choices, choice) {
		s.fault(n, "on_operator_loss", "unknown value %s (write %s)", phrase.Quote(choice), phrase.OneOf(choices))
	}
	*keep = choice == "keep"
}

// needs reads the interlocks.
func (s *section) needs(sensors []wire.SensorInfo) (needs []condition.Condition) {
	for at, n := range s.texts("needs") {
		need, err := parseWith(sensors, func(find condition.Find) (condition.Condition, error) { return motor.ParseInterlock(n.Value, find) })
		if err != nil {
			s.fault(n, at, "%s", phrase.Brief(err))
			continue
		}
		needs = append(needs, need)
	}
	return needs
}

// estop reads the name of the pin of the e-stop input; "" is none.
func (s *section) estop(uses *pinUses) (name string) {
	n := s.value("estop")
	if n == nil {
		return ""
	}
	e := s.section(n, "estop")
	if e == nil {
		return ""
	}
	defer e.done()
	e.must("pin")
	pin := e.pin("pin", uses, &name)
	switch {
	case pin == nil && !e.has("pin"):
		e.problem(n, "estop: no pin (add one, such as pin: GPIO22)")
	case pin != nil:
		// The rules for the pin of an input are those for the pin of a relay.
		for _, err := range keyErrors(motor.Spec{Kind: motor.OnOff, Pin: name}.Validate()) {
			e.fault(pin, "pin", "%s", phrase.Brief(err.Err))
		}
	}
	return name
}
