// Package bme680 drives Bosch's BME680 and BME688, of which it measures temperature,
// relative humidity and pressure over I²C; the gas sensor and its heater stay off. It
// refuses to know when to measure and what becomes of the values.
//
// Sections and tables are those of the datasheet BST-BME680-DS001.
package bme680

import (
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors/internal/device"
	"sensorgateway/wire"
)

// Registers (section 5.3).
const (
	regStatus   = 0x1D // and the data behind it: pressure and temperature of three bytes, humidity of two
	regCtrlGas  = 0x70
	regCtrlHum  = 0x72
	regCtrlMeas = 0x74
	regConfig   = 0x75
	regID       = 0xD0
)

const (
	id = 0x61

	heaterOff = 1 << 3 // in regCtrlGas; the register behind it is 0: no gas measurement
	once      = 1      // oversampling, as of a weather station (table 11)
	asleep    = once<<5 | once<<2
	measure   = asleep | 1 // forced mode

	newData   = 1 << 7
	dataSize  = 10
	unused16  = 0x8000 // what registers hold of a quantity that was not measured
	unused20  = 0x80000
	duration  = 9 * time.Millisecond // 8.4 ms: three conversions and their switching
	polls     = 10                   // of a chip that is late
	pollPause = time.Millisecond
)

// Dev is a chip. One goroutine uses it.
type Dev struct {
	*device.Dev
	trim trimming
}

// NewI2C finds the chip at addr (0x76 or 0x77) of b by its id, reads its trimming
// values twice, for they have no checksum, and sets it up.
func NewI2C(b i2c.Bus, addr uint16) (*Dev, error) {
	chip, err := device.New(b, "bme680", addr, 0x76, 0x77)
	if err != nil {
		return nil, err
	}
	d := &Dev{Dev: chip}
	r, err := d.Tx(1, regID)
	if err != nil {
		return nil, err
	}
	if r[0] != id {
		return nil, d.Errorf(wire.Other, "chip id 0x%02x is not that of a BME680, which has 0x%02x", r[0], id)
	}
	var again trimming
	for _, t := range []*trimming{&d.trim, &again} {
		if err := t.read(chip); err != nil {
			return nil, err
		}
	}
	if d.trim != again {
		return nil, d.Errorf(wire.Checksum, "trimming values were read differently twice")
	}
	if err := d.Write(regCtrlGas, heaterOff, regCtrlGas+1, 0, regCtrlHum, once, regConfig, 0); err != nil {
		return nil, err
	}
	if err := d.Write(regCtrlMeas, asleep); err != nil {
		return nil, err
	}
	return d, nil
}

// Sense measures once and sets values to the temperature in °C, the relative humidity
// in % and the pressure in hPa. It takes 9 ms, 18 at most, plus its transfers; the bus
// is free meanwhile. An error carries [wire.Timeout] if the chip is still measuring,
// [wire.Implausible] if the data are no data, or [wire.WarmingUp] if the chip was
// reset and has lost its settings: then construct it anew.
func (d *Dev) Sense(values []float32) error {
	if err := d.Write(regCtrlMeas, measure); err != nil {
		return err
	}
	d.Wait(duration)
	r, err := d.Tx(dataSize, regStatus)
	for n := 1; err == nil && r[0]&newData == 0 && n < polls; n++ {
		d.Wait(pollPause)
		r, err = d.Tx(dataSize, regStatus)
	}
	if err != nil {
		return err
	}
	if err := d.Blank(r); err != nil {
		return err
	}
	if r[0]&newData == 0 {
		return d.Errorf(wire.Timeout, "still measuring after %v", duration+(polls-1)*pollPause)
	}
	rawP, rawT, rawH := word20(r[2:]), word20(r[5:]), device.Word(r[8:])
	if rawP == unused20 || rawT == unused20 || rawH == unused16 { // real ones can look the same
		if err := d.checkSettings(); err != nil {
			return err
		}
	}
	fine := d.trim.fine(float64(rawT))
	values[0] = float32(fine / 5120)
	values[1] = float32(d.trim.humidity(float64(rawH), fine/5120))
	values[2] = float32(d.trim.pressure(float64(rawP), fine) / 100)
	return nil
}

// checkSettings checks whether the chip still has its settings: a reset makes them
// zero. The mode is over, and only oversampling counts.
func (d *Dev) checkSettings() error {
	r, err := d.Tx(3, regCtrlHum)
	if err != nil {
		return err
	}
	if r[0]&7 != once || r[2]&^3 != asleep {
		return d.Errorf(wire.WarmingUp, "was reset, its settings are lost")
	}
	return nil
}

func word20(b []byte) uint32 { return uint32(b[0])<<12 | uint32(b[1])<<4 | uint32(b[2])>>4 }
