//go:build !linux

package machine

import "time"

// ClockSynced is true: laptops, which simulate, have a clock that survives
// power-off, and an operating system that keeps it.
func ClockSynced() bool { return true }

// BootClock is nil, and Go's monotonic clock has to do: after a laptop's sleep
// the system clock may seem to have been set.
func BootClock() func() time.Duration { return nil }

// BootID is "": boots cannot be distinguished here.
func BootID() string { return "" }
