// Package bme280 makes periph's driver of Bosch's BME280 and BMP280, which measure
// temperature, pressure and (the BME280) relative humidity over I²C, fit for a
// program that runs for years: its waits have a limit, its errors carry their cause
// ([wire.Fault]), and what is no measurement is not taken for one.
//
// It refuses to know how raw values become quantities, which is periph's business,
// and when to measure.
//
// Sections and tables are those of Bosch's datasheet BST-BME280-DS002; the registers
// of a BMP280 are the same, without those of humidity (BST-BMP280-DS001).
package bme280

import (
	"fmt"
	"strings"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/devices/v3/bmxx80"

	"sensorgateway/sensors/internal/climate"
	"sensorgateway/wire"
)

// oversampling of all quantities, as section 3.5.2 advises for measuring
// humidity: the least self-heating, 0.07 %RH of noise.
const oversampling = bmxx80.O1x

// Dev is a chip. One goroutine uses it.
type Dev struct {
	dev   *bmxx80.Dev
	bus   *guard
	addr  uint16
	chip  string
	name  string
	humid bool // it measures humidity
	bytes int  // that its data have

	config byte // of a BMP280: what its register has since it was set up
}

// The chips' ids, in regID.
const (
	idBME280 = 0x60
	idBMP280 = 0x58
	idBMP180 = 0x55
	idBME680 = 0x61
)

// models are what the chips call themselves.
var models = map[byte]string{idBME280: "BME280", idBMP280: "BMP280, which measures no humidity", idBMP180: "BMP180", idBME680: "BME680 or BME688"}

// NewI2C finds the chip at addr (0x76 or 0x77) of b, makes sure that it is a
// BME280 whose trimming values can be relied on, and sets it up. It returns
// within 25 ms plus its transfers.
//
// Its errors, and those of [Dev.Sense], carry a [wire.Fault]: the bus's own, or
// one of those that they name. Here these are [wire.Timeout] if the chip does
// not come up, [wire.Checksum] if two readings of the trimming values differ
// (there is no checksum), and [wire.Other] for a chip that it cannot use.
func NewI2C(b i2c.Bus, addr uint16) (*Dev, error) {
	return construct(&Dev{addr: addr, chip: "bme280", humid: true, bytes: 8}, b)
}

// NewBMP280 is [NewI2C] for a BMP280, which measures no humidity.
func NewBMP280(b i2c.Bus, addr uint16) (*Dev, error) {
	return construct(&Dev{addr: addr, chip: "bmp280", bytes: 6}, b)
}

func construct(d *Dev, b i2c.Bus) (*Dev, error) {
	addr := d.addr
	d.bus, d.name = &guard{Bus: b}, fmt.Sprintf("%s 0x%02x on %s", d.chip, addr, b)
	if addr != 0x76 && addr != 0x77 {
		return nil, fmt.Errorf("%s: it can only be at 0x76 or 0x77: %w", d.name, wire.Other)
	}
	if err := d.identify(); err != nil {
		return nil, err
	}
	if err := d.awaitTrimming(); err != nil {
		return nil, err
	}
	dev, err := bmxx80.NewI2C(d.bus, addr, &bmxx80.Opts{
		Temperature: oversampling,
		Humidity:    oversampling,
		Pressure:    oversampling,
	})
	if err != nil {
		return nil, d.cause(err)
	}
	d.dev = dev
	if err := d.checkTrimming(); err != nil {
		return nil, err
	}
	if !d.humid {
		var config [1]byte
		if err := d.read(regConfig, config[:]); err != nil {
			return nil, err
		}
		d.config = config[0]
	}
	return d, nil
}

// identify refuses other chips before periph writes to one.
func (d *Dev) identify() error {
	var id [1]byte
	if err := d.read(regID, id[:]); err != nil {
		return err
	}
	want := byte(idBMP280)
	if d.humid {
		want = idBME280
	}
	switch model := models[id[0]]; {
	case id[0] == want:
		return nil
	case id[0] == idBME280 || id[0] == idBMP280:
		return fmt.Errorf("%s: chip id 0x%02x is a %s; fix: write chip: %.6s: %w", d.name, id[0], model, strings.ToLower(model), wire.Other)
	case model != "":
		return fmt.Errorf("%s: chip id 0x%02x is a %s: %w", d.name, id[0], model, wire.Other)
	}
	return fmt.Errorf("%s: chip id 0x%02x is not a %.6s, which has 0x%02x: %w", d.name, id[0], models[want], want, wire.Other)
}

// awaitTrimming waits until the chip has copied its trimming values into their
// registers, 2 ms after power-on (section 5.4.4, table 1).
func (d *Dev) awaitTrimming() error {
	for start := time.Now(); ; time.Sleep(pollPause) {
		var status [1]byte
		if err := d.read(regStatus, status[:]); err != nil {
			return err
		}
		if status[0]&statusCopying == 0 {
			return nil
		}
		if time.Since(start) > pollLimit {
			return fmt.Errorf("%s: still starting, status is 0x%02x: %w", d.name, status[0], wire.Timeout)
		}
	}
}

