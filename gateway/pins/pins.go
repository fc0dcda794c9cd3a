// Package pins has GPIO lines and PWM: claimed, driven, read back. Whoever needs
// a pin takes it from a [Hardware]: the kernel's ([System]) or an emulated one
// ([NewSim]). A claimed output is inactive from the first moment on.
//
// It knows the kernel's interfaces and periph's levels. It refuses to know what
// is connected to a pin, who drives it and when, and the configuration: a motor, an
// input, the recovery of a bus and a power switch use the same calls.
package pins

import "periph.io/x/conn/v3/gpio"

// Hardware is where pins are claimed: a [*Kernel], or a [*Sim].
type Hardware interface {
	// Line claims an output line, inactive from the first moment on.
	Line(name string, activeLow bool) (Line, error)
	// Input claims an input line.
	Input(name string, pull gpio.Pull) (Input, error)
	// PWM claims a channel of a PWM chip; its duty is 0 from then on.
	PWM(name string, hz int) (PWM, error)
}

// Kernel is the hardware that the kernel offers: lines through the GPIO
// character device, PWM through /sys/class/pwm.
type Kernel struct{}

// System returns this machine's hardware.
func System() *Kernel { return &Kernel{} }

// PWM claims a channel of a PWM chip.
func (*Kernel) PWM(name string, hz int) (PWM, error) {
	return orNone[PWM](sysPWM.open(name, hz))
}

// Canonical returns the canonical form of the name of a line or a channel, such as
// GPIO17 for 17. In it, two names of the same pin are equal as far as can be known
// without the hardware.
func Canonical(name string) (string, error) {
	if IsChannel(name) {
		c, err := parseChannel(name)
		return c.String(), err
	}
	l, err := parseLine(name)
	return l.String(), err
}

// orNone keeps a nil pointer that comes with an error from becoming an interface that
// is not nil. *T must implement I.
func orNone[I, T any](p *T, err error) (none I, _ error) {
	if err != nil {
		return none, err
	}
	return any(p).(I), nil
}
