// Package mcp9808 drives Microchip's MCP9808, which measures temperature, over I²C. It
// refuses to know when to measure and what becomes of the values.
//
// Sections are those of the datasheet DS25095.
package mcp9808

import (
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors/internal/device"
	"sensorgateway/wire"
)

// Registers (section 5.1).
const (
	regConfig      = 0x01
	regTemperature = 0x05
	regMaker       = 0x06
	regDevice      = 0x07
	regResolution  = 0x08
)

const (
	maker  = 0x0054
	idHigh = 0x04 // in the high byte; the low one is the revision

	// running is continuous conversion. It has a hysteresis of 1.5 °C for the alert
	// pin, which nobody uses, to tell it from what a reset leaves.
	running    = 1 << 9
	shutDown   = 1 << 8
	finest     = 0x03 // 0.0625 °C
	conversion = 250 * time.Millisecond

	above, below = 1 << 14, 1 << 13 // of the alert's limits: no temperature is both
	value        = 0x1FFF
)

// Dev is a chip. One goroutine uses it.
type Dev struct {
	*device.Dev
	ready time.Time // when the first conversion is over; zero: it is
}

// NewI2C finds the chip at addr (0x18 to 0x1f) of b by its ids, and starts it.
func NewI2C(b i2c.Bus, addr uint16) (*Dev, error) {
	d, err := device.New(b, "mcp9808", addr, 0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F)
	if err != nil {
		return nil, err
	}
	m, err := d.Register(regMaker)
	if err != nil {
		return nil, err
	}
	id, err := d.Register(regDevice)
	if err != nil {
		return nil, err
	}
	if m != maker || id>>8 != idHigh {
		return nil, d.Errorf(wire.Other, "ids 0x%04x 0x%04x are not those of an MCP9808, which has 0x%04x 0x%02xxx", m, id, maker, idHigh)
	}
	config, err := d.Register(regConfig)
	if err != nil {
		return nil, err
	}
	if err := d.Write(regResolution, finest); err != nil {
		return nil, err
	}
	if err := d.SetRegister(regConfig, running); err != nil {
		return nil, err
	}
	dev := &Dev{Dev: d}
	raw, err := d.Register(regTemperature)
	if err != nil {
		return nil, err
	}
	if config&shutDown != 0 || raw&value == 0 { // it has not measured lately
		dev.ready = time.Now().Add(conversion)
	}
	return dev, nil
}

// Sense sets values to the temperature in °C, as it was measured at most a conversion
// (250 ms) ago; the first one after a start waits for it. An error carries [wire.WarmingUp] if the
// chip was reset: then construct it anew.
func (d *Dev) Sense(values []float32) error {
	d.Wait(time.Until(d.ready))
	raw, err := d.Register(regTemperature)
	if err != nil {
		return err
	}
	if raw&above != 0 && raw&below != 0 {
		return d.Errorf(wire.Implausible, "read: 0x%04x is above and below its limits", raw)
	}
	if raw&value == 0 { // 0 °C, or not measured since a reset
		config, err := d.Register(regConfig)
		if err != nil {
			return err
		}
		if config != running {
			return d.Errorf(wire.WarmingUp, "was reset, its settings are lost")
		}
	}
	values[0] = float32(int16(raw<<3)>>3) / 16 // 13 bits with a sign (section 5.1.3)
	return nil
}