// checkTrimming checks the trimming values that periph read: wrong ones would
// make every later value wrong.
func (d *Dev) checkTrimming() error {
	taken := d.bus.calib
	var again [calibSize]byte
	if err := d.read(regCalibTP, again[:calibTPSize]); err != nil {
		return err
	}
	if d.humid {
		if err := d.read(regCalibH, again[calibTPSize:]); err != nil {
			return err
		}
	}
	switch {
	case taken != again:
		return fmt.Errorf("%s: trimming values were read differently twice: %w", d.name, wire.Checksum)
	case blank(taken[:calibTPSize]), d.humid && blank(taken[calibTPSize:]):
		return fmt.Errorf("%s: trimming values are blank: %w", d.name, wire.Other)
	case d.humid && taken[calibTPSize+5]&0x80 != 0:
		// H5 has twelve bits with a sign (table 16), which periph drops.
		return fmt.Errorf("%s: trimming value H5 is negative, which is not supported: %w", d.name, wire.Other)
	}
	return nil
}

// Sense measures once and sets values to the temperature in °C, the relative
// humidity in % (of a BME280) and the pressure in hPa; after an error they are as
// they were. It takes 10 ms, 26 ms at most, plus its transfers; the bus is free
// meanwhile.
//
// An error carries [wire.Timeout] if the chip is still measuring,
// [wire.Implausible] if the data are no data, or [wire.WarmingUp] if the chip
// was reset or replaced behind our back and does not have its settings: then construct it
// anew, for its values are missing or wrong before.
func (d *Dev) Sense(values []float32) error {
	var env physic.Env
	if err := d.dev.Sense(&env); err != nil {
		return d.cause(err)
	}
	data := d.bus.data[:d.bytes]
	if blank(data) {
		return fmt.Errorf("%s: read: all data are 0x%02x: %w", d.name, data[0], wire.Implausible)
	}
	if !d.humid || skipped(data) {
		if err := d.checkSettings(); err != nil {
			return err
		}
	}
	pressure := float32(float64(env.Pressure) / float64(100*physic.Pascal))
	if !d.humid {
		values[0], values[1] = float32(env.Temperature.Celsius()), pressure
		return nil
	}
	climate.Set(values, env.Temperature, env.Humidity)
	values[2] = pressure
	return nil
}

// skipped returns whether the data look as if pressure or temperature (0x80000) or
// humidity (0x8000) was not measured (sections 5.4.7 to 5.4.9). Real ones can look
// the same: a typical chip has 0x80000 at 22 °C and 0x8000 at 82 %.
func skipped(data []byte) bool {
	return data[0] == 0x80 && data[1] == 0 && data[2]>>4 == 0 ||
		data[3] == 0x80 && data[4] == 0 && data[5]>>4 == 0 ||
		len(data) > 6 && data[6] == 0x80 && data[7] == 0
}

// checkSettings checks whether the chip still has its settings: a reset makes
// them zero, and so they are in another chip that was just connected, whose trimming
// values are others. A BMP280 measures then as before, because ctrl_meas is written for
// each measurement; only its config tells.
func (d *Dev) checkSettings() error {
	var ctrl [regConfig - regCtrlHum + 1]byte
	b := ctrl[:]
	if d.humid { // ctrl_hum tells
		b = ctrl[:regConfig-regCtrlHum]
	}
	if err := d.read(regCtrlHum, b); err != nil {
		return err
	}
	hum, meas, config := bmxx80.Oversampling(ctrl[0]&7), ctrl[regCtrlMeas-regCtrlHum], ctrl[regConfig-regCtrlHum]
	if d.humid && hum != oversampling || bmxx80.Oversampling(meas>>5) != oversampling || bmxx80.Oversampling(meas>>2&7) != oversampling || config != d.config {
		return fmt.Errorf("%s: was reset, its settings are lost: %w", d.name, wire.WarmingUp)
	}
	return nil
}

// blank returns whether all bytes are 0x00 or all are 0xFF, as a dead chip or a
// dead bus gives them.
func blank(b []byte) bool {
	for _, v := range b {
		if v != b[0] {
			return false
		}
	}
	return b[0] == 0x00 || b[0] == 0xFF
}

// read reads registers from reg on, past the guard.
func (d *Dev) read(reg byte, b []byte) error {
	if err := d.bus.Bus.Tx(d.addr, []byte{reg}, b); err != nil {
		return fmt.Errorf("%s %w", d.chip, err)
	}
	return nil
}

// cause returns the transfer's error in place of err, periph's, which keeps only its text.
func (d *Dev) cause(err error) error {
	if d.bus.err != nil {
		return fmt.Errorf("%s %w", d.chip, d.bus.err)
	}
	return fmt.Errorf("%s: %w", d.name, err)
}

// Halt does nothing: between measurements the chip sleeps.
func (d *Dev) Halt() error { return nil }

// String returns "bme280 0x76 on bus 1", or "bmp280 …".
func (d *Dev) String() string { return d.name }
