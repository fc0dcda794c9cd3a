// Package hdc1080 drives Texas Instruments' HDC1080 (and HDC1000, HDC1008, HDC1050),
// which measure temperature and relative humidity, over I²C. It refuses to know when
// to measure and what becomes of the values.
//
// Sections are those of the datasheet SNAS672.
package hdc1080

import (
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors/internal/device"
	"sensorgateway/wire"
)

// Registers (section 8.6).
const (
	regTemperature = 0x00 // and the humidity behind it
	regConfig      = 0x02
	regMaker       = 0xFE
	regDevice      = 0xFF
)

const (
	bothInTurn = 1 << 12 // in regConfig: temperature and humidity, 14 bits each

	maker    = 0x5449
	hdc1000  = 0x1000
	hdc1080  = 0x1050
	startUp  = 15 * time.Millisecond // at most (section 7.5)
	duration = 15 * time.Millisecond // 6.35 and 6.5 ms, and a millisecond each (section 7.5)
)

// Dev is a chip. One goroutine uses it. Its settings are those of a reset.
type Dev struct{ *device.Dev }

// NewI2C finds the chip at addr (0x40 to 0x43) of b by its ids and sets it up.
func NewI2C(b i2c.Bus, addr uint16) (*Dev, error) {
	d, err := device.New(b, "hdc1080", addr, 0x40, 0x41, 0x42, 0x43)
	if err != nil {
		return nil, err
	}
	m, err := d.Register(regMaker)
	if wire.FaultOf(err) == wire.NoAck {
		time.Sleep(startUp)
		m, err = d.Register(regMaker)
	}
	if err != nil {
		return nil, err
	}
	id, err := d.Register(regDevice)
	if err != nil {
		return nil, err
	}
	if m != maker || id != hdc1080 && id != hdc1000 {
		return nil, d.Errorf(wire.Other, "ids 0x%04x 0x%04x are not those of an HDC1080, which has 0x%04x 0x%04x", m, id, maker, hdc1080)
	}
	if err := d.SetRegister(regConfig, bothInTurn); err != nil {
		return nil, err
	}
	return &Dev{d}, nil
}

// Sense measures once and sets values to the temperature in °C and the relative
// humidity in %. It takes 15 ms, 19 at most, plus its transfers; the bus is free
// meanwhile.
func (d *Dev) Sense(values []float32) error {
	if err := d.Write(regTemperature); err != nil {
		return err
	}
	d.Wait(duration)
	r, err := d.Read(4)
	if err != nil {
		return err
	}
	if err := d.Blank(r); err != nil {
		return err
	}
	values[0] = float32(165*float64(device.Word(r))/65536 - 40) // section 8.6.1
	values[1] = float32(100 * float64(device.Word(r[2:])) / 65536)
	return nil
}
