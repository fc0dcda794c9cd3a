//go:build !linux

package main

import "time"

// clockSynced is true: laptops, which simulate, have a clock that survives
// power-off, and an operating system that keeps it.
func clockSynced() bool { return true }

// bootClock is nil, and Go's monotonic clock has to do: after a laptop's sleep
// the system clock may seem to have been set.
func bootClock() func() time.Duration { return nil }

// bootID is "": one boot is not told from another.
func bootID() string { return "" }
