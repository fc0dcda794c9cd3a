package scan

import (
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
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

func (answers) Close() error { return nil }

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
				r.Ask(t.Context(), tt.bus, Others{})
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

// A transfer that takes longer than the bus waits, on a busy machine or with a chip that
// stretches the clock, does not count as five failed addresses: until it ends, the bus asks
// no other address. Its own address is asked again.
func TestOneSlowTransferIsNoStuckBus(t *testing.T) {
	for _, tt := range []struct {
		name  string
		takes time.Duration
		fails bool // always, not only the first time
		want  string
	}{
		{"once", 900 * time.Millisecond, false, "[0x30 read 07] [0x50 read 07]"},
		{"always", 900 * time.Millisecond, true, "[0x30 a transfer fails: no answer within 550ms] [0x50 read 07]"},
		{"for long", time.Minute, false, "an address takes up to 2000 ms and fails (no answer within 550ms)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				echo := func(_, r []byte) error {
					if len(r) > 0 {
						r[0] = 7
					}
					return nil
				}
				transport := answers{0x50: echo, 0x30: func(w, r []byte) error {
					if asked++; asked == 1 || tt.fails {
						time.Sleep(tt.takes)
					}
					return echo(w, r)
				}}
				b := bus.New("bus 1", func() (i2c.BusCloser, error) { return transport, nil }, slog.New(slog.DiscardHandler))
				defer time.Sleep(tt.takes) // the bus does not wait for a transfer that hangs
				defer b.Close()
				r := Result{Bus: "1"}
				r.Ask(t.Context(), bus.Bounded{Managed: b}, Others{})
				got := r.Error
				for i, a := range r.Found {
					if i > 0 {
						got += " "
					}
					got += "[" + a.Address + " " + a.Seen + "]"
				}
				if got != tt.want {
					t.Errorf("%s, want %s", got, tt.want)
				}
			})
		})
	}
}
