// Package sht4x drives Sensirion's SHT40, SHT41 and SHT45, which measure temperature
// and relative humidity, over I²C. It refuses to know when to measure and what
// becomes of the values.
//
// Sections and tables are those of Sensirion's datasheet SHT4x, version 6.
package sht4x

import (
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors/internal/device"
)

const (
	cmdMeasure = 0xFD // with high repeatability (table 8)
	cmdSerial  = 0x89

	conversion = 9 * time.Millisecond // 8.3 ms at most (table 5)
	answerTime = time.Millisecond     // from a command that does not measure to its answer
)

// Dev is a chip. One goroutine uses it. It has no settings that a reset could lose,
// and a heater that a former program has switched on ends after a second.
type Dev struct{ *device.Dev }

// NewI2C finds the chip at addr (0x44 to 0x46, which is the part's, not a pin's) of b
// and reads its serial number, which no other chip at this address has.
func NewI2C(b i2c.Bus, addr uint16) (*Dev, error) {
	d, err := device.New(b, "sht4x", addr, 0x44, 0x45, 0x46)
	if err != nil {
		return nil, err
	}
	if _, err := d.Ask(6, answerTime, cmdSerial); err != nil {
		return nil, err
	}
	return &Dev{d}, nil
}

// Sense measures once and sets values to the temperature in °C and the relative
// humidity in %. It takes 9 ms, 13 at most, plus its transfers; the bus is free
// meanwhile.
func (d *Dev) Sense(values []float32) error {
	r, err := d.Ask(6, conversion, cmdMeasure)
	if err != nil {
		return err
	}
	t, h := float64(device.Word(r)), float64(device.Word(r[3:])) // section 4.6
	values[0] = float32(-45 + 175*t/65535)
	values[1] = float32(min(max(-6+125*h/65535, 0), 100)) // the raw values go beyond 0 and 100 %
	return nil
}
