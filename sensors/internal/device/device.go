// Package device is what the drivers of chips without a driver in periph share: one
// chip at one address, transfers whose errors name it, and the checksums of its
// makers. It knows no chip.
package device

import (
	"fmt"
	"slices"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/wire"
)

// Many chips do not acknowledge a read while they still convert. The drivers' waits are
// long enough, except for a chip that is out of its specification.
const (
	maxReads  = 3
	readPause = 2 * time.Millisecond
)

// Dev is a chip. One goroutine uses it.
type Dev struct {
	bus  i2c.Bus
	addr uint16
	chip string
	name string
	w    [8]byte // here, because what goes through the i2c.Bus interface would be allocated
	r    [32]byte
}

// New returns the chip at addr of b, which must be one of addresses. It makes no
// transfer.
func New(b i2c.Bus, chip string, addr uint16, addresses ...uint16) (*Dev, error) {
	d := &Dev{bus: b, addr: addr, chip: chip, name: fmt.Sprintf("%s 0x%02x on %s", chip, addr, b)}
	if !slices.Contains(addresses, addr) {
		return nil, d.Errorf(wire.Other, "it can only be at %#02x", addresses)
	}
	return d, nil
}

// Tx writes w, at most 8 bytes, and reads n, at most 32, in one transaction; either
// may be none. What it returns is valid until the next read. The bus's error has
// address, bus and operation.
func (d *Dev) Tx(n int, w ...byte) ([]byte, error) {
	r := d.r[:n]
	if err := d.bus.Tx(d.addr, d.w[:copy(d.w[:], w)], r); err != nil {
		return nil, fmt.Errorf("%s %w", d.chip, err)
	}
	return r, nil
}

// Write writes w.
func (d *Dev) Write(w ...byte) error {
	_, err := d.Tx(0, w...)
	return err
}

// Command writes a command of two bytes.
func (d *Dev) Command(c uint16) error { return d.Write(byte(c>>8), byte(c)) }

// Read reads n bytes, and does so again, up to 4 ms later, if the chip does not
// acknowledge because it still converts.
func (d *Dev) Read(n int) ([]byte, error) {
	for i := 1; ; i++ {
		r, err := d.Tx(n)
		if i == maxReads || wire.FaultOf(err) != wire.NoAck {
			return r, err
		}
		d.Wait(readPause)
	}
}

// Register reads a register of two bytes, the high one first.
func (d *Dev) Register(reg byte) (uint16, error) {
	r, err := d.Tx(2, reg)
	if err != nil {
		return 0, err
	}
	return Word(r), nil
}

// SetRegister writes a register of two bytes, the high one first.
func (d *Dev) SetRegister(reg byte, v uint16) error { return d.Write(reg, byte(v>>8), byte(v)) }

// Words checks the words of which b consists, each with a checksum of Sensirion's.
func (d *Dev) Words(b []byte) error {
	for ; len(b) > 0; b = b[3:] {
		if want := CRC8(0xFF, b[:2]); b[2] != want {
			return d.Errorf(wire.Checksum, "read: %X came with CRC %02X, not %02X", b[:2], b[2], want)
		}
	}
	return nil
}

// Ask writes a command, waits and reads n bytes of words with checksums.
func (d *Dev) Ask(n int, wait time.Duration, command ...byte) ([]byte, error) {
	if err := d.Write(command...); err != nil {
		return nil, err
	}
	d.Wait(wait)
	r, err := d.Read(n)
	if err == nil {
		err = d.Words(r)
	}
	return r, err
}

// Wait waits for a chip on b, for d: with b's own timers, if it has some.
func Wait(b i2c.Bus, d time.Duration) {
	if w, ok := b.(interface{ Wait(time.Duration) }); ok {
		w.Wait(d)
		return
	}
	time.Sleep(d)
}

// Wait waits for the chip.
func (d *Dev) Wait(long time.Duration) { Wait(d.bus, long) }

// Blank returns an error if all bytes are 0x00 or all are 0xFF, as a dead chip or a
// dead bus gives them: for chips without checksums.
func (d *Dev) Blank(b []byte) error {
	if v := b[0]; (v == 0x00 || v == 0xFF) && !slices.ContainsFunc(b, func(x byte) bool { return x != v }) {
		return d.Errorf(wire.Implausible, "read: all data are 0x%02x", v)
	}
	return nil
}

// Errorf returns an error that begins with the chip's name and carries a fault.
func (d *Dev) Errorf(f wire.Fault, format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", d.name, fmt.Sprintf(format, args...), f)
}

// Halt does nothing: for chips that sleep between measurements.
func (d *Dev) Halt() error { return nil }

// String returns chip, address and bus: "sht4x 0x44 on bus 1".
func (d *Dev) String() string { return d.name }

// Word is a word, its high byte first.
func Word(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }

// CRC8 is a checksum with the polynomial 0x31, most significant bit first. Sensirion
// and Aosong begin with 0xFF, the makers of the SHT2x family with 0x00.
func CRC8(crc byte, b []byte) byte {
	for _, x := range b {
		crc ^= x
		for range 8 {
			if crc&0x80 != 0 {
				crc = crc<<1 ^ 0x31
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
