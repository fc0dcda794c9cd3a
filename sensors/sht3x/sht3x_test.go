package sht3x

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/internal/bustest"
	"sensorgateway/wire"
)

// Golden transfers. The readings are 23.02 °C and 45.00 %.
var (
	sendBreak  = i2ctest.IO{Addr: 0x44, W: []byte{0x30, 0x93}}
	readStatus = i2ctest.IO{Addr: 0x44, W: []byte{0xF3, 0x2D}, R: []byte{0x80, 0x10, 0xE1}}
	heaterIsOn = i2ctest.IO{Addr: 0x44, W: []byte{0xF3, 0x2D}, R: []byte{0x20, 0x00, 0x5D}}
	heaterOff  = i2ctest.IO{Addr: 0x44, W: []byte{0x30, 0x66}}
	start      = i2ctest.IO{Addr: 0x44, W: []byte{0x24, 0x0B}}
	read       = i2ctest.IO{Addr: 0x44, R: []byte{0x63, 0x80, 0x83, 0x73, 0x33, 0x01}}
)

var reset = i2ctest.IO{Addr: 0x44, W: []byte{0x30, 0xA2}}

// serial asks an SHT4x for its number: the datasheet's example of a checksum, twice.
var (
	askSerial  = i2ctest.IO{Addr: 0x44, W: []byte{0x89}}
	readSerial = i2ctest.IO{Addr: 0x44, R: []byte{0xBE, 0xEF, 0x92, 0xBE, 0xEF, 0x92}}
)

func noAck(at ...int) map[int]error {
	fail := map[int]error{}
	for _, i := range at {
		fail[i] = bustest.NoAck
	}
	return fail
}

func with(io i2ctest.IO, r ...byte) i2ctest.IO { io.R = r; return io }

func TestNewI2C(t *testing.T) {
	tests := []struct {
		name  string
		ops   []i2ctest.IO
		fail  map[int]error
		fault wire.Fault
		text  string
	}{
		{name: "idle", ops: []i2ctest.IO{sendBreak, readStatus}},
		{name: "heater left on", ops: []i2ctest.IO{sendBreak, heaterIsOn, heaterOff}},
		{name: "in the middle of a single shot", ops: []i2ctest.IO{sendBreak, sendBreak, readStatus},
			fail: map[int]error{0: bustest.NoAck}},
		{name: "no chip", ops: []i2ctest.IO{sendBreak, sendBreak, askSerial, start}, fail: noAck(0, 1, 2, 3),
			fault: wire.NoAck, text: "sht3x 0x44 on bus 1: write: remote I/O error"},
		{name: "an SHT4x, whose heater stays off", ops: []i2ctest.IO{sendBreak, sendBreak, askSerial, readSerial}, fail: noAck(0, 1),
			fault: wire.Other, text: "sht3x 0x44 on bus 1: 0x44 answers as an SHT4x; fix: write chip: sht4x: other"},
		{name: "a clone without break", ops: []i2ctest.IO{sendBreak, sendBreak, askSerial, start, read}, fail: noAck(0, 1, 2)},
		{name: "a clone that takes half a command", ops: []i2ctest.IO{sendBreak, sendBreak, askSerial, with(readSerial, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF), start, read}, fail: noAck(0, 1)},
		{name: "a clone without status", ops: []i2ctest.IO{sendBreak, readStatus, askSerial, start, read}, fail: noAck(1, 2)},
		{name: "a clone whose status is nothing", ops: []i2ctest.IO{sendBreak, with(readStatus, 0xFF, 0xFF, 0xFF), askSerial, start, read}, fail: noAck(2)},
		{name: "bus hangs", ops: []i2ctest.IO{sendBreak}, fail: map[int]error{0: bustest.Timeout},
			fault: wire.Timeout, text: "sht3x 0x44 on bus 1: write: connection timed out"},
		{name: "another chip", ops: []i2ctest.IO{sendBreak, readStatus, askSerial, start, with(read, 1, 2, 3, 4, 5, 6), reset}, fail: noAck(1, 2),
			fault: wire.NoAck, text: "sht3x 0x44 on bus 1: write: remote I/O error"},
		{name: "checksum", ops: []i2ctest.IO{sendBreak, with(readStatus, 0x80, 0x10, 0xE0), askSerial, start, reset}, fail: noAck(2, 3),
			fault: wire.Checksum, text: "sht3x 0x44 on bus 1: read status: 8010 came with CRC E0, not E1: checksum"},
		{name: "all ones", ops: []i2ctest.IO{sendBreak, with(readStatus, 0xFF, 0xFF, 0xFF), askSerial, start, reset}, fail: noAck(2, 3),
			fault: wire.Checksum, text: "sht3x 0x44 on bus 1: read status: FFFF came with CRC FF, not AC: checksum"},
		{name: "heater stays on", ops: []i2ctest.IO{sendBreak, heaterIsOn, heaterOff}, fail: map[int]error{2: bustest.NoAck},
			fault: wire.NoAck, text: "sht3x 0x44 on bus 1: write: remote I/O error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bustest.New(tt.ops...)
				b.Fail = tt.fail
				d, err := NewI2C(b, 0x44, nil)
				bustest.CheckError(t, err, tt.fault, tt.text)
				if (d == nil) != (err != nil) {
					t.Errorf("got %v and %v", d, err)
				}
				if err := b.Close(); err != nil {
					t.Error(err)
				}
				for i, io := range tt.ops { // the chip needs its time after a break, and to end a single shot
					want := time.Duration(0)
					switch {
					case i == 0:
						continue
					case io.W != nil && slices.Equal(io.W, readStatus.W):
						want = 1500 * time.Microsecond
					case slices.Equal(io.W, sendBreak.W):
						want = 15500 * time.Microsecond
					case io.R != nil && slices.Equal(tt.ops[i-1].W, start.W):
						want = 6500 * time.Microsecond
					}
					if got := b.At[i].Sub(b.At[i-1]); got < want {
						t.Errorf("transfer %d comes %v after the one before, want at least %v", i, got, want)
					}
				}
			})
		})
	}
}

