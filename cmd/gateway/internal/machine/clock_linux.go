package machine

import (
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ClockSynced reports whether something keeps the system clock right: adjtimex(2).
// Reading it needs no privilege. Where it cannot be read, the clock is in doubt.
//
// Like that of [BootClock], the call does not block, so the runtime is not notified of
// it: that would wake its monitor, at each tick.
func ClockSynced() bool {
	var t unix.Timex
	state, _, err := syscall.RawSyscall(unix.SYS_ADJTIMEX, uintptr(unsafe.Pointer(&t)), 0, 0)
	return err == 0 && state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0
}

// BootClock returns the clock that counts from the machine's start, also while
// it sleeps: clock_gettime(2).
func BootClock() func() time.Duration {
	return func() time.Duration {
		var t unix.Timespec
		_, _, _ = syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&t)), 0) // known since Linux 2.6.39
		return time.Duration(t.Nano())
	}
}

// BootID names this boot of the machine, in which its boot clock counts:
// random(4). It is "" if it cannot be read.
func BootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}
