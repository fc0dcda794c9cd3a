package motor

import (
	"fmt"
	"strings"

	"periph.io/x/conn/v3/gpio"
)

// Hardware is where the pins are: a [*Kernel], or a [*Sim].
type Hardware interface {
	// Line claims an output line, inactive from the first moment on.
	Line(name string, activeLow bool) (Line, error)
	// Input claims an input line.
	Input(name string, pull gpio.Pull) (Input, error)
	// PWM takes a channel of a PWM chip, with a duty of 0 from then on.
	PWM(name string, hz int) (PWM, error)
}

// Kernel is the hardware that the kernel offers: lines through the GPIO
// character device, PWM through /sys/class/pwm.
type Kernel struct{}

// System returns this machine's hardware.
func System() *Kernel { return &Kernel{} }

// PWM takes a channel of a PWM chip.
func (*Kernel) PWM(name string, hz int) (PWM, error) {
	return orNone[PWM](sysPWM.open(name, hz))
}

// Open claims the pins of an output, which is off and safe from then on. On an
// error nothing stays claimed; it tells of each pin that could not be had.
// s must be valid.
func Open(s Spec, hw Hardware) (Output, error) {
	a, err := assemble(s, hw)
	if err != nil {
		return nil, join(err, a.Close())
	}
	return a, nil
}

// AllOff drives all outputs off, whatever a process that is dead has left, and
// lets go of them. It tries all, and tells of each pin that it could not have.
func AllOff(specs []Spec, hw Hardware) error {
	var errs []error
	for _, s := range specs {
		a, err := assemble(s, hw)
		errs = append(errs, err, a.Close())
	}
	return join(errs...)
}

// assemble claims each pin, which makes it safe, in the order in which an
// output goes off. It goes on after an error, for the rest is to be safe, too.
func assemble(s Spec, hw Hardware) (*actuator, error) {
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
	case isChannel(speed.value):
		p, err := hw.PWM(speed.value, s.frequency(defaultHardHz))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", speed.name, err))
		} else {
			a.speed = p
		}
	default:
		if l, ok := line(speed.name, speed.value); ok && s.Proportional() {
			a.speed = newSoftPWM(l, s.frequency(defaultSoftHz))
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
			continue // see actuator
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
	return a, join(errs...)
}

func (s Spec) frequency(usual int) int {
	if s.PWMFrequency != 0 {
		return s.PWMFrequency
	}
	return usual
}

// orNone keeps the nil pointer beside an error from becoming an interface that
// is not nil. *T must implement I.
func orNone[I, T any](p *T, err error) (none I, _ error) {
	if err != nil {
		return none, err
	}
	return any(p).(I), nil
}

// join is errors.Join on one line, for a fault's text.
func join(errs ...error) error {
	var some joined
	for _, err := range errs {
		if err != nil {
			some = append(some, err)
		}
	}
	switch len(some) {
	case 0:
		return nil
	case 1:
		return some[0]
	}
	return some
}

type joined []error

func (j joined) Unwrap() []error { return j }

func (j joined) Error() string {
	texts := make([]string, len(j))
	for i, err := range j {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}
