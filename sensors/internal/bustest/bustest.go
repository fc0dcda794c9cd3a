// Package bustest plays golden transfers to a driver under test, the ones that
// fail included. It knows no chip.
package bustest

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/wire"
)

// What a transfer can fail with, as on Linux: an errno and what it means.
var (
	NoAck   error = &failure{"remote I/O error", syscall.Errno(121), wire.NoAck}
	Timeout error = &failure{"connection timed out", syscall.Errno(110), wire.Timeout}
)

type failure struct {
	text  string
	errno syscall.Errno
	fault wire.Fault
}

func (f *failure) Error() string   { return f.text }
func (f *failure) Unwrap() []error { return []error{f.errno, f.fault} }

// Bus is an i2c.Bus that expects exactly the transfers of its Playback, which
// should not panic. Close returns an error unless all of them were made.
type Bus struct {
	i2ctest.Playback
	Fail map[int]error // what transfer number i (from 0) fails with; it is expected all the same
	At   []time.Time   // when each transfer was made
}

// New returns a bus that expects ops.
func New(ops ...i2ctest.IO) *Bus {
	return &Bus{Playback: i2ctest.Playback{Ops: ops, DontPanic: true}, Fail: map[int]error{}}
}

// String returns "bus 1".
func (b *Bus) String() string { return "bus 1" }

// Tx makes the next transfer. Its failure reads like one of a real bus.
func (b *Bus) Tx(addr uint16, w, r []byte) error {
	i := b.Count
	b.At = append(b.At, time.Now())
	if err := b.Playback.Tx(addr, w, r); err != nil {
		return err
	}
	if err := b.Fail[i]; err != nil {
		clear(r)
		op := "write"
		if len(w) == 0 {
			op = "read"
		}
		return fmt.Errorf("0x%02x on bus 1: %s: %w", addr, op, err)
	}
	return nil
}

// CheckError checks the error of a driver: its fault, its whole text, and that
// it still has its errno if it is one of the bus.
func CheckError(t testing.TB, err error, fault wire.Fault, text string) {
	t.Helper()
	if got := wire.FaultOf(err); got != fault {
		t.Errorf("%v carries %v, want %v", err, got, fault)
	}
	if err == nil {
		return
	}
	if err.Error() != text {
		t.Errorf("\n got %q\nwant %q", err, text)
	}
	var errno syscall.Errno
	if fault == wire.NoAck && !(errors.As(err, &errno) && errno == 121) {
		t.Errorf("%v lost its errno", err)
	}
}