func TestNewI2CRefuses(t *testing.T) {
	b := bustest.New()
	_, err := NewI2C(b, 0x46, nil)
	bustest.CheckError(t, err, wire.Other, "sht3x 0x46 on bus 1: it can only be at 0x44 or 0x45: other")
	_, err = NewI2C(b, 0x44, &Opts{Repeatability: Low + 1})
	bustest.CheckError(t, err, wire.Other, "sht3x 0x44 on bus 1: no repeatability 3: other")
	if len(b.At) != 0 {
		t.Errorf("%d transfers were made", len(b.At))
	}
}

// open returns a driver in a bubble whose bus then expects ops.
func open(t *testing.T, opts *Opts, ops ...i2ctest.IO) (*Dev, *bustest.Bus) {
	t.Helper()
	b := bustest.New(append([]i2ctest.IO{sendBreak, readStatus}, ops...)...)
	d, err := NewI2C(b, 0x44, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d, b
}

func TestSense(t *testing.T) {
	for _, tt := range []struct {
		name    string
		opts    *Opts
		command byte
		wait    time.Duration // the longest conversion
	}{
		{"default", nil, 0x0B, 6500 * time.Microsecond},
		{"medium", &Opts{Medium}, 0x0B, 6500 * time.Microsecond},
		{"high", &Opts{High}, 0x00, 15500 * time.Microsecond},
		{"low", &Opts{Low}, 0x16, 4500 * time.Microsecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, b := open(t, tt.opts, i2ctest.IO{Addr: 0x44, W: []byte{0x24, tt.command}}, read)
				values := make([]float32, 2)
				if err := d.Sense(values); err != nil {
					t.Fatal(err)
				}
				if want := []float32{23.018616, 45.00038}; !slices.Equal(values, want) {
					t.Errorf("got %v, want %v", values, want)
				}
				if got := b.At[3].Sub(b.At[2]); got < tt.wait || got > tt.wait+time.Millisecond {
					t.Errorf("it read after %v, want %v or a little later", got, tt.wait)
				}
				if err := b.Close(); err != nil {
					t.Error(err)
				}
				if err := d.Halt(); err != nil {
					t.Error(err)
				}
				if got := d.String(); got != "sht3x 0x44 on bus 1" {
					t.Errorf("String: %q", got)
				}
			})
		})
	}
}

