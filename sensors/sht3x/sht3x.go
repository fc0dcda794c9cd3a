// Package sht3x drives Sensirion's SHT30, SHT31 and SHT35, which measure
// temperature and relative humidity, over I²C.
//
// It measures in single shots without clock stretching: start, wait, read are
// transfers of their own, and the bus is free while the chip converts. It
// refuses to know when to measure, how often to try again and what becomes of
// the values.
//
// Sections and tables are those of Sensirion's datasheet SHT3x-DIS, version 5.
package sht3x

import (
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors/internal/climate"
	"sensorgateway/sensors/internal/device"
	"sensorgateway/wire"
)

// Repeatability is how much noise a measurement may have, and so how long it
// takes and how much it warms the chip.
type Repeatability uint8

// The repeatabilities: three standard deviations of temperature and humidity
// (tables 1 and 2), and how long Sense lets the chip convert.
const (
	Medium Repeatability = iota // 0.08 K, 0.15 %RH in 7 ms; the default
	High                        // 0.04 K, 0.08 %RH in 16 ms
	Low                         // 0.15 K, 0.21 %RH in 5 ms
)

// conversions has the single-shot commands without clock stretching (table 9).
// The waits are the longest conversions at any supply voltage (15.5, 6.5 and
// 4.5 ms, section 2.2), rounded up.
var conversions = [...]struct {
	command [2]byte
	wait    time.Duration
}{
	Medium: {[2]byte{0x24, 0x0B}, 7 * time.Millisecond},
	High:   {[2]byte{0x24, 0x00}, longestConversion},
	Low:    {[2]byte{0x24, 0x16}, 5 * time.Millisecond},
}

var (
	cmdBreak     = [2]byte{0x30, 0x93} // ends periodic mode (section 4.8)
	cmdStatus    = [2]byte{0xF3, 0x2D} // reads the status register (section 4.11)
	cmdHeaterOff = [2]byte{0x30, 0x66} // (section 4.10)
	cmdReset     = [2]byte{0x30, 0xA2} // (section 4.9)

	cmdSHT4xSerial = [1]byte{0x89}
)

const (
	longestConversion = 16 * time.Millisecond
	// breakTime is what the chip needs from a break, a reset or power to the next
	// command: 1 ms, 1.5 ms at low supply voltage (sections 2.2 and 4.8).
	breakTime = 2 * time.Millisecond

	// A read that is not acknowledged means that the chip still converts. The waits are long
	// enough, except for a chip that is out of its specification.
	maxReads  = 3
	readPause = 2 * time.Millisecond

	statusHeater = 1 << 13
)

// Opts is what can be chosen; the zero value has the defaults.
type Opts struct {
	Repeatability Repeatability
}

// Dev is a chip. One goroutine uses it.
type Dev struct {
	bus     i2c.Bus
	addr    uint16
	name    string
	command [2]byte
	wait    time.Duration
	doubt   bool    // another chip may stand there now
	acked   bool    // it took the last break
	buf     [6]byte // here, because what goes through the i2c.Bus interface would be allocated
}

// NewI2C finds the chip at addr (0x44 or 0x45) of b, ends what a former program
// may have left it doing, and checks its status register. Clones that know no
// break or have no status are taken if they measure. Without opts the defaults
// hold. It returns within 50 ms plus its transfers.
//
// Its errors, and those of [Dev.Sense], carry a [wire.Fault]: the bus's own,
// [wire.Checksum], or [wire.Other] for another chip.
func NewI2C(b i2c.Bus, addr uint16, opts *Opts) (*Dev, error) {
	if opts == nil {
		opts = &Opts{}
	}
	d := &Dev{bus: b, addr: addr, name: fmt.Sprintf("sht3x 0x%02x on %s", addr, b)}
	if addr != 0x44 && addr != 0x45 {
		return nil, fmt.Errorf("%s: it can only be at 0x44 or 0x45: %w", d.name, wire.Other)
	}
	if int(opts.Repeatability) >= len(conversions) {
		return nil, fmt.Errorf("%s: no repeatability %d: %w", d.name, opts.Repeatability, wire.Other)
	}
	d.command, d.wait = conversions[opts.Repeatability].command, conversions[opts.Repeatability].wait
	if err := d.identify(); err != nil {
		return nil, err
	}
	return d, nil
}

