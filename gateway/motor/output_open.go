package motor

import (
	"errors"
	"fmt"

	"periph.io/x/conn/v3/gpio"

	"sensorgateway/gateway/pins"
)

// Open claims the pins of an output, which is off from then on. On an error
// nothing stays claimed; the error names each pin that could not be claimed. s
// must be valid.
func Open(s Spec, hw pins.Hardware) (Output, error) {
	a, err := assemble(s, hw)
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// AllOff drives all outputs off that a dead process may have left on, and
// releases them. It tries all; its error names each pin that it could not claim.
func AllOff(specs []Spec, hw pins.Hardware) error {
	var errs []error
	for _, s := range specs {
		a, err := assemble(s, hw)
		errs = append(errs, err, a.Close())
	}
	return errors.Join(errs...)
}

// assemble claims each pin, which drives it off, in the order in which an output
// goes off. It continues after an error: the other pins have to be off too.
func assemble(s Spec, hw pins.Hardware) (*actuator, error) {
	a := &actuator{reversible: s.Reversible()}
	var errs []error
	line := func(key, name string) (*pin, bool) {
		l, err := hw.Line(name, s.ActiveLow)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
		return &pin{key, l}, err == nil
	}

	speed := s.speed()
	switch {
	case speed.name == "":
		a.speed = fullSpeed{}
	case pins.IsChannel(speed.value):
		p, err := hw.PWM(speed.value, s.frequency(pins.DefaultHardHz))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", speed.name, err))
		} else {
			a.speed = p
		}
	default:
		if l, ok := line(speed.name, speed.value); ok && s.Proportional() {
			a.speed = pins.NewSoftPWM(l, s.frequency(pins.DefaultSoftHz))
		} else if ok {
			a.speed = steady{l}
		}
	}
	for _, d := range []struct {
		key, name        string
		forward, reverse gpio.Level
	}{
		{"in1", s.In1, gpio.High, gpio.Low},
		{"in2", s.In2, gpio.Low, gpio.High},
		{"dir", s.Dir, gpio.Low, gpio.High},
	} {
		if d.name == "" || d.key == "dir" && a.speed == nil {
			continue // DIR stays as it is: see actuator
		}
		if l, ok := line(d.key, d.name); ok {
			a.directions = append(a.directions, direction{l, d.forward, d.reverse})
		}
	}
	for _, g := range []key{{"enable", s.Enable}, {"standby", s.Standby}} {
		if g.value == "" || g.name == speed.name {
			continue
		}
		if l, ok := line(g.name, g.value); ok {
			a.gates = append(a.gates, l)
		}
	}
	return a, errors.Join(errs...)
}

func (s Spec) frequency(usual int) int {
	if s.PWMFrequency != 0 {
		return s.PWMFrequency
	}
	return usual
}
