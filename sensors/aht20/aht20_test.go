package aht20

import (
	"bytes"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/internal/bustest"
	"sensorgateway/wire"
)

func get(r ...byte) i2ctest.IO { return i2ctest.IO{Addr: 0x38, R: r} }
func put(w ...byte) i2ctest.IO { return i2ctest.IO{Addr: 0x38, W: w} }

// crc8 is computed bit by bit from the datasheet's polynomial, to make answers.
func crc8(b []byte) byte {
	crc := byte(0xFF)
	for _, v := range b {
		for i := 7; i >= 0; i-- {
			top := crc>>7 ^ v>>i&1
			crc = crc<<1 ^ top*0x31
		}
	}
	return crc
}

// answer is what the chip answers for a status and raw values.
func answer(status byte, h, t uint32) i2ctest.IO {
	b := []byte{status, byte(h >> 12), byte(h >> 4), byte(h<<4) | byte(t>>16), byte(t >> 8), byte(t)}
	return get(append(b, crc8(b))...)
}

// Golden transfers: bit 7 of the status is busy, bit 3 calibrated. The reading
// is 19.45 °C and 45.83 %.
var (
	calibrated   = get(0x18)
	uncalibrated = get(0x10)
	fresh        = answer(0x18, 0, 0)
	occupied     = answer(0x98, 0, 0)
	reset        = put(0xBA)
	initialize   = put(0xBE, 0x08, 0x00)
	start        = put(0xAC, 0x33, 0x00)
	reading      = get(0x18, 0x75, 0x52, 0x05, 0x8E, 0x40, 0x7F)
	busy         = answer(0x98, 0, 0)
)

func TestNewI2C(t *testing.T) {
	const name = "aht20 0x38 on bus 1: "
	type ios = []i2ctest.IO
	noAck := func(i int) map[int]error { return map[int]error{i: bustest.NoAck} }
	for _, tt := range []struct {
		name  string
		ops   []i2ctest.IO
		fail  map[int]error
		fault wire.Fault
		text  string
	}{
		{"calibrated", ios{fresh, reset, calibrated}, nil, wire.Good, ""},
		{"busy since a former program", ios{occupied, reset, calibrated}, nil, wire.Good, ""},
		{"not calibrated", ios{fresh, reset, uncalibrated, initialize, calibrated}, nil, wire.Good, ""},
		{"it refuses what it does not need", ios{fresh, reset, uncalibrated, initialize, calibrated}, noAck(3), wire.Good, ""},
		{"no chip, or just powered on", ios{fresh}, noAck(0), wire.NoAck, name + "read: remote I/O error"},
		{"a port expander", ios{get(bytes.Repeat([]byte{0x5A}, 7)...)}, nil, wire.Other, name + "seven times 0x5a is no AHT20, but what a PCF8574A port expander answers: other"},
		{"a dead bus", ios{get(bytes.Repeat([]byte{0xFF}, 7)...)}, nil, wire.Implausible, name + "read: all data are 0xff: implausible"},
		{"bus hangs", ios{fresh}, map[int]error{0: bustest.Timeout}, wire.Timeout, name + "read: connection timed out"},
		{"will not be reset", ios{fresh, reset}, noAck(1), wire.NoAck, name + "write: remote I/O error"},
		{"lost by its reset", ios{fresh, reset, calibrated}, noAck(2), wire.NoAck, name + "read: remote I/O error"},
		{"will not calibrate", ios{fresh, reset, uncalibrated, initialize, uncalibrated}, noAck(3), wire.NoAck, name + "write: remote I/O error"},
		{"does not calibrate", ios{fresh, reset, uncalibrated, initialize, uncalibrated}, nil,
			wire.WarmingUp, name + "its calibration is not loaded, status is 0x10: warming_up"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bustest.New(tt.ops...)
				b.Fail = tt.fail
				d, err := NewI2C(b, 0x38)
				bustest.CheckError(t, err, tt.fault, tt.text)
				if (d == nil) != (err != nil) {
					t.Errorf("got %v and %v", d, err)
				}
				if len(b.At) > 2 && b.At[2].Sub(b.At[1]) < 20*time.Millisecond {
					t.Errorf("%v after its reset", b.At[2].Sub(b.At[1]))
				}
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestNewI2CRefusesAddress(t *testing.T) {
	b := bustest.New()
	_, err := NewI2C(b, 0x39)
	bustest.CheckError(t, err, wire.Other, "aht20 0x39 on bus 1: it can only be at [0x38]: other")
	if len(b.At) != 0 {
		t.Errorf("%d transfers were made", len(b.At))
	}
}

// open returns a driver in a bubble whose bus then expects ops.
func open(t *testing.T, ops ...i2ctest.IO) (*Dev, *bustest.Bus) {
	t.Helper()
	b := bustest.New(append([]i2ctest.IO{fresh, reset, calibrated}, ops...)...)
	d, err := NewI2C(b, 0x38)
	if err != nil {
		t.Fatal(err)
	}
	return d, b
}

func TestSense(t *testing.T) {
	for _, tt := range []struct {
		name string
		io   i2ctest.IO
		t, h float64
	}{
		{"room", reading, 19.4458008, 45.8282471},
		{"coldest and driest", answer(0x18, 0, 52429), -39.9999619, 0},
		{"frost", answer(0x18, 1<<19, 1<<18-1), -0.0001907, 50},
		{"hottest and wettest", answer(0x18, 1<<20-1, 707789), 85.0000381, 99.9999046},
		{"further status bits", answer(0x1C, 1<<19, 1<<19), 50, 50},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, b := open(t, start, tt.io)
				values := make([]float32, 2)
				if err := d.Sense(values); err != nil {
					t.Fatal(err)
				}
				celsius, percent := float64(values[0]), float64(values[1])
				if math.Abs(celsius-tt.t) > 1e-6 || math.Abs(percent-tt.h) > 1e-4 {
					t.Errorf("got %v °C, %v %%; want %v, %v", celsius, percent, tt.t, tt.h)
				}
				if got := b.At[4].Sub(b.At[3]); got != 80*time.Millisecond {
					t.Errorf("it read after %v", got)
				}
				if err := b.Close(); err != nil {
					t.Error(err)
				}
				if err := d.Halt(); err != nil {
					t.Error(err)
				}
				if got := d.String(); got != "aht20 0x38 on bus 1" {
					t.Errorf("String: %q", got)
				}
			})
		})
	}
}

