// Package hdc302x drives Texas Instruments' HDC3020, HDC3021 and HDC3022, which
// measure temperature and relative humidity, over I²C. It refuses to know when to
// measure and what becomes of the values.
//
// Sections are those of the datasheet SNAS778.
package hdc302x

import (
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors/internal/device"
	"sensorgateway/wire"
)

const (
	cmdBreak     = 0x3093 // ends automatic measurements (section 8.5.7)
	cmdHeaterOff = 0x3066
	cmdMaker     = 0x3781
	cmdMeasure   = 0x2400 // once, with the least noise

	maker = 0x3000 // Texas Instruments

	breakTime  = time.Millisecond
	conversion = 14 * time.Millisecond // 12.5 ms, and the spread of the chip's clock
)

// Dev is a chip. One goroutine uses it. Its settings are those that it has after a
// reset.
type Dev struct{ *device.Dev }

// NewI2C finds the chip at addr (0x44 to 0x47) of b by its maker's number, and ends
// what a former program may have left it doing.
func NewI2C(b i2c.Bus, addr uint16) (*Dev, error) {
	d, err := device.New(b, "hdc302x", addr, 0x44, 0x45, 0x46, 0x47)
	if err != nil {
		return nil, err
	}
	// The identity first: to another chip at this address a command could mean harm.
	r, err := d.Tx(3, cmdMaker>>8, cmdMaker&0xFF)
	if err == nil {
		err = d.Words(r)
	}
	if err != nil {
		return nil, err
	}
	if id := device.Word(r); id != maker {
		return nil, d.Errorf(wire.Other, "the maker's number 0x%04x is not that of an HDC302x, which has 0x%04x", id, maker)
	}
	if err := d.Command(cmdBreak); err != nil {
		return nil, err
	}
	time.Sleep(breakTime)
	if err := d.Command(cmdHeaterOff); err != nil {
		return nil, err
	}
	return &Dev{d}, nil
}

// Sense measures once and sets values to the temperature in °C and the relative
// humidity in %. It takes 14 ms, 18 at most, plus its transfers; the bus is free
// meanwhile.
func (d *Dev) Sense(values []float32) error {
	r, err := d.Ask(6, conversion, cmdMeasure>>8, cmdMeasure&0xFF)
	if err != nil {
		return err
	}
	t, h := float64(device.Word(r)), float64(device.Word(r[3:])) // section 8.3
	values[0] = float32(-45 + 175*t/65535)
	values[1] = float32(100 * h / 65535)
	return nil
}
