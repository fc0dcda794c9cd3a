package motor

import (
	"errors"
	"fmt"

	"periph.io/x/conn/v3/gpio"

	"sensorgateway/gateway/pins"
)

// actuator is an output of any kind. One pin carries the speed, others may carry
// the direction, and gates are high while the motor runs.
//
//	         speed   directions  gates
//	on_off   pin     –           –
//	h_bridge enable  in1, in2    standby
//	h_bridge pwm     in1, in2    enable, standby
//	h_bridge –       in1, in2    standby
//	dir_pwm  pwm     dir         enable, standby
//
// On the way up it writes the directions, then the speed, then the gates. On
// the way down the speed goes to 0 first, then the directions to low, then the
// gates. The direction changes only while the speed is 0, and in between IN1
// and IN2 are both low.
//
// After a write that fails, every pin that still can be written is driven off.
// Only DIR stays as it is while the speed cannot be set to 0: a motor that turns
// must not be reversed.
type actuator struct {
	speed      pins.PWM // nil: it could not be claimed
	directions []direction
	gates      []*pin
	reversible bool

	sign int // as driven: 1 forward, −1 reverse, 0 off or unknown
}

// direction is a pin for the direction.
type direction struct {
	*pin
	forward, reverse gpio.Level
}

func (d direction) level(sign int) gpio.Level {
	if sign < 0 {
		return d.reverse
	}
	return d.forward
}

// Drive sets the speed, −1…1. An invalid speed drives the output off.
func (a *actuator) Drive(speed float64) error {
	sign := 0
	switch {
	case !(speed >= -1 && speed <= 1):
		return errors.Join(fmt.Errorf("speed %v is not from -1 to 1", speed), a.off())
	case speed < 0 && !a.reversible:
		return errors.Join(fmt.Errorf("speed %v: it turns one way only", speed), a.off())
	case speed == 0:
		return a.off()
	case speed < 0:
		sign, speed = -1, -speed
	default:
		sign = 1
	}
	if err := a.run(sign, speed); err != nil {
		return errors.Join(err, a.off())
	}
	a.sign = sign
	return nil
}

func (a *actuator) run(sign int, duty float64) error {
	if sign != a.sign {
		if err := a.speed.Set(0); err != nil {
			return err
		}
		for _, level := range []gpio.Level{gpio.Low, gpio.High} {
			for _, d := range a.directions {
				if d.level(sign) != level {
					continue
				}
				if err := d.Out(level); err != nil {
					return err
				}
			}
		}
	}
	if err := a.speed.Set(duty); err != nil {
		return err
	}
	if a.sign == 0 {
		for _, g := range a.gates {
			if err := g.Out(gpio.High); err != nil {
				return err
			}
		}
	}
	return nil
}

// off drives each pin off, also after an error.
func (a *actuator) off() error {
	a.sign = 0
	var errs []error
	if a.speed != nil {
		errs = append(errs, a.speed.Set(0))
	}
	for _, d := range a.directions {
		if d.key != "dir" || errors.Join(errs...) == nil {
			errs = append(errs, d.Out(gpio.Low))
		}
	}
	for _, g := range a.gates {
		errs = append(errs, g.Out(gpio.Low))
	}
	return errors.Join(errs...)
}

// State composes the speed from the level of each pin. It is 0 if a gate is low,
// or if the directions are neither forward nor reverse: the motor does not turn
// then.
func (a *actuator) State() (float64, error) {
	speed, err := a.speed.Get()
	errs := []error{err}
	forward, reverse := true, a.reversible
	for _, d := range a.directions {
		level, err := d.Level()
		errs = append(errs, err)
		forward = forward && level == d.forward
		reverse = reverse && level == d.reverse
	}
	for _, g := range a.gates {
		level, err := g.Level()
		errs = append(errs, err)
		if !level {
			speed = 0
		}
	}
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	switch {
	case speed == 0 || !forward && !reverse:
		return 0, nil
	case forward:
		return speed, nil
	}
	return -speed, nil
}

// Close drives the output off and releases its pins.
func (a *actuator) Close() error {
	errs := []error{a.off()}
	if a.speed != nil {
		errs = append(errs, a.speed.Close())
	}
	for _, d := range a.directions {
		errs = append(errs, d.Close())
	}
	for _, g := range a.gates {
		errs = append(errs, g.Close())
	}
	return errors.Join(errs...)
}

// pin is a line whose errors name its key in the configuration.
type pin struct {
	key string // in the configuration
	pins.Line
}

func (p *pin) Out(level gpio.Level) error {
	if err := p.Line.Out(level); err != nil {
		return fmt.Errorf("%s: %w", p.key, err)
	}
	return nil
}

func (p *pin) Level() (gpio.Level, error) {
	level, err := p.Line.Level()
	if err != nil {
		return level, fmt.Errorf("%s: %w", p.key, err)
	}
	return level, nil
}

// fullSpeed is the speed of an H-bridge that has no pin for it: the direction
// pins alone make it run.
type fullSpeed struct{}

func (fullSpeed) String() string        { return "full speed" }
func (fullSpeed) Set(float64) error     { return nil }
func (fullSpeed) Get() (float64, error) { return 1, nil }
func (fullSpeed) Close() error          { return nil }

// steady is a line as PWM with the duties 0 and 1, for a relay or the like.
type steady struct{ *pin }

func (s steady) Set(duty float64) error { return s.Out(duty > 0) }

func (s steady) Get() (float64, error) {
	level, err := s.Level()
	if level {
		return 1, err
	}
	return 0, err
}
