package scan

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"

	"sensorgateway/sensors/bus"
	"sensorgateway/wire"
)

// answers is a bus with chips, which are functions of what is written and read.
type answers map[uint16]func(w, r []byte) error

func (answers) String() string                  { return "bus 1" }
func (answers) SetSpeed(physic.Frequency) error { return nil }
func (a answers) Tx(addr uint16, w, r []byte) error {
	if chip := a[addr]; chip != nil {
		return chip(w, r)
	}
	return failure(addr, wire.NoAck, syscall.Errno(121))
}

func failure(addr uint16, f wire.Fault, cause error) error {
	return &bus.Error{Bus: "bus 1", Addr: addr, Op: "write", Fault: f, Err: cause}
}

// nobody uses the bus.
func nobody(uint16) (driver, sensor string) { return "", "" }

func TestScanOfABadBus(t *testing.T) {
	slow := func(_, _ []byte) error {
		time.Sleep(100 * time.Millisecond)
		return failure(0, wire.Timeout, syscall.Errno(110))
	}
	always := func(_, r []byte) error { clear(r); return nil }
	all := func(chip func(w, r []byte) error) answers {
		a := answers{}
		for addr := uint16(0); addr < 0x80; addr++ {
			a[addr] = chip
		}
		return a
	}
	for _, tt := range []struct {
		name string
		bus  answers
		want string
		took time.Duration
	}{
		{"stuck", all(slow), "an address takes up to 100 ms and fails (" + syscall.Errno(110).Error() + ")", 500 * time.Millisecond},
		{"SDA low reads as an answer", all(always), "112 of 112 addresses answer, as on no real bus", 2 * time.Second},
		{"no permission", all(func(_, _ []byte) error {
			return failure(0x08, wire.BusDown, fmt.Errorf("open /dev/i2c-1: %w; fix: it", os.ErrPermission))
		}),
			"open /dev/i2c-1: permission denied; fix: it", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				r := Result{Bus: "1"}
				r.Ask(tt.bus, nobody)
				if r.Error != tt.want || len(r.Found) != 0 {
					t.Errorf("%+v", r)
				}
				if took := time.Since(begin); took > tt.took {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
