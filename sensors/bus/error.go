package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"sensorgateway/wire"
)

// Error is a transaction that failed.
//
// It unwraps to its fault and to its cause: errors.Is finds the kernel's errno,
// wire.FaultOf the fault.
type Error struct {
	Bus   string     // such as "bus 1"
	Addr  uint16     // 7 bits
	Op    string     // "write", "read", or "write-read" for both in one transaction
	Fault wire.Fault // what it means for a measurement
	Err   error      // the cause
}

// Error reads "0x44 on bus 1: write: remote I/O error": the driver puts its
// chip's name in front.
func (e *Error) Error() string {
	return fmt.Sprintf("0x%02x on %s: %s: %v", e.Addr, e.Bus, e.Op, e.Err)
}

// Unwrap returns the fault first: the cause may carry one of its own, of an
// earlier failure, and this one's counts.
func (e *Error) Unwrap() []error { return []error{e.Fault, e.Err} }

// Unasked reports whether the chip was not even asked, because the bus was busy or hung:
// nothing is known of it then.
func (e *Error) Unasked() bool {
	_, hangs := e.Err.(hangError)
	return hangs || e.Err == errBusy
}

// faultOf returns the fault that a transport's error means: the one it
// carries, or else that of its errno as the kernel's i2c/fault-codes.rst and
// the Raspberry Pi's i2c-bcm2835 driver use them.
func faultOf(err error) wire.Fault {
	if f := wire.FaultOf(err); f != wire.Other {
		return f
	}
	errno, _ := errors.AsType[syscall.Errno](err)
	switch errno {
	case eRemoteIO, syscall.ENXIO:
		return wire.NoAck
	case syscall.ETIMEDOUT, syscall.EIO: // EIO: the chip stretched the clock for too long
		return wire.Timeout
	case syscall.ENODEV, syscall.ENOENT, syscall.EACCES, syscall.ESHUTDOWN, syscall.EBADF,
		syscall.ENOTCONN, syscall.ECONNABORTED, // a bus made by a program that has ended
		syscall.EAGAIN, // arbitration lost
		syscall.EBUSY:  // another master held the lines for longer than allowed
		return wire.BusDown
	}
	return wire.Other
}

// transportLost returns whether err means that the transport is of no more use
// and must be opened anew.
func transportLost(err error) bool {
	for _, errno := range []syscall.Errno{syscall.ENODEV, syscall.ESHUTDOWN, syscall.EBADF, syscall.ENOTCONN, syscall.ECONNABORTED} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// Cause is the error of a transaction without the chip's address.
func Cause(err error) error {
	if e, ok := err.(*Error); ok {
		return e.Err
	}
	return err
}

// CannotOpen returns whether there is no bus to make transactions on.
func CannotOpen(err error) bool {
	for _, why := range []error{fs.ErrNotExist, fs.ErrPermission, errors.ErrUnsupported, syscall.ENODEV, syscall.ENOTTY} {
		if errors.Is(err, why) {
			return true
		}
	}
	return false
}

// StuckFix is what helps a bus whose lines are held low.
const StuckFix = "SDA or SCL is held low: take the sensors' power away for a second; if that does not help, take them off one by one"

// maxLength is the longest message that the kernel's i2c-dev takes, in bytes.
const maxLength = 8192

// check refuses what no 7-bit bus can do: 0x00 to 0x02 and 0x78 to 0x7F are
// reserved (NXP UM10204, section 3.1.12; 0x03 to 0x07 are too, but chips sit there).
func check(addr uint16, w, r []byte) error {
	switch {
	case addr < 0x03 || addr > 0x77:
		return errors.New("not a chip's address (0x03 to 0x77)")
	case len(w) > maxLength:
		return fmt.Errorf("%d bytes to write, more than %d", len(w), maxLength)
	case len(r) > maxLength:
		return fmt.Errorf("%d bytes to read, more than %d", len(r), maxLength)
	}
	return nil
}

// operation names a transaction in an Error.
func operation(w, r []byte) string {
	switch {
	case len(r) == 0:
		return "write"
	case len(w) == 0:
		return "read"
	}
	return "write-read"
}

// errSpeed answers SetSpeed: on Linux the speed is the adapter's, set at boot.
var errSpeed = errors.New("the speed of an I²C bus is set at boot: " +
	"dtparam=i2c_arm_baudrate=400000 in /boot/firmware/config.txt")
