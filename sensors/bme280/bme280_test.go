package bme280

import (
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/internal/bustest"
	"sensorgateway/wire"
)

// The trimming values of a typical chip.
var (
	calibTP = []byte{
		0x45, 0x6F, 0x6F, 0x68, 0x32, 0x00, // T1 = 28485, T2 = 26735, T3 = 50
		0x82, 0x8F, 0x75, 0xD6, 0xD0, 0x0B, 0x44, 0x1B, 0xFC, 0xFF, 0xF9, 0xFF, 0xAC, 0x26, 0x0A, 0xD8, 0xBD, 0x10, // pressure
		0x00, 0x4B, // H1 = 75
	}
	calibH = []byte{0x78, 0x01, 0x00, 0x11, 0x2E, 0x03, 0x1E} // H2 = 376, H3 = 0, H4 = 286, H5 = 50, H6 = 30
)

func get(reg byte, r ...byte) i2ctest.IO { return i2ctest.IO{Addr: 0x76, W: []byte{reg}, R: r} }
func put(w ...byte) i2ctest.IO           { return i2ctest.IO{Addr: 0x76, W: w} }

// with returns b with one byte changed.
func with(b []byte, i int, v byte) []byte {
	b = append([]byte(nil), b...)
	b[i] = v
	return b
}

// Golden transfers. In start-up the bytes are ctrl_meas (asleep), ctrl_hum,
// config, ctrl_meas; 0x24 is temperature and pressure once.
var (
	isBME280 = get(0xD0, 0x60)
	isUp     = get(0xF3, 0x00)
	setUp    = put(0xF4, 0x24, 0xF2, 0x01, 0xF5, 0xA0, 0xF4, 0x24)
	start    = put(0xF4, 0x25)
	busy     = get(0xF3, 0x08)
	idle     = get(0xF3, 0x00)
	reading  = get(0xF7, 0x65, 0x5A, 0xC0, 0x83, 0xA1, 0x20, 0x6B, 0x10)

	opening = []i2ctest.IO{isBME280, isUp,
		isBME280, get(0x88, calibTP...), get(0xE1, calibH...), setUp,
		get(0x88, calibTP...), get(0xE1, calibH...)}
)

// until returns the first i transfers of start-up, and last.
func until(i int, last i2ctest.IO) []i2ctest.IO {
	return append(append([]i2ctest.IO(nil), opening[:i]...), last)
}

func TestNewI2C(t *testing.T) {
	const name = "bme280 0x76 on bus 1: "
	blank := func(v byte, n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = v
		}
		return b
	}
	trimmed := func(tp, h []byte) []i2ctest.IO { // both readings
		return []i2ctest.IO{isBME280, isUp, isBME280, get(0x88, tp...), get(0xE1, h...), setUp, get(0x88, tp...), get(0xE1, h...)}
	}
	tests := []struct {
		name  string
		ops   []i2ctest.IO
		fault wire.Fault
		text  string
	}{
		{"good", opening, wire.Good, ""},
		{"just powered on", append([]i2ctest.IO{isBME280, get(0xF3, 0x01), get(0xF3, 0x01)}, opening[1:]...), wire.Good, ""},
		{"BMP280", until(0, get(0xD0, 0x58)), wire.Other, name + "chip id 0x58 is a BMP280, which measures no humidity; fix: write chip: bmp280: other"},
		{"BMP180", until(0, get(0xD0, 0x55)), wire.Other, name + "chip id 0x55 is a BMP180: other"},
		{"BME680", until(0, get(0xD0, 0x61)), wire.Other, name + "chip id 0x61 is a BME680 or BME688: other"},
		{"zero id", until(0, get(0xD0, 0x00)), wire.Other, name + "chip id 0x00 is not a BME280, which has 0x60: other"},
		{"id that changes", until(2, get(0xD0, 0x61)), wire.Other, name + "bmxx80: unexpected chip id 61"},
		{"T and P blank", trimmed(blank(0x00, 26), calibH), wire.Other, name + "trimming values are blank: other"},
		{"T and P ones", trimmed(blank(0xFF, 26), calibH), wire.Other, name + "trimming values are blank: other"},
		{"H blank", trimmed(calibTP, blank(0x00, 7)), wire.Other, name + "trimming values are blank: other"},
		{"H ones", trimmed(calibTP, blank(0xFF, 7)), wire.Other, name + "trimming values are blank: other"},
		{"H5 negative", trimmed(calibTP, with(calibH, 5, 0xFE)), wire.Other,
			name + "trimming value H5 is negative, which is not supported: other"},
		{"T flipped a bit", append(until(6, get(0x88, with(calibTP, 2, 0x6E)...)), opening[7]), wire.Checksum,
			name + "trimming values were read differently twice: checksum"},
		{"H flipped a bit", until(7, get(0xE1, with(calibH, 6, 0x1F)...)), wire.Checksum,
			name + "trimming values were read differently twice: checksum"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bustest.New(tt.ops...)
				d, err := NewI2C(b, 0x76)
				bustest.CheckError(t, err, tt.fault, tt.text)
				if (d == nil) != (err != nil) {
					t.Errorf("got %v and %v", d, err)
				}
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
	for i, io := range opening {
		synctest.Test(t, func(t *testing.T) {
			b := bustest.New(opening[:i+1]...)
			b.Fail[i] = bustest.NoAck
			_, err := NewI2C(b, 0x76)
			bustest.CheckError(t, err, wire.NoAck, name+"write: remote I/O error")
			if err := b.Close(); err != nil {
				t.Errorf("transfer %d, % X: %v", i, io.W, err)
			}
		})
	}
}

func TestNewI2CRefusesAddress(t *testing.T) {
	b := bustest.New()
	_, err := NewI2C(b, 0x75)
	bustest.CheckError(t, err, wire.Other, "bme280 0x75 on bus 1: it can only be at 0x76 or 0x77: other")
	if len(b.At) != 0 {
		t.Errorf("%d transfers were made", len(b.At))
	}
}

// many returns n times the same transfer.
func many(n int, io i2ctest.IO) []i2ctest.IO {
	ops := make([]i2ctest.IO, n)
	for i := range ops {
		ops[i] = io
	}
	return ops
}

func TestNewI2CEndsWhenTheChipNeverStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bustest.New(append([]i2ctest.IO{isBME280}, many(100, get(0xF3, 0xFF))...)...)
		begin := time.Now()
		_, err := NewI2C(b, 0x76)
		bustest.CheckError(t, err, wire.Timeout, "bme280 0x76 on bus 1: still starting, status is 0xff: timeout")
		if took := time.Since(begin); took > 30*time.Millisecond || b.Count > 30 {
			t.Errorf("it took %v and %d transfers", took, b.Count)
		}
	})
}

