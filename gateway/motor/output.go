package motor

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sensorgateway/gateway/pins"
)

// The kinds of output.
const (
	OnOff   = "on_off"   // a relay or a MOSFET on one pin
	HBridge = "h_bridge" // IN1 and IN2 are the direction, another pin the speed: L298N, TB6612, DRV8833
	DirPWM  = "dir_pwm"  // one pin is the direction, another the speed
)

// Spec is the configuration of a motor's output. A line is named GPIO17 or 17
// (behind a Raspberry Pi's header, else on gpiochip0), gpiochip2/17 or
// gpiochip2/LED; a channel of a PWM chip pwmchip0/0.
type Spec struct {
	Kind string // OnOff, HBridge or DirPWM

	Pin      string // on_off: the line
	In1, In2 string // h_bridge: forward is In1 active, reverse is In2 active
	Dir      string // dir_pwm: forward is low

	// The speed, of h_bridge and dir_pwm, as PWM: on a line by software, or on a
	// PWM chip's channel.
	PWM string
	// h_bridge without PWM: the same as PWM; with neither, it runs at full speed
	// only. Otherwise a line that is high while the motor runs.
	Enable string
	// A line that is high while the motor runs; low is sleep (STBY, nSLEEP).
	Standby string

	PWMFrequency int  // Hz; 0 is 100 by software, 1000 on a PWM chip
	ActiveLow    bool // on_off: low is on
}

// KeyError is an error in one key of a motor's configuration.
type KeyError struct {
	Key string // as in the file, such as "pwm_frequency"
	Err error
}

func (e *KeyError) Error() string { return e.Key + ": " + e.Err.Error() }
func (e *KeyError) Unwrap() error { return e.Err }

// Reversible returns whether the motor can turn in both directions.
func (s Spec) Reversible() bool { return s.Kind != OnOff }

// Proportional returns whether the output has speeds between 0 and 1.
func (s Spec) Proportional() bool { return s.Kind != OnOff && s.speed().value != "" }

// key is a pin's key in the configuration, and its value.
type key struct{ name, value string }

func (s Spec) keys() []key {
	return []key{
		{"pin", s.Pin}, {"in1", s.In1}, {"in2", s.In2}, {"dir", s.Dir},
		{"pwm", s.PWM}, {"enable", s.Enable}, {"standby", s.Standby},
	}
}

// speed returns the key of the pin for the speed, and its value; an H-bridge may
// have none.
func (s Spec) speed() key {
	switch {
	case s.Kind == OnOff:
		return key{"pin", s.Pin}
	case s.Kind != HBridge || s.PWM != "":
		return key{"pwm", s.PWM}
	case s.Enable != "":
		return key{"enable", s.Enable}
	}
	return key{}
}

// keysOf is the pins that a kind must have, and those that it may have.
var keysOf = map[string]struct{ must, may []string }{
	OnOff:   {must: []string{"pin"}},
	HBridge: {must: []string{"in1", "in2"}, may: []string{"pwm", "enable", "standby"}},
	DirPWM:  {must: []string{"dir", "pwm"}, may: []string{"enable", "standby"}},
}

// Validate returns all errors in the configuration, as joined [*KeyError]s. It
// does not need the hardware.
func (s Spec) Validate() error {
	var errs []error
	wrong := func(key, format string, args ...any) {
		errs = append(errs, &KeyError{key, fmt.Errorf(format, args...)})
	}
	takes, known := keysOf[s.Kind]
	if !known {
		if s.Kind == "" {
			wrong("kind", "missing; write %s, %s or %s", OnOff, HBridge, DirPWM)
		} else {
			wrong("kind", "%q is unknown; write %s, %s or %s", s.Kind, OnOff, HBridge, DirPWM)
		}
		return errors.Join(errs...)
	}
	speed := s.speed()
	used := map[string]string{}
	for _, k := range s.keys() {
		must := slices.Contains(takes.must, k.name)
		switch {
		case k.value == "" && must:
			wrong(k.name, "missing; a motor of kind %s needs it, such as %s: GPIO17", s.Kind, k.name)
			continue
		case k.value == "":
			continue
		case !must && !slices.Contains(takes.may, k.name):
			wrong(k.name, "a motor of kind %s has none; it has %s", s.Kind, strings.Join(slices.Concat(takes.must, takes.may), ", "))
			continue
		case pins.IsChannel(k.value) && (k.name != speed.name || s.Kind == OnOff):
			wrong(k.name, "%q is a PWM channel; write a line, such as GPIO17", k.value)
			continue
		}
		name, err := pins.Canonical(k.value)
		if err != nil {
			wrong(k.name, "%w", err)
			continue
		}
		if other := used[name]; other != "" {
			wrong(k.name, "%s is %s already", name, other)
		}
		used[name] = k.name
	}
	s.checkFrequency(speed, wrong)
	if s.ActiveLow && s.Kind != OnOff {
		wrong("active_low", "only with kind %s", OnOff)
	}
	return errors.Join(errs...)
}

func (s Spec) checkFrequency(speed key, wrong func(key, format string, args ...any)) {
	const name = "pwm_frequency"
	hz := s.PWMFrequency
	switch {
	case hz == 0:
	case s.Kind == OnOff || speed.name == "":
		wrong(name, "the motor has no pin with PWM")
	case pins.IsChannel(speed.value) && (hz < pins.MinHardHz || hz > pins.MaxHardHz):
		wrong(name, "%d Hz is not from %d to %d", hz, pins.MinHardHz, pins.MaxHardHz)
	case !pins.IsChannel(speed.value) && (hz < pins.MinSoftHz || hz > pins.MaxSoftHz):
		wrong(name, "%d Hz is not from %d to %d, which is what software can do on a line; a PWM channel, such as %s: pwmchip0/0, can do more",
			hz, pins.MinSoftHz, pins.MaxSoftHz, speed.name)
	}
}

// Pins returns the lines and channels of the output, as [pins.Canonical] has
// them. What cannot be parsed is left out.
func (s Spec) Pins() []string {
	var names []string
	for _, k := range s.keys() {
		if name, err := pins.Canonical(k.value); err == nil {
			names = append(names, name)
		}
	}
	return names
}
