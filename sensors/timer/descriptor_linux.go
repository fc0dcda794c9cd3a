package timer

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// descriptor is a timer of the kernel's, on the clock that also counts while the machine
// sleeps. None of its calls blocks, so they are made without the runtime's knowledge, which
// would wake its monitor.
type descriptor struct {
	file    *os.File
	poller  syscall.RawConn
	fd      uintptr
	expired func(fd uintptr) bool // made once: the calls of poller allocate nothing
	times   uint64                // how often it expired before it was read
}

func newDescriptor() (*descriptor, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("timerfd_create: %w", err)
	}
	d := &descriptor{file: os.NewFile(uintptr(fd), "timer"), fd: uintptr(fd)}
	if err := d.file.SetReadDeadline(time.Time{}); err != nil { // the poller cannot watch it
		return nil, fmt.Errorf("timer: %w, %w", err, d.file.Close())
	}
	if d.poller, err = d.file.SyscallConn(); err != nil {
		return nil, fmt.Errorf("timer: %w, %w", err, d.file.Close())
	}
	d.expired = d.read
	return d, nil
}

// read returns whether the timer has expired.
func (d *descriptor) read(fd uintptr) bool {
	_, _, errno := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&d.times)), unsafe.Sizeof(d.times))
	return errno != unix.EAGAIN && errno != unix.EINTR
}

// set has the timer expire after in, and not before; with 0, never.
func (d *descriptor) set(in time.Duration) {
	next := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(in))}
	// With these arguments it cannot fail.
	_, _, _ = syscall.RawSyscall6(unix.SYS_TIMERFD_SETTIME, d.fd, 0, uintptr(unsafe.Pointer(&next)), 0, 0, 0)
}

// running returns whether the timer is set and has not expired.
func (d *descriptor) running() bool {
	var left unix.ItimerSpec
	_, _, _ = syscall.RawSyscall(unix.SYS_TIMERFD_GETTIME, d.fd, uintptr(unsafe.Pointer(&left)), 0)
	return left.Value.Nano() > 0
}

// wait waits until the timer expires, and returns false when it was closed.
func (d *descriptor) wait() bool { return d.poller.Read(d.expired) == nil }

func (d *descriptor) close() { _ = d.file.Close() }
