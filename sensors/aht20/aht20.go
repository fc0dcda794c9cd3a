// Package aht20 drives Aosong's AHT20 (and AHT21), which measure temperature and
// relative humidity, over I²C. It refuses to know when to measure and what becomes
// of the values.
//
// Sections and tables are those of Aosong's "AHT20 product manuals", version 1.1.
//
// periph's driver is not used. It writes 0x71 to have the status, which is no command but the
// chip's address with the read bit, and some chips stay busy for ever after it; a plain read
// gives the status. Nor does that driver ever reset a chip.
package aht20

import (
	"bytes"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors/internal/device"
	"sensorgateway/wire"
)

const (
	statusBusy       = 1 << 7
	statusCalibrated = 1 << 3

	resetTime     = 20 * time.Millisecond // (section 5.5)
	calibrateTime = 10 * time.Millisecond // (section 5.4)
	conversion    = 80 * time.Millisecond // (section 5.4)

	// A chip that is late is asked again until 95 ms have passed, so that it is free
	// for the next tick at ten a second.
	readTimeout = 15 * time.Millisecond
	readPause   = 5 * time.Millisecond
)

// Dev is a chip. One goroutine uses it.
type Dev struct{ *device.Dev }

// NewI2C finds the chip at addr (0x38) of b, resets it, whatever a former program
// has left it doing, and has it load its calibration unless it has. After power-on
// the chip needs up to 100 ms before it answers.
//
// Its errors, and those of [Dev.Sense], carry a [wire.Fault]: the bus's own, or
// one of those that Sense names.
func NewI2C(b i2c.Bus, addr uint16) (*Dev, error) {
	dev, err := device.New(b, "aht20", addr, 0x38)
	if err != nil {
		return nil, err
	}
	d := &Dev{dev}
	if err := d.identify(); err != nil {
		return nil, err
	}
	if err := d.Write(0xBA); err != nil {
		return nil, err
	}
	time.Sleep(resetTime)
	status, err := d.status()
	if err == nil && status&statusCalibrated == 0 {
		// Newer chips have no such command, and load their calibration by themselves: only the
		// status after it counts.
		refused := d.Write(0xBE, 0x08, 0x00)
		time.Sleep(calibrateTime)
		if status, err = d.status(); err == nil && status&statusCalibrated == 0 {
			err = refused
		}
	}
	switch {
	case err != nil:
		return nil, err
	case status&statusCalibrated == 0:
		return nil, d.Errorf(wire.WarmingUp, "its calibration is not loaded, status is 0x%02x", status)
	}
	return d, nil
}

// identify makes sure that nothing is written to a port expander, which can have the
// same address: it would set its outputs. It reads as the same byte again and again.
func (d *Dev) identify() error {
	r, err := d.Tx(7)
	if err != nil {
		return err
	}
	if err := d.Blank(r); err != nil {
		return err
	}
	if bytes.Count(r, r[:1]) == len(r) {
		return d.Errorf(wire.Other, "seven times 0x%02x is no AHT20, but what a PCF8574A port expander answers", r[0])
	}
	return nil
}

// status reads the status by itself.
func (d *Dev) status() (byte, error) {
	r, err := d.Tx(1)
	if err != nil {
		return 0, err
	}
	return r[0], nil
}

// Sense measures once and sets values to the temperature in °C and the relative
// humidity in %; after an error they are as they were. It takes 80 ms, 95 ms at
// most, plus its transfers; the bus is free meanwhile.
//
// An error carries [wire.Checksum], [wire.Timeout] if the chip is still
// measuring, or [wire.WarmingUp] if it was reset: then construct it anew.
func (d *Dev) Sense(values []float32) error {
	if err := d.Write(0xAC, 0x33, 0x00); err != nil {
		return err
	}
	d.Wait(conversion)
	r, err := d.result()
	if err != nil {
		return err
	}
	if want := device.CRC8(0xFF, r[:6]); r[6] != want {
		return d.Errorf(wire.Checksum, "read: CRC %02X, not %02X", r[6], want)
	}
	if r[0]&statusCalibrated == 0 {
		return d.Errorf(wire.WarmingUp, "was reset, its calibration is not loaded")
	}
	h := uint32(r[1])<<12 | uint32(r[2])<<4 | uint32(r[3])>>4
	t := uint32(r[3]&0x0F)<<16 | uint32(r[4])<<8 | uint32(r[5])
	if h == 0 && t == 0 { // what its registers hold from a reset on: −50 °C, far below what it can measure
		return d.Errorf(wire.WarmingUp, "was reset while it measured")
	}
	const full = 1 << 20 // (section 6)
	values[0] = float32(float64(t)/full*200 - 50)
	values[1] = float32(float64(h) / full * 100)
	return nil
}

// result reads a measurement: its status, the values and their checksum.
func (d *Dev) result() ([]byte, error) {
	for late := time.Duration(0); ; late += readPause {
		r, err := d.Tx(7)
		if err != nil || r[0]&statusBusy == 0 || r[0] == 0xFF && r[6] == 0xFF { // all ones are no status
			return r, err
		}
		if late+readPause >= readTimeout {
			return nil, d.Errorf(wire.Timeout, "still measuring %v after it should be done", readTimeout)
		}
		d.Wait(readPause)
	}
}
