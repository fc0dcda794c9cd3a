package lines

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Offsets in bytes (BCM2835 ARM Peripherals, section 6.1): the functions of GPIO 0 to 9,
// which outputs become low, and the levels.
const (
	gpfsel0 = 0x00
	gpclr0  = 0x28
	gplev0  = 0x34
)

const (
	input, output = 0, 1 // functions
	alt0          = 4    // I²C, of GPIO 2 and 3

	// minClocks are those that a chip needs to send the rest of a byte and to hear that
	// nobody acknowledges it (NXP UM10204, section 3.1.16); maxClocks let it send one more.
	minClocks, maxClocks = 9, 18
	// half is half a clock at 50 kHz.
	half = 10 * time.Microsecond
	// stretch is how long SCL may be held low by a chip.
	stretch = 5 * time.Millisecond
)

// Free clocks SCL until the chip that holds SDA lets go of it, and sends a STOP. It
// returns an error if SDA is still low then. It is for a Raspberry Pi 0 to 4: later ones
// have other registers, and a kernel that does the same by itself.
//
// Nobody may use the bus meanwhile. The register of the pins' functions is that of GPIO
// 0 to 9: a function that the kernel changes within the same microsecond would be lost.
func Free(root string) error {
	if err := supported(root); err != nil {
		return err
	}
	memory, unmap, err := mapRegisters(filepath.Join(root, bcm2835.device), bcm2835.size, true)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("SCL cannot be clocked: %w; fix: put the user of the gateway into the group gpio, and DeviceAllow=/dev/gpiomem rw into its systemd unit", err)
	case err != nil:
		return fmt.Errorf("SCL cannot be clocked: %w", err)
	}
	defer unmap()
	return free(memory, wait)
}

// page is a page of registers.
type page interface {
	load(at int) uint32
	store(at int, v uint32)
}

// free works on the registers; pause waits for half a clock or longer.
func free(registers page, pause func()) error {
	const ofBus = alt0<<6 | alt0<<9 // GPIO 2 and 3
	if functions := registers.load(gpfsel0) & (7<<6 | 7<<9); functions != ofBus {
		return errors.New("the pins are not the bus's: another program took them")
	}
	p := pins{registers, pause}
	// As outputs both are low; as inputs the pull-ups make them high. So no line is
	// driven high against a chip that holds it low.
	registers.store(gpclr0, sdaLine|sclLine)
	p.set(sda, true)
	p.set(scl, true)
	defer func() {
		p.function(sda, alt0)
		p.function(scl, alt0)
	}()
	pause()
	for n := 0; n < minClocks || n < maxClocks && !p.high(sdaLine); n++ {
		if err := p.clock(); err != nil {
			return err
		}
	}
	if !p.high(sdaLine) {
		return fmt.Errorf("SDA is low after %d clocks too: no chip that was cut off in the middle of a read, but one without power, or a short", maxClocks)
	}
	// STOP: SDA rises while SCL is high (section 3.1.4).
	p.set(scl, false)
	p.set(sda, false)
	p.set(scl, true)
	if !p.rises() {
		return errStretched
	}
	p.set(sda, true)
	return nil
}

var errStretched = fmt.Errorf("SCL stays low for %v: a chip holds it, and has no power or must be without for a while", stretch)

// The lines, by the number of their pins.
const sda, scl = 2, 3

// pins are the two lines as pins of their own.
type pins struct {
	page
	pause func()
}

func (p pins) function(line int, f uint32) {
	shift := 3 * line
	p.store(gpfsel0, p.load(gpfsel0)&^(7<<shift)|f<<shift)
}

// set lets a line go high or draws it low, for half a clock.
func (p pins) set(line int, high bool) {
	f := uint32(output)
	if high {
		f = input
	}
	p.function(line, f)
	p.pause()
}

func (p pins) high(mask uint32) bool { return p.load(gplev0)&mask != 0 }

// clock is one clock on SCL.
func (p pins) clock() error {
	if !p.rises() {
		return errStretched
	}
	p.set(scl, false)
	p.set(scl, true)
	if !p.rises() {
		return errStretched
	}
	return nil
}

// rises waits until SCL is high, as a chip may stretch the clock.
func (p pins) rises() bool {
	for range stretch / half {
		if p.high(sclLine) {
			return true
		}
		p.pause()
	}
	return p.high(sclLine)
}

// wait waits for half a clock without giving the processor away, which would take longer.
func wait() {
	for start := time.Now(); time.Since(start) < half; {
	}
}

// supported reports why the pins have other registers than those of a Raspberry Pi 0 to 4.
func supported(root string) error {
	b, _ := os.ReadFile(filepath.Join(root, "proc/device-tree/compatible")) // none on a PC
	compatible := string(b)
	for _, chip := range []string{"bcm2835", "bcm2836", "bcm2837", "bcm2711"} {
		if strings.Contains(compatible, chip) {
			return nil
		}
	}
	if strings.Contains(compatible, "bcm2712") {
		return errors.New("on a Raspberry Pi 5 the kernel does this by itself")
	}
	return errors.New("this is no Raspberry Pi 0 to 4")
}
