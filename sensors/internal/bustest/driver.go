package bustest

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2ctest"
	"periph.io/x/conn/v3/physic"

	"sensorgateway/wire"
)

// Sensor is a driver of a chip.
type Sensor interface {
	Sense(values []float32) error
	Halt() error
	String() string
}

// Driver is what is expected of a driver: its golden transfers and what it does when
// they fail.
type Driver struct {
	Name    string // its String, on bus 1
	Addr    uint16
	Open    func(b i2c.Bus, addr uint16) (Sensor, error)
	Opening []i2ctest.IO    // its constructor's transfers
	Sense   []i2ctest.IO    // those of a measurement
	Values  []float32       // that it gives
	Waits   []time.Duration // the least time before each transfer of a measurement
	Within  time.Duration   // a measurement takes at most
	// Again are the transfers, counted from the opening's first, that are made up to
	// three times: reads of a chip that still converts.
	Again []int
	// Twice are transfers that are made twice: a chip may not be up yet.
	Twice []int
	// Accepted are transfers that need not be acknowledged.
	Accepted []int
	CRC      bool // each answer of a measurement has checksums
}

// Open makes a driver's constructor fit for a [Driver].
func Open[T Sensor](construct func(i2c.Bus, uint16) (T, error)) func(i2c.Bus, uint16) (Sensor, error) {
	return func(b i2c.Bus, addr uint16) (Sensor, error) {
		s, err := construct(b, addr)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}

// Write is a transfer that writes.
func (d *Driver) Write(w ...byte) i2ctest.IO { return i2ctest.IO{Addr: d.Addr, W: w} }

// Read is one that reads r, after it has written w.
func (d *Driver) Read(r []byte, w ...byte) i2ctest.IO { return i2ctest.IO{Addr: d.Addr, W: w, R: r} }

// Test tests the driver.
func (d *Driver) Test(t *testing.T) {
	t.Run("golden", d.golden)
	t.Run("failures", d.failures)
	if d.CRC {
		t.Run("checksums", d.checksums)
	}
	t.Run("address", func(t *testing.T) {
		b := New()
		_, err := d.Open(b, 0x08)
		if wire.FaultOf(err) != wire.Other || b.Count != 0 || !strings.Contains(err.Error(), "0x08 on bus 1: it can only be at ") {
			t.Errorf("%v after %d transfers", err, b.Count)
		}
	})
}

// open returns a driver whose bus then expects ops.
func (d *Driver) open(t *testing.T, ops ...i2ctest.IO) (Sensor, *Bus) {
	t.Helper()
	b := New(slices.Concat(d.Opening, ops)...)
	s, err := d.Open(b, d.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return s, b
}

func (d *Driver) golden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := d.open(t, slices.Concat(d.Sense, d.Sense)...)
		if got := s.String(); got != d.Name {
			t.Errorf("String: %q, want %q", got, d.Name)
		}
		for range 2 {
			values, begin := make([]float32, len(d.Values)), time.Now()
			if err := s.Sense(values); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(values, d.Values) {
				t.Errorf("got %v, want %v", values, d.Values)
			}
			if took := time.Since(begin); took > d.Within {
				t.Errorf("it took %v, at most %v were expected", took, d.Within)
			}
			from := b.Count - len(d.Sense)
			for i, wait := range d.Waits {
				if got := b.At[from+i].Sub(b.At[from+max(i-1, 0)]); got < wait {
					t.Errorf("transfer %d of a measurement comes after %v, want %v", i, got, wait)
				}
			}
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Halt(); err != nil {
			t.Error(err)
		}
	})
}

// failures has each transfer fail. The error is the bus's own, and no failure outlasts
// its measurement.
func (d *Driver) failures(t *testing.T) {
	chip, _, _ := strings.Cut(d.Name, " ")
	all := slices.Concat(d.Opening, d.Sense)
	for i := range all {
		for _, failure := range []error{NoAck, Timeout} {
			if failure == NoAck && slices.Contains(d.Accepted, i) {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				ops, fail := slices.Clone(all[:i+1]), map[int]error{i: failure}
				if failure == NoAck && slices.Contains(d.Again, i) {
					ops = append(ops, all[i], all[i])
					fail[i+1], fail[i+2] = failure, failure
				}
				if failure == NoAck && slices.Contains(d.Twice, i) {
					ops = append(ops, all[i])
					fail[i+1] = failure
				}
				b := New(ops...)
				b.Fail = fail
				s, err := d.Open(b, d.Addr)
				if err == nil {
					err = s.Sense(make([]float32, len(d.Values)))
				}
				if fault := wire.FaultOf(err); err == nil || fault != wire.FaultOf(failure) || !strings.HasPrefix(err.Error(), chip+" 0x") {
					t.Errorf("transfer %d, %x, fails: %v", i, all[i].W, err)
				}
				if b.Count != len(ops) {
					t.Errorf("%d transfers when %d fails", b.Count, i)
				}
				if s == nil {
					return
				}
				b.Ops, b.Count, b.Fail = d.Sense, 0, nil
				if err := s.Sense(make([]float32, len(d.Values))); err != nil {
					t.Errorf("after transfer %d failed: %v", i, err)
				}
			})
		}
	}
	for _, n := range d.Again { // late by two reads
		synctest.Test(t, func(t *testing.T) {
			b := New(slices.Concat(all[:n], []i2ctest.IO{all[n], all[n]}, all[n:])...)
			b.Fail[n], b.Fail[n+1] = NoAck, NoAck
			s, err := d.Open(b, d.Addr)
			if err == nil {
				err = s.Sense(make([]float32, len(d.Values)))
			}
			if err != nil {
				t.Errorf("late in read %d: %v", n, err)
			}
		})
	}
}

