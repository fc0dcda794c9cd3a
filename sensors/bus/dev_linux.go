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
	i2cFuncs = 0x705
	i2cRdwr  = 0x707

	funcI2C  = 0x1 // I2C_FUNC_I2C: plain messages, not only SMBus's commands
	flagRead = 0x1 // I2C_M_RD
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
	open  func(path string, flags int, mode uint32) (fd int, err error)
	close func(fd int) error
	ioctl func(fd int, request uintptr, arg unsafe.Pointer) (n int, errno syscall.Errno)
	// removed reports whether the file that fd has open was removed.
	removed func(fd int) bool
	// watch calls changed whenever the file fd, at path, may have been removed,
	// until stop is called, which waits for a call that is under way.
	watch  func(path string, changed func()) (stop func())
	stat   func(path string) (node, error)
	user   func() string
	others func() []string // the I²C devices that there are
	root   string          // of what the machine says of itself
}

var linux = system{
	open:  syscall.Open,
	close: syscall.Close,
	ioctl: func(fd int, request uintptr, arg unsafe.Pointer) (int, syscall.Errno) {
		n, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(arg))
		return int(n), errno
	},
	removed: func(fd int) bool {
		var st syscall.Stat_t
		return syscall.Fstat(fd, &st) == nil && st.Nlink == 0
	},
	watch:  watchNode,
	stat:   statNode,
	user:   busUser,
	root:   "/",
	others: deviceFiles,
}

// Open opens the bus that a configuration calls name (see [Name]). The error says
// what to do about it and keeps the errno.
//
// The bus may be used by several goroutines. A transaction ends when the
// kernel ends it, which may be never, and Close waits for it: [Bus] bounds the latter,
// [Bounded] the former. The adapter's own time limit is left as it is: it holds for
// all its users, a display's long transfers among them, and stays after us.
//
// When the adapter is unplugged, its device file is closed at once. Until then the kernel
// cannot release the adapter, and the kernel's thread for all USB ports waits for that.
func Open(name string) (i2c.BusCloser, error) {
	path, err := locate(classDir, name)
	if err != nil {
		return nil, err
	}
	return linux.openDevice(name, path)
}

func (s *system) openDevice(name, path string) (i2c.BusCloser, error) {
	fd, err := s.open(path, os.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, s.explain(path, err)
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
	d := &device{system: s, name: Name(name), path: path, fd: fd}
	d.unwatch = s.watch(path, func() { d.checkNode() })
	return d, nil
}

// device is an open /dev/i2c-N.
type device struct {
	system  *system
	name    string
	path    string
	unwatch func()

	mu        sync.Mutex // guards what follows, and keeps fd open during a transaction
	fd        int        // -1 once closed
	unplugged bool       // it was closed because the adapter is no longer there
	messages  [2]message
	transfer  transfer
	pinner    runtime.Pinner
}

// checkNode closes the device if its adapter was unplugged, and reports whether it was.
func (d *device) checkNode() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.checkNodeLocked()
}

func (d *device) checkNodeLocked() bool {
	if d.fd >= 0 && d.system.removed(d.fd) {
		d.unplugged = true
		_ = d.shut() // Linux has released it in any case, and nobody needs the error
	}
	return d.unplugged
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
	if d.unplugged {
		return d.errUnplugged()
	}
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
	defer func() { d.messages = [2]message{} }() // keep no pointers to the caller's memory

	for {
		n, errno := d.system.ioctl(d.fd, i2cRdwr, unsafe.Pointer(&d.transfer))
		switch {
		case errno == syscall.EINTR: // a signal, such as the runtime's own
		case errno != 0:
			if d.checkNodeLocked() {
				return d.errUnplugged()
			}
			return errno
		case n < count: // adapters may do that; what was to be read is missing
			return fmt.Errorf("%d of %d messages transferred: %w", n, count, syscall.EIO)
		default:
			return nil
		}
	}
}

func (d *device) errUnplugged() error {
	return fmt.Errorf("%s is no longer there, the adapter was unplugged: %w", d.path, syscall.ENODEV)
}

// Close closes the device; later transactions fail with EBADF.
func (d *device) Close() error {
	if d.unwatch != nil {
		d.unwatch()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shut()
}

// shut closes the file; the caller holds mu.
func (d *device) shut() error {
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