func TestSenseFails(t *testing.T) {
	const remote = "remote I/O error"
	for _, tt := range []struct {
		name  string
		ops   []i2ctest.IO
		fail  map[int]error // counted from the start of Sense
		fault wire.Fault
		text  string
	}{
		{"start not acknowledged", []i2ctest.IO{start}, map[int]error{0: bustest.NoAck},
			wire.NoAck, "sht3x 0x44 on bus 1: write: " + remote},
		{"unplugged within the conversion", []i2ctest.IO{start, read, read, read}, map[int]error{1: bustest.NoAck, 2: bustest.NoAck, 3: bustest.NoAck},
			wire.NoAck, "sht3x 0x44 on bus 1: read: " + remote},
		{"bus hangs", []i2ctest.IO{start, read}, map[int]error{1: bustest.Timeout},
			wire.Timeout, "sht3x 0x44 on bus 1: read: connection timed out"},
		{"bus hangs while the chip is late", []i2ctest.IO{start, read, read}, map[int]error{1: bustest.NoAck, 2: bustest.Timeout},
			wire.Timeout, "sht3x 0x44 on bus 1: read: connection timed out"},
		{"late by one read", []i2ctest.IO{start, read, read}, map[int]error{1: bustest.NoAck}, wire.Good, ""},
		{"late by two reads", []i2ctest.IO{start, read, read, read}, map[int]error{1: bustest.NoAck, 2: bustest.NoAck}, wire.Good, ""},
		{"checksum of the temperature", []i2ctest.IO{start, with(read, 0x63, 0x80, 0x82, 0x73, 0x33, 0x01)}, nil,
			wire.Checksum, "sht3x 0x44 on bus 1: read: temperature: 6380 came with CRC 82, not 83: checksum"},
		{"checksum of the humidity", []i2ctest.IO{start, with(read, 0x63, 0x80, 0x83, 0x73, 0x32, 0x01)}, nil,
			wire.Checksum, "sht3x 0x44 on bus 1: read: humidity: 7332 came with CRC 01, not 30: checksum"},
		{"all zeros", []i2ctest.IO{start, with(read, make([]byte, 6)...)}, nil,
			wire.Checksum, "sht3x 0x44 on bus 1: read: temperature: 0000 came with CRC 00, not 81: checksum"},
		{"all ones", []i2ctest.IO{start, with(read, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF)}, nil,
			wire.Checksum, "sht3x 0x44 on bus 1: read: temperature: FFFF came with CRC FF, not AC: checksum"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// A good measurement follows: no failure may outlast its tick. A chip that did
				// not acknowledge is first identified again.
				next := []i2ctest.IO{start, read}
				if tt.fault == wire.NoAck {
					next = []i2ctest.IO{sendBreak, readStatus, start, read}
				}
				d, b := open(t, nil, append(tt.ops, next...)...)
				for i, err := range tt.fail {
					b.Fail[i+2] = err
				}
				before := [2]float32{1, 2}
				got, begin := before, time.Now()
				err := d.Sense(got[:])
				bustest.CheckError(t, err, tt.fault, tt.text)
				if err != nil && got != before {
					t.Errorf("a failed Sense left %v", got)
				}
				if took := time.Since(begin); took > 11*time.Millisecond {
					t.Errorf("it took %v", took)
				}
				if err := d.Sense(got[:]); err != nil {
					t.Errorf("the next one: %v", err)
				}
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// An SHT4x that took the chip's place gets the command of an SHT3x's measurement, which is
// one of its heater, in one tick at most.
func TestAnotherChipInItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b := open(t, nil, start, sendBreak, sendBreak, askSerial, readSerial, sendBreak, sendBreak, askSerial, readSerial)
		b.Fail = noAck(2, 3, 4, 7, 8)
		values := make([]float32, 2)
		bustest.CheckError(t, d.Sense(values), wire.NoAck, "sht3x 0x44 on bus 1: write: remote I/O error")
		for range 2 {
			bustest.CheckError(t, d.Sense(values), wire.Other, "sht3x 0x44 on bus 1: 0x44 answers as an SHT4x; fix: write chip: sht4x: other")
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// endless is a chip that always measures the same.
type endless struct{ bustest.Bus }

func (*endless) Tx(_ uint16, w, r []byte) error {
	if len(w) == 0 {
		copy(r, read.R)
	} else {
		copy(r, readStatus.R)
	}
	return nil
}

func TestSenseAllocatesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := NewI2C(&endless{}, 0x45, nil)
		if err != nil {
			t.Fatal(err)
		}
		values := make([]float32, 2)
		if n := testing.AllocsPerRun(100, func() {
			if err := d.Sense(values); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v allocations a measurement", n)
		}
		if !strings.HasPrefix(d.String(), "sht3x 0x45 ") {
			t.Errorf("String: %q", d)
		}
	})
}
