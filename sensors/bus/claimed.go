package bus

import (
	"fmt"
	"os"
	"path/filepath"
)

// Claimed returns the name of the kernel driver that is bound to the chip at
// addr of the bus that a configuration calls name, if there is one: the chip is
// the kernel's then, which talks to it between any two of our transactions. On
// other systems than Linux no chip is claimed. device is what /sys/bus/i2c calls
// the chip.
func Claimed(name string, addr uint16) (driver, device string, ok bool) {
	return claimed("/sys/bus/i2c/devices", Number(name), addr)
}

// ClaimedIn is [Claimed] for the bus with a number of the machine whose root
// directory is root.
func ClaimedIn(root, number string, addr uint16) (driver, device string, ok bool) {
	return claimed(filepath.Join(root, "sys/bus/i2c/devices"), number, addr)
}

func claimed(devices, number string, addr uint16) (driver, device string, ok bool) {
	device = fmt.Sprintf("%s-%04x", number, addr)
	target, err := os.Readlink(filepath.Join(devices, device, "driver"))
	if err != nil {
		return "", "", false
	}
	return filepath.Base(target), device, true
}
