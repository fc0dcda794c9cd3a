package machine

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ClockSynced reports whether something keeps the system clock right: adjtimex(2).
// Reading it needs no privilege. Where it cannot be read, the clock is in doubt.
func ClockSynced() bool {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return err == nil && state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0
}

// BootClock returns the clock that counts from the machine's start, also while
// it sleeps: clock_gettime(2).
func BootClock() func() time.Duration {
	return func() time.Duration {
		var t unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // known since Linux 2.6.39
		return time.Duration(t.Nano())
	}
}

// BootID names the time since the machine started, in which its boot clock
// counts: random(4). It is "" if it cannot be read.
func BootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}
