// Package tmp117 drives Texas Instruments' TMP117, which measures temperature, over
// I²C. It refuses to know when to measure and what becomes of the values.
//
// Sections are those of the datasheet SNOSD82.
package tmp117

import (
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors/internal/device"
	"sensorgateway/wire"
)

// Registers (section 7.6).
const (
	regTemperature = 0x00
	regConfig      = 0x01
	regID          = 0x0F
)

const (
	id     = 0x0117
	idMask = 0x0FFF // the rest is the revision

	// running is a conversion every 125 ms that is the mean of eight (table 7-7).
	running    = 1<<7 | 1<<5
	mode       = 0x0C00 // 0 is conversions all the time
	settings   = 0x0FFC // the bits that nobody else changes: the others are flags
	conversion = 125 * time.Millisecond
	none       = 0x8000 // no conversion since the reset
)

// Dev is a chip. One goroutine uses it.
type Dev struct {
	*device.Dev
	ready time.Time // when the first conversion is over; zero: it is
}

// NewI2C finds the chip at addr (0x48 to 0x4b) of b by its id, and starts it.
func NewI2C(b i2c.Bus, addr uint16) (*Dev, error) {
	d, err := device.New(b, "tmp117", addr, 0x48, 0x49, 0x4A, 0x4B)
	if err != nil {
		return nil, err
	}
	v, err := d.Register(regID)
	if err != nil {
		return nil, err
	}
	if v&idMask != id {
		return nil, d.Errorf(wire.Other, "id 0x%04x is not that of a TMP117, which has 0x0117", v)
	}
	config, err := d.Register(regConfig)
	if err != nil {
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
	if config&mode != 0 || raw == none { // it has not measured lately
		dev.ready = time.Now().Add(conversion)
	}
	return dev, nil
}

// Sense sets values to the temperature in °C, as it was measured at most a conversion
// (125 ms) ago; the first one after a start waits for it. An error carries [wire.WarmingUp] if the
// chip was reset: then construct it anew.
func (d *Dev) Sense(values []float32) error {
	d.Wait(time.Until(d.ready))
	config, err := d.Register(regConfig)
	if err != nil {
		return err
	}
	raw, err := d.Register(regTemperature)
	if err != nil {
		return err
	}
	if config&settings != running || raw == none {
		return d.Errorf(wire.WarmingUp, "was reset, its settings are lost")
	}
	values[0] = float32(int16(raw)) / 128 // section 7.6.1
	return nil
}
