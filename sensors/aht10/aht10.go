// Package aht10 drives Aosong's AHT10 (and AHT15), which measure temperature and
// relative humidity over I²C. Their successors, which have a checksum, are the AHT20's
// driver's. It refuses to know when to measure and what becomes of the values.
//
// Sections are those of the datasheet AHT10, version 1.1.
package aht10

import (
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors/internal/device"
	"sensorgateway/wire"
)

const (
	cmdInit    = 0xE1 // with 0x08 0x00: load the calibration (section 5.3)
	cmdMeasure = 0xAC // with 0x33 0x00
	cmdReset   = 0xBA

	busy       = 1 << 7 // of the status byte
	calibrated = 1 << 3

	resetTime  = 20 * time.Millisecond // section 5.5
	initTime   = 10 * time.Millisecond
	conversion = 80 * time.Millisecond // section 5.4
	polls      = 4                     // of a chip that is late
	pollPause  = 5 * time.Millisecond
)

// Dev is a chip. One goroutine uses it.
type Dev struct{ *device.Dev }

// NewI2C finds the chip at addr (0x38 or 0x39) of b, resets it and has it load its
// calibration.
func NewI2C(b i2c.Bus, addr uint16) (*Dev, error) {
	d, err := device.New(b, "aht10", addr, 0x38, 0x39)
	if err != nil {
		return nil, err
	}
	if err := d.Write(cmdReset); err != nil {
		return nil, err
	}
	time.Sleep(resetTime)
	if err := d.Write(cmdInit, 0x08, 0x00); err != nil {
		return nil, err
	}
	time.Sleep(initTime)
	// A plain read: 0x71, which the datasheet calls the command of the status, is the
	// address with the bit that says read.
	r, err := d.Tx(1)
	if err != nil {
		return nil, err
	}
	if r[0]&calibrated == 0 {
		return nil, d.Errorf(wire.Other, "status 0x%02x: it does not load its calibration", r[0])
	}
	return &Dev{d}, nil
}

// Sense measures once and sets values to the temperature in °C and the relative
// humidity in %. It takes 80 ms, 95 at most, plus its transfers; the bus is free
// meanwhile. An error carries [wire.Timeout] if the chip is still measuring, and
// [wire.WarmingUp] if it was reset: then construct it anew.
func (d *Dev) Sense(values []float32) error {
	if err := d.Write(cmdMeasure, 0x33, 0x00); err != nil {
		return err
	}
	d.Wait(conversion)
	r, err := d.Tx(6)
	for n := 1; err == nil && r[0]&busy != 0 && n < polls; n++ {
		d.Wait(pollPause)
		r, err = d.Tx(6)
	}
	if err != nil {
		return err
	}
	if err := d.Blank(r); err != nil {
		return err
	}
	h := uint32(r[1])<<12 | uint32(r[2])<<4 | uint32(r[3])>>4
	t := uint32(r[3]&0xF)<<16 | uint32(r[4])<<8 | uint32(r[5])
	switch {
	case r[0]&busy != 0:
		return d.Errorf(wire.Timeout, "still measuring after %v", conversion+(polls-1)*pollPause)
	case r[0]&calibrated == 0, h == 0 && t == 0: // what it has from a reset on
		return d.Errorf(wire.WarmingUp, "was reset, its calibration is not loaded")
	}
	values[0] = float32(200*float64(t)/(1<<20) - 50) // section 6.2
	values[1] = float32(100 * float64(h) / (1 << 20))
	return nil
}
