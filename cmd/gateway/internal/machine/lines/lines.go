// Package lines is the I²C pins of a Raspberry Pi's header by their registers: their
// levels and functions, and how a chip that holds SDA is clocked free. It refuses to
// know who uses the bus, and to claim the pins through the GPIO character device: the
// kernel makes an input of a line that is let go of, which takes its pin from the I²C
// controller until that is bound again (pinctrl-bcm2835.c).
//
// periph's driver of these registers, host/v3/bcm283x, is not used: it starts only after
// the one of that device, which opens every GPIO chip and asks for each of its lines; it
// tries /dev/mem where /dev/gpiomem is missing; and no test can give it another page.
package lines

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"runtime"
	"time"
)

// Lines are GPIO 2 and 3 of a Raspberry Pi's header, as they were over 20 ms.
type Lines struct {
	SDA, SCL bool   // it was high at some time
	Function string // what the pins are, if they are not the bus's; "" if they are
	Want     string // the function that would be right, as pinctrl calls it
}

// registers of the pins, offsets in bytes.
type registers struct {
	device    string
	size      int
	functions [2]int // of GPIO 2 and 3
	shifts    [2]int
	mask      uint32
	i2c       uint32 // the function that is I²C
	want      string
	levels    int
}

var (
	// BCM2835 ARM Peripherals, section 6.1: GPFSEL0 and GPLEV0. 4 is alternate function 0.
	bcm2835 = registers{"dev/gpiomem", 0x1000, [2]int{0, 0}, [2]int{6, 9}, 7, 4, "a0", 0x34}
	// RP1 Peripherals, sections 3.1.4 (GPIOn_CTRL) and 3.1.5 (RIO, IN at 8).
	rp1 = registers{"dev/gpiomem0", 0x30000, [2]int{2*8 + 4, 3*8 + 4}, [2]int{0, 0}, 31, 3, "a3", 0x10000 + 8}
)

const (
	lineSamples = 20
	linePause   = time.Millisecond
	sdaLine     = 1 << 2
	sclLine     = 1 << 3
)

// Watch reads the registers of the pins, which neither claims nor changes them.
func Watch(root string, pi5 bool) (Lines, error) {
	chosen := bcm2835
	if pi5 {
		chosen = rp1
	}
	memory, unmap, err := mapRegisters(filepath.Join(root, chosen.device), chosen.size, false)
	if err != nil {
		return Lines{}, fmt.Errorf("the levels of SDA and SCL cannot be read: %w", err)
	}
	defer unmap()
	l := Lines{Want: chosen.want}
	for i, at := range chosen.functions {
		if f := memory.load(at) >> chosen.shifts[i] & chosen.mask; f != chosen.i2c {
			l.Function += fmt.Sprintf("GPIO %d has function %d, not %s; ", i+2, f, chosen.want)
		}
	}
	for range lineSamples {
		levels := memory.load(chosen.levels)
		l.SDA, l.SCL = l.SDA || levels&sdaLine != 0, l.SCL || levels&sclLine != 0
		time.Sleep(linePause)
	}
	return l, nil
}

// registers32 is memory of registers of 32 bits.
type registers32 []byte

// load reads a register, at once and anew each time.
//
//go:noinline
func (r registers32) load(at int) uint32 {
	v := binary.NativeEndian.Uint32(r[at : at+4])
	runtime.KeepAlive(r)
	return v
}

// store writes a register, at once.
//
//go:noinline
func (r registers32) store(at int, v uint32) {
	binary.NativeEndian.PutUint32(r[at:at+4], v)
	runtime.KeepAlive(r)
}
