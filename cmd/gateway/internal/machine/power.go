package machine

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"periph.io/x/conn/v3/gpio"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/gateway/pins"
)

const (
	powerOff = 500 * time.Millisecond // longer than a module's capacitors hold
	powerOn  = 100 * time.Millisecond // until all chips answer
)

// power is the lines that feed the chips of a bus.
type power struct {
	hw    pins.Hardware
	names []string
	lines []pins.Line // nil until they are claimed
}

// powerOf returns the lines that feed the chips of a bus.
func powerOf(cfg *config.Config, name string, hw pins.Hardware) *power {
	p := &power{hw: hw}
	for _, s := range cfg.Sensors {
		if s.Bus == name && s.Power != "" && !slices.Contains(p.names, s.Power) {
			p.names = append(p.names, s.Power)
		}
	}
	return p
}

// feed makes sure that the chips have power.
func (p *power) feed() error {
	if p.lines != nil {
		return nil
	}
	return p.claim()
}

// cut leaves the chips without power for a while.
func (p *power) cut() error {
	err := p.drive(gpio.High)
	time.Sleep(powerOff)
	err = errors.Join(err, p.drive(gpio.Low))
	time.Sleep(powerOn)
	if errors.Is(err, syscall.ENODEV) { // what was claimed of a chip that went away stays without it
		for _, l := range p.lines {
			_ = l.Close() // the next feed claims all again
		}
		p.lines = nil
	}
	return err
}

// claim claims the lines. They are active low: high is inactive, and feeds the chips. A
// line is inactive from its claim on.
func (p *power) claim() error {
	var lines []pins.Line
	for _, name := range p.names {
		l, err := p.hw.Line(name, true)
		if err != nil {
			for _, claimed := range lines {
				_ = claimed.Close() // all are claimed again
			}
			return fmt.Errorf("power of the chips: %w", err)
		}
		lines = append(lines, l)
	}
	p.lines = lines
	time.Sleep(powerOn)
	return nil
}

// drive sets all lines: active is without power.
func (p *power) drive(level gpio.Level) (err error) {
	for _, l := range p.lines {
		err = errors.Join(err, l.Out(level))
	}
	return err
}
