// Package am2320 drives Aosong's AM2320 (and AM2321, AM2315), which measure temperature
// and relative humidity, over I²C. It refuses to know when to measure and what becomes
// of the values.
//
// Sections are those of the datasheet AM2320.
package am2320

import (
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors/internal/device"
	"sensorgateway/wire"
)

const (
	cmdRead   = 0x03 // registers, as of Modbus (section 8.2)
	registers = 4    // from 0 on: humidity and temperature
	length    = 2 + registers + 2

	wakeTime   = 1500 * time.Microsecond // 0.8 to 3 ms (section 8.2.4)
	answerTime = 2 * time.Millisecond    // 1.5 ms at least
	sign       = 1 << 15
)

// Dev is a chip. One goroutine uses it.
type Dev struct{ *device.Dev }

// NewI2C finds the chip at addr (0x5c) of b and reads it once.
func NewI2C(b i2c.Bus, addr uint16) (*Dev, error) {
	d, err := device.New(b, "am2320", addr, 0x5C)
	if err != nil {
		return nil, err
	}
	dev := &Dev{d}
	if _, err := dev.read(); err != nil {
		return nil, err
	}
	return dev, nil
}

// Sense sets values to the temperature in °C and the relative humidity in %, as they
// were when the chip was read before, and has it measure again: it does so whenever it
// wakes up. It takes 4 ms, 8 at most, plus its transfers; the bus is free meanwhile.
func (d *Dev) Sense(values []float32) error {
	r, err := d.read()
	if err != nil {
		return err
	}
	t := device.Word(r[4:])
	values[0] = float32(t&^sign) / 10 // a sign and 15 bits, not a two's complement
	if t&sign != 0 {
		values[0] = -values[0]
	}
	values[1] = float32(device.Word(r[2:])) / 10
	return nil
}

// read wakes the chip and reads its registers.
func (d *Dev) read() ([]byte, error) {
	if err := d.Write(0); err != nil && wire.FaultOf(err) != wire.NoAck { // it wakes up, and acknowledges nothing yet
		return nil, err
	}
	d.Wait(wakeTime)
	if err := d.Write(cmdRead, 0, registers); err != nil {
		return nil, err
	}
	d.Wait(answerTime)
	r, err := d.Read(length)
	if err != nil {
		return nil, err
	}
	if got, want := uint16(r[length-1])<<8|uint16(r[length-2]), crc16(r[:length-2]); got != want {
		return nil, d.Errorf(wire.Checksum, "read: %X came with CRC %04X, not %04X", r[:length-2], got, want)
	}
	if r[0] != cmdRead || r[1] != registers {
		return nil, d.Errorf(wire.Other, "read: %X is not the answer of an AM2320", r)
	}
	return r, nil
}

// crc16 is the checksum of Modbus: polynomial 0x8005 backwards, begun with 0xFFFF.
func crc16(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, x := range b {
		crc ^= uint16(x)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}