// checksums flips each bit of each answer of a measurement.
func (d *Driver) checksums(t *testing.T) {
	for i, op := range d.Sense {
		for bit := range 8 * len(op.R) {
			synctest.Test(t, func(t *testing.T) {
				ops := slices.Clone(d.Sense)
				ops[i].R = slices.Clone(op.R)
				ops[i].R[bit/8] ^= 1 << (bit % 8)
				s, _ := d.open(t, ops...)
				values := make([]float32, len(d.Values))
				if err := s.Sense(values); wire.FaultOf(err) != wire.Checksum {
					t.Errorf("bit %d of answer %d is wrong: %v, %v", bit, i, values, err)
				}
			})
		}
	}
}

// Chip is a bus with one chip, which is a function of what is written to it.
type Chip func(w, r []byte) error

// Tx asks the chip.
func (c Chip) Tx(_ uint16, w, r []byte) error { return c(w, r) }

// SetSpeed accepts any.
func (Chip) SetSpeed(physic.Frequency) error { return nil }

// String returns "bus 1".
func (Chip) String() string { return "bus 1" }

// Formula has a driver measure 10,000 random raw values of each kind, of so many bits,
// and compares what it gives with the formula in double precision. The chip's answer
// to what was written last is made by answer, which appends it to b. Nothing is
// allocated meanwhile.
func (d *Driver) Formula(t *testing.T, bits []int, answer func(b []byte, w []byte, raw []uint32) []byte, formula func(raw []float64) []float64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		opening, raw := d.Opening, make([]uint32, len(bits))
		buf, written := make([]byte, 0, 32), make([]byte, 0, 32)
		s, err := d.Open(Chip(func(w, r []byte) error {
			if len(opening) > 0 {
				copy(r, opening[0].R)
				opening = opening[1:]
				return nil
			}
			if len(w) > 0 {
				written = append(written[:0], w...)
			}
			if len(r) > 0 {
				copy(r, answer(buf, written, raw))
			}
			return nil
		}), d.Addr)
		if err != nil {
			t.Fatal(err)
		}
		random, values, exact := rand.New(rand.NewPCG(1, 2)), make([]float32, len(d.Values)), make([]float64, len(bits))
		for range 10_000 {
			for i, n := range bits {
				raw[i] = random.Uint32() >> (32 - n)
				exact[i] = float64(raw[i])
			}
			if err := s.Sense(values); err != nil {
				t.Fatalf("%x: %v", raw, err)
			}
			for i, want := range formula(exact) {
				if ulp := math.Nextafter32(float32(want), math.MaxFloat32) - float32(want); math.Abs(float64(values[i])-want) > float64(ulp)+1e-9 {
					t.Fatalf("%x: value %d is %v, want %v", raw, i, values[i], want)
				}
			}
		}
		if n := testing.AllocsPerRun(100, func() { _ = s.Sense(values) }); n != 0 {
			t.Errorf("%v allocations a measurement", n)
		}
	})
}

// CRC8 is a checksum with the polynomial 0x31 as a division, bit by bit; start is what
// it begins with.
func CRC8(start byte, b []byte) byte {
	var v uint32
	for i, x := range b {
		if i == 0 {
			x ^= start
		}
		v = v<<8 | uint32(x)
	}
	v <<= 8
	for bit := 8*len(b) + 7; bit >= 8; bit-- {
		if v>>bit&1 != 0 {
			v ^= 0x131 << (bit - 8)
		}
	}
	return byte(v)
}

// Words appends words with Sensirion's checksums.
func Words(b []byte, words ...uint16) []byte {
	for _, w := range words {
		two := []byte{byte(w >> 8), byte(w)}
		b = append(append(b, two...), CRC8(0xFF, two))
	}
	return b
}
