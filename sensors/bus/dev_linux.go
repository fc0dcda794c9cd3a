package bus

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

const eRemoteIO = syscall.EREMOTEIO

// The requests of i2c-dev (linux/i2c-dev.h) and what they take (linux/i2c.h).
const (
	i2cTimeout = 0x702 // in units of 10 ms, for the whole adapter
	i2cFuncs   = 0x705
	i2cRdwr    = 0x707

	funcI2C  = 0x1 // I2C_FUNC_I2C: plain messages, not only SMBus's commands
	flagRead = 0x1 // I2C_M_RD

	adapterTimeout = 10 // 100 ms; the kernel's usual second would stall a bus for ten ticks
)

// message is struct i2c_msg.
type message struct {
	addr   uint16
	flags  uint16
	length uint16
	buf    *byte
}

// transfer is struct i2c_rdwr_ioctl_data.
type transfer struct {
	messages *message
	count    uint32
}

// system is what the transport asks of the kernel.
type system struct {
	open     func(path string, flags int, mode uint32) (fd int, err error)
	close    func(fd int) error
	ioctl    func(fd int, request uintptr, arg unsafe.Pointer) (n int, errno syscall.Errno)
	ioctlInt func(fd int, request, arg uintptr) syscall.Errno
	stat     func(path string) (node, error)
	user     func() string
	others   func() []string // the I²C devices that there are
	isPi     func() bool     // a Raspberry Pi
}

var linux = system{
	open:  syscall.Open,
	close: syscall.Close,
	ioctl: func(fd int, request uintptr, arg unsafe.Pointer) (int, syscall.Errno) {
		n, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(arg))
		return int(n), errno
	},
	ioctlInt: func(fd int, request, arg uintptr) syscall.Errno {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, arg)
		return errno
	},
	stat:   statNode,
	user:   userName,
	isPi:   isRaspberryPi,
	others: deviceFiles,
}

// Open opens /dev/i2c-number and sets its adapter's timeout to 100 ms, for all
// its users. The error says what to do about it and keeps the errno.
//
// The bus may be used by several goroutines. A transaction ends when the
// kernel ends it, which may be never, and Close waits for it: [Bus] puts a
// limit to both.
func Open(number int) (i2c.BusCloser, error) { return linux.openDevice(number) }

func (s *system) openDevice(number int) (i2c.BusCloser, error) {
	path := devicePath(number)
	fd, err := s.open(path, os.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, s.explain(number, err)
	}
	var funcs uintptr // an unsigned long
	if _, errno := s.ioctl(fd, i2cFuncs, unsafe.Pointer(&funcs)); errno != 0 {
		_ = s.close(fd) // the ioctl's error is the one to return
		return nil, fmt.Errorf("open %s: not an I²C device: %w", path, errno)
	}
	if funcs&funcI2C == 0 {
		_ = s.close(fd)
		return nil, fmt.Errorf("open %s: the adapter only speaks SMBus: %w", path, syscall.EOPNOTSUPP)
	}
	// An adapter that cannot set its timeout keeps its own; Bus has its limit anyway.
	_ = s.ioctlInt(fd, i2cTimeout, adapterTimeout)
	return &device{system: s, name: Name(number), fd: fd}, nil
}

// device is an open /dev/i2c-N.
type device struct {
	system *system
	name   string

	mu       sync.Mutex // guards what follows, and keeps fd open during a transaction
	fd       int        // -1 once closed
	messages [2]message
	transfer transfer
	pinner   runtime.Pinner
}

// String returns "bus N".
func (d *device) String() string { return d.name }

// SetSpeed refuses: on Linux the speed is set at boot.
func (d *device) SetSpeed(physic.Frequency) error { return fmt.Errorf("%s: %w", d.name, errSpeed) }

// Tx writes w to the chip at addr and then, after a repeated start, reads r,
// as one transaction; either may be empty. Its error is an [*Error].
func (d *device) Tx(addr uint16, w, r []byte) error {
	if len(w) == 0 && len(r) == 0 {
		return nil
	}
	if err := check(addr, w, r); err != nil {
		return &Error{Bus: d.name, Addr: addr, Op: operation(w, r), Fault: faultOf(err), Err: err}
	}
	if err := d.transact(addr, w, r); err != nil {
		return &Error{Bus: d.name, Addr: addr, Op: operation(w, r), Fault: faultOf(err), Err: err}
	}
	return nil
}

func (d *device) transact(addr uint16, w, r []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd < 0 {
		return fmt.Errorf("closed: %w", syscall.EBADF)
	}
	// The kernel follows pointers inside the memory it is given, of which the
	// compiler knows nothing: all of it stays pinned until the ioctl is over.
	d.pinner.Pin(d)
	defer d.pinner.Unpin()
	count := 0
	if len(w) > 0 {
		d.pinner.Pin(&w[0])
		d.messages[count] = message{addr: addr, length: uint16(len(w)), buf: &w[0]}
		count++
	}
	if len(r) > 0 {
		d.pinner.Pin(&r[0])
		d.messages[count] = message{addr: addr, flags: flagRead, length: uint16(len(r)), buf: &r[0]}
		count++
	}
	d.transfer = transfer{messages: &d.messages[0], count: uint32(count)}
	defer func() { d.messages = [2]message{} }() // the caller's memory is the caller's

	for {
		n, errno := d.system.ioctl(d.fd, i2cRdwr, unsafe.Pointer(&d.transfer))
		switch {
		case errno == syscall.EINTR: // a signal, such as the runtime's own
		case errno != 0:
			return errno
		case n < count: // allowed to adapters; what was read is not there
			return fmt.Errorf("%d of %d messages transferred: %w", n, count, syscall.EIO)
		default:
			return nil
		}
	}
}

// Close closes the device; later transactions fail with EBADF.
func (d *device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd < 0 {
		return nil
	}
	err := d.system.close(d.fd)
	d.fd = -1 // even then: Linux has released it
	if err != nil {
		return fmt.Errorf("close %s: %w", d.name, err)
	}
	return nil
}
