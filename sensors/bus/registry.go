package bus

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2creg"
)

var registering sync.Mutex // makes the two steps of Register one

// Register puts bus number into periph's i2creg, as /dev/i2c-N, I2CN and N,
// in the place of whatever holds that name: periph's own transport, or an
// earlier call's. Nothing is opened, so the bus may appear later.
func Register(number int) error {
	registering.Lock()
	defer registering.Unlock()
	path := devicePath(number)
	_ = i2creg.Unregister(path) // fails if nothing is there, which is as well
	err := i2creg.Register(path, []string{fmt.Sprintf("I2C%d", number)}, number,
		func() (i2c.BusCloser, error) { return Open(number) })
	if err != nil {
		return fmt.Errorf("register bus %d: %w", number, err)
	}
	return nil
}

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

func busName(number int) string { return fmt.Sprintf("bus %d", number) }
