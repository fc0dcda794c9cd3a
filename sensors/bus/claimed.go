package bus

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// claimed looks at the bus and, if it is a channel of a multiplexer of the kernel's, at the
// buses above it: their chips, the multiplexer among them, answer on each channel too.
func claimed(devices, number string, addr uint16) (driver, device string, ok bool) {
	for _, n := range upstream(devices, number) {
		device = fmt.Sprintf("%s-%04x", n, addr)
		if target, err := os.Readlink(filepath.Join(devices, device, "driver")); err == nil {
			return filepath.Base(target), device, true
		}
	}
	return "", "", false
}

// upstream returns the number of a bus, and those of the buses that it is a channel of.
func upstream(devices, number string) []string {
	all := []string{number}
	path, err := filepath.EvalSymlinks(filepath.Join(devices, "i2c-"+number)) // .../i2c-1/i2c-11
	if err != nil {
		return all
	}
	for dir := filepath.Dir(path); busDir.MatchString(filepath.Base(dir)); dir = filepath.Dir(dir) {
		all = append(all, strings.TrimPrefix(filepath.Base(dir), "i2c-"))
	}
	return all
}