func TestSenseFails(t *testing.T) {
	const name = "aht20 0x38 on bus 1: "
	for _, tt := range []struct {
		name  string
		ops   []i2ctest.IO
		fail  map[int]error // counted from the start of Sense
		fault wire.Fault
		text  string
	}{
		{"start not acknowledged", []i2ctest.IO{start}, map[int]error{0: bustest.NoAck},
			wire.NoAck, name + "write: remote I/O error"},
		{"unplugged within the conversion", []i2ctest.IO{start, reading}, map[int]error{1: bustest.NoAck},
			wire.NoAck, name + "read: remote I/O error"},
		{"bus hangs", []i2ctest.IO{start, busy, reading}, map[int]error{2: bustest.Timeout},
			wire.Timeout, name + "read: connection timed out"},
		{"late", []i2ctest.IO{start, busy, busy, reading}, nil, wire.Good, ""},
		{"busy for ever", []i2ctest.IO{start, busy, busy, busy}, nil,
			wire.Timeout, name + "still measuring 15ms after it should be done: timeout"},
		{"checksum", []i2ctest.IO{start, get(0x18, 0x75, 0x52, 0x05, 0x8E, 0x41, 0x7F)}, nil,
			wire.Checksum, name + "read: CRC 7F, not 4E: checksum"},
		{"all zeros", []i2ctest.IO{start, get(make([]byte, 7)...)}, nil,
			wire.Checksum, name + "read: CRC 00, not 6A: checksum"},
		{"all ones", []i2ctest.IO{start, get(0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF)}, nil,
			wire.Checksum, name + "read: CRC FF, not 22: checksum"},
		{"reset before it", []i2ctest.IO{start, answer(0x10, 1<<19, 1<<19)}, nil,
			wire.WarmingUp, name + "was reset, its calibration is not loaded: warming_up"},
		{"reset within it", []i2ctest.IO{start, answer(0x18, 0, 0)}, nil,
			wire.WarmingUp, name + "was reset while it measured: warming_up"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// A good measurement follows: no failure may outlast its tick.
				d, b := open(t, append(tt.ops, start, reading)...)
				for i, err := range tt.fail {
					b.Fail[3+i] = err
				}
				before := [2]float32{1, 2}
				got, begin := before, time.Now()
				err := d.Sense(got[:])
				bustest.CheckError(t, err, tt.fault, tt.text)
				if (err != nil) != (got == before) {
					t.Errorf("%v left %+v", err, got)
				}
				if took := time.Since(begin); took > 95*time.Millisecond {
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

// anything is a chip that answers what the fuzzer likes.
type anything struct {
	bustest.Bus
	status byte
	answer []byte
}

func (a *anything) Tx(_ uint16, w, r []byte) error {
	if len(r) == 1 {
		r[0] = a.status
	} else {
		copy(r, a.answer)
	}
	return nil
}

func FuzzSense(f *testing.F) {
	f.Add(byte(0x18), reading.R)
	f.Add(byte(0x10), busy.R)
	f.Add(byte(0xFF), make([]byte, 7))
	f.Fuzz(func(t *testing.T, status byte, answer []byte) {
		if len(answer) != 7 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			d, err := NewI2C(&anything{status: status, answer: answer}, 0x38)
			same := bytes.Count(answer, answer[:1]) == 7
			if (err == nil) != (status&0x08 != 0 && !same) {
				t.Fatalf("status %02x: %v", status, err)
			}
			if err != nil {
				return
			}
			values := make([]float32, 2)
			if err := d.Sense(values); err != nil {
				if wire.FaultOf(err) == wire.Other {
					t.Errorf("%v carries no cause", err)
				}
				return
			}
			if crc8(answer[:6]) != answer[6] || answer[0]&0x88 != 0x08 {
				t.Errorf("% X was taken for a reading", answer)
			}
			if c := values[0]; c < -50 || c >= 150 || values[1] < 0 || values[1] > 100 {
				t.Errorf("% X became %v, %v", answer, values[0], values[1])
			}
		})
	})
}
