// Package shtc3 drives Sensirion's SHTC3, which measures temperature and relative
// humidity, over I²C, and lets it sleep between measurements. It refuses to know
// when to measure and what becomes of the values.
//
// Sections and tables are those of Sensirion's datasheet SHTC3, version 3.
package shtc3

import (
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors/internal/device"
)

const (
	cmdWake    = 0x3517 // section 5.1
	cmdSleep   = 0xB098
	cmdMeasure = 0x7866 // temperature first, normal power, no stretching (table 11)
	cmdID      = 0xEFC8 // section 5.9

	wakeTime   = time.Millisecond // 240 µs at most (table 5)
	conversion = 13 * time.Millisecond
)

// Dev is a chip. One goroutine uses it.
type Dev struct{ *device.Dev }

// NewI2C finds the chip at addr (0x70) of b and reads its id, of which only the
// checksum is checked: compatible chips have other ids.
func NewI2C(b i2c.Bus, addr uint16) (*Dev, error) {
	chip, err := device.New(b, "shtc3", addr, 0x70)
	if err != nil {
		return nil, err
	}
	d := &Dev{chip}
	if err := d.wake(); err != nil {
		return nil, err
	}
	r, err := d.Tx(3, cmdID>>8, cmdID&0xFF)
	if err == nil {
		err = d.Words(r)
	}
	if err == nil {
		err = d.Command(cmdSleep)
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Dev) wake() error {
	if err := d.Command(cmdWake); err != nil {
		return err
	}
	d.Wait(wakeTime)
	return nil
}

// Sense measures once and sets values to the temperature in °C and the relative
// humidity in %. It takes 14 ms, 18 at most, plus its transfers; the bus is free
// meanwhile. A chip that failed in between stays awake, which costs power only.
func (d *Dev) Sense(values []float32) error {
	if err := d.wake(); err != nil {
		return err
	}
	r, err := d.Ask(6, conversion, cmdMeasure>>8, cmdMeasure&0xFF)
	if err != nil {
		return err
	}
	t, h := float64(device.Word(r)), float64(device.Word(r[3:]))
	values[0] = float32(-45 + 175*t/65536) // section 5.11; not 65535, as of other chips
	values[1] = float32(100 * h / 65536)
	return d.Command(cmdSleep)
}