// open returns a driver in a bubble whose bus then expects ops.
func open(t *testing.T, ops ...i2ctest.IO) (*Dev, *bustest.Bus) {
	t.Helper()
	b := bustest.New(append(append([]i2ctest.IO(nil), opening...), ops...)...)
	d, err := NewI2C(b, 0x76)
	if err != nil {
		t.Fatal(err)
	}
	return d, b
}

func TestSenseFails(t *testing.T) {
	const name = "bme280 0x76 on bus 1: "
	noHumidity := get(0xF7, 0x65, 0x5A, 0xC0, 0x83, 0xA1, 0x20, 0x80, 0x00)
	nothing := get(0xF7, 0x80, 0, 0, 0x80, 0x00, 0x00, 0x80, 0x00)
	at22 := get(0xF7, 0x65, 0x5A, 0xC0, 0x80, 0x00, 0x00, 0x6B, 0x10)
	noPressure := get(0xF7, 0x80, 0, 0, 0x83, 0xA1, 0x20, 0x6B, 0x10)
	settings := get(0xF2, 0x01, 0x00, 0x24)
	for _, tt := range []struct {
		name  string
		ops   []i2ctest.IO
		fail  map[int]error // counted from the start of Sense
		fault wire.Fault
		text  string
	}{
		{"start not acknowledged", []i2ctest.IO{start}, map[int]error{0: bustest.NoAck},
			wire.NoAck, name + "write: remote I/O error"},
		{"status not acknowledged", []i2ctest.IO{start, busy}, map[int]error{1: bustest.NoAck},
			wire.NoAck, name + "write: remote I/O error"},
		{"bus hangs", []i2ctest.IO{start, busy, idle}, map[int]error{2: bustest.Timeout},
			wire.Timeout, name + "write: connection timed out"},
		{"data not acknowledged", []i2ctest.IO{start, idle, reading}, map[int]error{2: bustest.NoAck},
			wire.NoAck, name + "write: remote I/O error"},
		{"all zeros", []i2ctest.IO{start, idle, get(0xF7, make([]byte, 8)...)}, nil,
			wire.Implausible, name + "read: all data are 0x00: implausible"},
		{"all ones", []i2ctest.IO{start, idle, get(0xF7, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF)}, nil,
			wire.Implausible, name + "read: all data are 0xff: implausible"},
		{"reset before it", []i2ctest.IO{start, idle, noHumidity, get(0xF2, 0x00, 0x00, 0x24)}, nil,
			wire.WarmingUp, name + "was reset, its settings are lost: warming_up"},
		{"reset within it", []i2ctest.IO{start, idle, nothing, get(0xF2, 0x00, 0x00, 0x00)}, nil,
			wire.WarmingUp, name + "was reset, its settings are lost: warming_up"},
		{"temperature off", []i2ctest.IO{start, idle, at22, get(0xF2, 0x01, 0x00, 0x04)}, nil,
			wire.WarmingUp, name + "was reset, its settings are lost: warming_up"},
		{"pressure off", []i2ctest.IO{start, idle, noPressure, get(0xF2, 0x01, 0x00, 0x20)}, nil,
			wire.WarmingUp, name + "was reset, its settings are lost: warming_up"},
		{"a true 0x80000 of pressure", []i2ctest.IO{start, idle, noPressure, settings}, nil, wire.Good, ""},
		{"settings not acknowledged", []i2ctest.IO{start, idle, noHumidity, settings}, map[int]error{3: bustest.NoAck},
			wire.NoAck, name + "write: remote I/O error"},
		{"a true 0x8000 of humidity", []i2ctest.IO{start, idle, noHumidity, settings}, nil, wire.Good, ""},
		{"a true 0x80000 of temperature", []i2ctest.IO{start, idle, at22, settings}, nil, wire.Good, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// A good measurement follows: no failure may outlast its tick.
				d, b := open(t, append(tt.ops, start, idle, reading)...)
				for i, err := range tt.fail {
					b.Fail[len(opening)+i] = err
				}
				before := [3]float32{1, 2, 3}
				got := before
				err := d.Sense(got[:])
				bustest.CheckError(t, err, tt.fault, tt.text)
				if (err != nil) != (got == before) {
					t.Errorf("%v left %+v", err, got)
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

func TestSenseEndsWhenTheStatusIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b := open(t, append([]i2ctest.IO{start}, many(100, get(0xF3, 0xFF))...)...)
		for range 2 {
			begin, before := time.Now(), b.Count
			err := d.Sense(make([]float32, 3))
			bustest.CheckError(t, err, wire.Timeout, "bme280 0x76 on bus 1: still measuring after 26ms: timeout")
			if took, n := time.Since(begin), b.Count-before; took > 30*time.Millisecond || n > 30 {
				t.Errorf("it took %v and %d transfers", took, n)
			}
			b.Ops, b.Count = append([]i2ctest.IO{start}, many(100, get(0xF3, 0xFF))...), 0
		}
		b.Ops, b.Count = []i2ctest.IO{start, idle, reading}, 0
		if err := d.Sense(make([]float32, 3)); err != nil {
			t.Errorf("when it is well again: %v", err)
		}
	})
}

// slow is a bus on which a transfer waits long for its turn.
type slow struct{ *bustest.Bus }

func (s slow) Tx(addr uint16, w, r []byte) error {
	time.Sleep(60 * time.Millisecond)
	return s.Bus.Tx(addr, w, r)
}

func TestSenseOnABusyBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := NewI2C(slow{bustest.New(append(append([]i2ctest.IO(nil), opening...), start, idle, reading)...)}, 0x76)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Sense(make([]float32, 3)); err != nil {
			t.Errorf("the chip was in time, the bus was not: %v", err)
		}
	})
}

