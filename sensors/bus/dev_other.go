//go:build !linux

package bus

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"

	"periph.io/x/conn/v3/i2c"
)

// eRemoteIO is Linux's number: not every system has EREMOTEIO.
const eRemoteIO = syscall.Errno(121)

// Open fails: only Linux has /dev/i2c-N. The error is errors.ErrUnsupported.
func Open(name string) (i2c.BusCloser, error) {
	return nil, fmt.Errorf("open %s: %s has no I²C devices, only Linux has: %w",
		Name(name), runtime.GOOS, errors.ErrUnsupported)
}