// identify makes sure that the chip is one that measures when it is told to. 0x24,
// the first byte of that command, switches on the heater of an SHT4x, which can
// have the same address: so it comes last.
func (d *Dev) identify() error {
	status, err := d.calm()
	switch f := wire.FaultOf(err); {
	case err == nil && status&statusHeater != 0:
		return d.tx(cmdHeaterOff[:], nil)
	case f != wire.NoAck && f != wire.Checksum:
		return err
	}
	if d.isSHT4x() {
		return fmt.Errorf("%s: 0x%02x answers as an SHT4x; fix: write chip: sht4x: %w", d.name, d.addr, wire.Other)
	}
	if d.measure() == nil {
		if _, _, bad := decode(&d.buf); bad == nil {
			return nil // a clone
		}
	}
	if d.acked {
		_ = d.tx(cmdReset[:], nil) // it hangs, perhaps: it is identified again, and err says what was seen
	}
	return err
}

// isSHT4x reports whether the chip has the serial number of an SHT4x: two words
// (datasheet SHT4x, version 6, table 8). To an SHT3x it is half a command.
func (d *Dev) isSHT4x() bool {
	if d.tx(cmdSHT4xSerial[:], nil) != nil {
		return false
	}
	time.Sleep(breakTime)
	if d.tx(nil, d.buf[:]) != nil {
		return false
	}
	_, first := word(d.buf[:3])
	_, second := word(d.buf[3:])
	return first == nil && second == nil
}

// calm brings the chip into idle mode and reads its status.
func (d *Dev) calm() (status uint16, err error) {
	err = d.tx(cmdBreak[:], nil)
	if wire.FaultOf(err) == wire.NoAck {
		// It takes no command within a single shot that somebody else started.
		time.Sleep(longestConversion)
		err = d.tx(cmdBreak[:], nil)
	}
	if d.acked = err == nil; err != nil {
		return 0, err
	}
	time.Sleep(breakTime)
	if err := d.tx(cmdStatus[:], d.buf[:3]); err != nil {
		return 0, err
	}
	if status, err = word(d.buf[:3]); err != nil {
		return 0, fmt.Errorf("%s: read status: %w", d.name, err)
	}
	return status, nil
}

// Sense measures once and sets values to the temperature in °C and the relative
// humidity in %; after an error they are as they were. It waits for the
// conversion (see [Repeatability]) without the bus, and at most 4 ms longer for
// a chip that is late. After a transfer that was not acknowledged it identifies
// the chip first, as NewI2C does.
func (d *Dev) Sense(values []float32) error {
	if d.doubt {
		if err := d.identify(); err != nil {
			return err
		}
	}
	err := d.measure()
	d.doubt = wire.FaultOf(err) == wire.NoAck
	if err != nil {
		return err
	}
	t, h, err := decode(&d.buf)
	if err != nil {
		return fmt.Errorf("%s: read: %w", d.name, err)
	}
	climate.Set(values, t, h)
	return nil
}

// measure measures once, and reads the result into d.buf.
func (d *Dev) measure() error {
	if err := d.tx(d.command[:], nil); err != nil {
		return err
	}
	device.Wait(d.bus, d.wait)
	return d.read()
}

// read reads what was measured into d.buf.
func (d *Dev) read() error {
	for n := 1; ; n++ {
		err := d.tx(nil, d.buf[:])
		if n == maxReads || wire.FaultOf(err) != wire.NoAck {
			return err
		}
		time.Sleep(readPause)
	}
}

// tx makes one transfer; the bus's error has address, bus and operation.
func (d *Dev) tx(w, r []byte) error {
	if err := d.bus.Tx(d.addr, w, r); err != nil {
		return fmt.Errorf("sht3x %w", err)
	}
	return nil
}

// Halt does nothing: after a single shot the chip sleeps.
func (d *Dev) Halt() error { return nil }

// String returns "sht3x 0x44 on bus 1".
func (d *Dev) String() string { return d.name }