// anything is a chip that is a BME280 and else holds what the fuzzer likes.
type anything struct {
	bustest.Bus
	calib, data, settings []byte
}

func (a *anything) Tx(_ uint16, w, r []byte) error {
	switch w[0] {
	case 0xD0:
		r[0] = 0x60
	case 0x88:
		copy(r, a.calib)
	case 0xE1:
		copy(r, a.calib[26:])
	case 0xF7:
		copy(r, a.data)
	case 0xF2:
		copy(r, a.settings)
	}
	return nil
}

// Whatever trimming values and data a chip has, Sense neither panics nor takes
// skipped values for measured ones.
func FuzzSense(f *testing.F) {
	typical := append(append([]byte(nil), calibTP...), calibH...)
	f.Add(typical, reading.R, []byte{1, 0, 0x20})
	f.Add(typical, []byte{0x80, 0, 0, 0x80, 0, 0, 0x80, 0}, []byte{0, 0, 0})
	f.Add(typical, make([]byte, 8), []byte{1, 0, 0x20})
	f.Fuzz(func(t *testing.T, calib, data, settings []byte) {
		if len(calib) != calibSize || len(data) != 8 || len(settings) != 3 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			d, err := NewI2C(&anything{calib: calib, data: data, settings: settings}, 0x76)
			if err != nil {
				return
			}
			values := make([]float32, 3)
			if err = d.Sense(values); err != nil {
				return
			}
			if values[1] < 0 || values[1] > 100 {
				t.Errorf("humidity %v", values[1])
			}
			if data[6] == 0x80 && data[7] == 0 && settings[0]&7 == 0 {
				t.Errorf("humidity was off, and Sense returned %v", values[1])
			}
		})
	})
}
