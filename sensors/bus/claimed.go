package bus

import (
	"fmt"
	"os"
	"path/filepath"
)

// Claimed returns the name of the kernel driver that is bound to the chip at
// addr, if there is one: the chip is the kernel's then, which talks to it
// between any two of our transactions. On other systems than Linux no chip is
// claimed.
func Claimed(bus int, addr uint16) (driver string, ok bool) {
	return claimed("/sys/bus/i2c/devices", bus, addr)
}

func claimed(devices string, bus int, addr uint16) (driver string, ok bool) {
	target, err := os.Readlink(filepath.Join(devices, fmt.Sprintf("%d-%04x", bus, addr), "driver"))
	if err != nil {
		return "", false
	}
	return filepath.Base(target), true
}

func devicePath(number int) string { return fmt.Sprintf("/dev/i2c-%d", number) }

// Name returns what errors and log lines call a bus.
func Name(number int) string { return fmt.Sprintf("bus %d", number) }
