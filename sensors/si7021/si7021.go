// Package si7021 drives Silicon Labs' Si7021 (and Si7013, Si7020), and the chips that
// take the same commands: TE's HTU21D, as on GY-21 boards, and Sensirion's SHT20, SHT21
// and SHT25. They measure temperature and relative humidity over I²C. It refuses to
// know when to measure and what becomes of the values.
//
// Sections are those of the datasheets Si7021-A20, version 1.2; HPC199, version 6
// (HTU21D); and SHT21, version 4.
package si7021

import (
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors/internal/device"
	"sensorgateway/wire"
)

// The commands (Si7021-A20, section 5). Those that stretch the clock are not used: not every
// adapter supports that.
const (
	cmdTemperature = 0xF3
	cmdHumidity    = 0xF5
	cmdReset       = 0xFE
	cmdUser        = 0xE7 // reads the user register
	cmdID          = 0xFC // with 0xC9 behind it

	resetTime = 15 * time.Millisecond // at most, of all of them

	kind = 1 << 1 // of the second byte: humidity, not temperature

	// What the user register is after a reset: the highest resolution, heater and the
	// reload of settings off. Its other bits are reserved.
	userMask  = 0x87
	userReset = 0x02
)

// The ids of Si7013, Si7020 and Si7021 (Si7021-A20, section 5.3).
const (
	idSi7013 = 0x0D
	idSi7020 = 0x14
	idSi7021 = 0x15
)

// Dev is a chip. One goroutine uses it. It has the settings of its reset: the highest
// resolution.
type Dev struct {
	*device.Dev
	temperature, humidity time.Duration // the longest conversions
}

// NewI2C finds a Si7021 at addr (0x40) of b and resets it.
func NewI2C(b i2c.Bus, addr uint16) (*Dev, error) {
	// 10.8 ms; and 12 ms, before which it measures the temperature too (table 2).
	d, err := construct(b, "si7021", addr, 11*time.Millisecond, 23*time.Millisecond)
	if err != nil {
		return nil, err
	}
	if err := d.Write(cmdID, 0xC9); err != nil {
		return nil, err
	}
	r, err := d.Read(1)
	if err != nil {
		return nil, err
	}
	switch r[0] {
	case idSi7013, idSi7020, idSi7021:
		return d, nil
	}
	return nil, d.Errorf(wire.Other, "id 0x%02x is not that of a Si7021, which has 0x%02x", r[0], idSi7021)
}

// NewHTU21D finds an HTU21D at addr (0x40) of b and resets it.
func NewHTU21D(b i2c.Bus, addr uint16) (*Dev, error) {
	return construct(b, "htu21d", addr, 50*time.Millisecond, 16*time.Millisecond)
}

// NewSHT2x finds an SHT20, SHT21 or SHT25 at addr (0x40) of b and resets it.
func NewSHT2x(b i2c.Bus, addr uint16) (*Dev, error) {
	return construct(b, "sht2x", addr, 85*time.Millisecond, 29*time.Millisecond)
}

func construct(b i2c.Bus, chip string, addr uint16, temperature, humidity time.Duration) (*Dev, error) {
	d, err := device.New(b, chip, addr, 0x40)
	if err != nil {
		return nil, err
	}
	if err := d.Write(cmdReset); err != nil {
		return nil, err
	}
	time.Sleep(resetTime)
	r, err := d.Tx(1, cmdUser)
	if err != nil {
		return nil, err
	}
	if r[0]&userMask != userReset {
		return nil, d.Errorf(wire.Other, "user register 0x%02x is not what it is after a reset: another chip", r[0])
	}
	return &Dev{d, temperature, humidity}, nil
}

// Sense measures humidity and then temperature, and sets values to the temperature in
// °C and the relative humidity in %. It takes the sum of both conversions, 34 ms of a
// Si7021, plus its transfers; the bus is free meanwhile.
func (d *Dev) Sense(values []float32) error {
	h, err := d.measure(cmdHumidity, d.humidity)
	if err != nil {
		return err
	}
	t, err := d.measure(cmdTemperature, d.temperature)
	if err != nil {
		return err
	}
	values[0] = float32(-46.85 + 175.72*t/65536)          // section 5.1.2
	values[1] = float32(min(max(-6+125*h/65536, 0), 100)) // section 5.1.1
	return nil
}

// measure returns a raw value.
func (d *Dev) measure(command byte, wait time.Duration) (float64, error) {
	if err := d.Write(command); err != nil {
		return 0, err
	}
	d.Wait(wait)
	r, err := d.Read(3)
	if err != nil {
		return 0, err
	}
	// Three bytes that are zero have a right checksum. Of the two lowest bits, one
	// says what was measured.
	want, is := device.CRC8(0, r[:2]), r[1]&kind != 0
	if r[2] != want {
		return 0, d.Errorf(wire.Checksum, "read: %X came with CRC %02X, not %02X", r[:2], r[2], want)
	}
	if is != (command == cmdHumidity) {
		return 0, d.Errorf(wire.Checksum, "read: %X is not what command %02X measures", r[:2], command)
	}
	return float64(device.Word(r) &^ 3), nil
}
