package bme280

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// formula is the datasheet's compensation in floating point (appendix A, 8.1)
// for the trimming values above.
func formula(rawT, rawH, rawP float64) (celsius, percent, hPa float64) {
	a := (rawT/16384 - 28485.0/1024) * 26735
	b := rawT/131072 - 28485.0/8192
	fine := math.Trunc(a + b*b*50)
	h := fine - 76800
	h = (rawH - (286*64 + 50.0/16384*h)) * (376.0 / 65536 * (1 + 30.0/67108864*h))
	h *= 1 - 75*h/524288
	a = fine/2 - 64000
	b = a*a*-7/32768 + a*-4*2
	b = b/4 + 6980*65536
	a = (3024*a*a/524288 + -10635*a) / 524288
	a = (1 + a/32768) * 36738
	p := (1048576 - rawP - b/4096) * 6250 / a
	p += (4285*p*p/2147483648 + p*-10230/32768 + 9900) / 16
	return fine / 5120, min(max(h, 0), 100), p / 100
}

func TestSense(t *testing.T) {
	for _, tt := range []struct {
		name             string
		rawT, rawH, rawP uint32
		t, h             float64 // roughly, so that the formula is not trusted alone
	}{
		{"room", 0x83A12, 0x6B10, 0x655AC, 26.6, 52},
		{"frost", 0x63000, 0x6800, 0x655AC, -16, 47},
		{"coldest", 0x50A00, 0x5800, 0x4B000, -40, 25},
		{"hottest", 0xB05C0, 0x6000, 0xC0000, 85, 35},
		{"dry", 0x80010, 0x4000, 0x655AC, 22, 0},
		{"wet", 0x80010, 0xA000, 0x655AC, 22, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				data := get(0xF7, byte(tt.rawP>>12), byte(tt.rawP>>4), byte(tt.rawP<<4), byte(tt.rawT>>12), byte(tt.rawT>>4), byte(tt.rawT<<4), byte(tt.rawH>>8), byte(tt.rawH))
				d, b := open(t, start, busy, busy, idle, data)
				values, begin := make([]float32, 3), time.Now()
				if err := d.Sense(values); err != nil {
					t.Fatal(err)
				}
				took := time.Since(begin)
				checkFormula(t, values, tt.rawT, tt.rawH, tt.rawP)
				if math.Abs(float64(values[0])-tt.t) > 1 || math.Abs(float64(values[1])-tt.h) > 1 {
					t.Errorf("got %v; want about %v °C, %v %%", values, tt.t, tt.h)
				}
				if min := 8000*time.Microsecond + 2*pollPause; took < min || took > min+time.Millisecond {
					t.Errorf("it took %v, want %v: a conversion, and a pause between polls", took, min)
				}
				if err := b.Close(); err != nil {
					t.Error(err)
				}
				if err := d.Halt(); err != nil {
					t.Error(err)
				}
				if got := d.String(); got != "bme280 0x76 on bus 1" {
					t.Errorf("String: %q", got)
				}
			})
		})
	}
}

// checkFormula compares values with the datasheet's formula in floating point, to
// which periph's integers come close.
func checkFormula(t *testing.T, values []float32, rawT, rawH, rawP uint32) {
	t.Helper()
	celsius, percent, hPa := formula(float64(rawT), float64(rawH), float64(rawP))
	for i, tt := range []struct{ want, within float64 }{{celsius, 0.0101}, {percent, 0.02}, {hPa, 0.02}} {
		if math.Abs(float64(values[i])-tt.want) > tt.within {
			t.Errorf("raw %05X %04X %05X: value %d is %v, want %v", rawT, rawH, rawP, i, values[i], tt.want)
		}
	}
}

// Ten thousand raw values from all over the chip's range give what the formula says.
func TestSenseAgainstTheFormula(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip := &anything{calib: append(slices.Clone(calibTP), calibH...), settings: []byte{1, 0, 0x24}}
		d, err := NewI2C(chip, 0x76)
		if err != nil {
			t.Fatal(err)
		}
		random, values := rand.New(rand.NewPCG(1, 2)), make([]float32, 3)
		for range 10_000 {
			rawT, rawH, rawP := 0x50A00+random.Uint32N(0x60000), 0x4000+random.Uint32N(0x6000), 0x40000+random.Uint32N(0x80000)
			chip.data = []byte{byte(rawP >> 12), byte(rawP >> 4), byte(rawP << 4), byte(rawT >> 12), byte(rawT >> 4), byte(rawT << 4), byte(rawH >> 8), byte(rawH)}
			if err := d.Sense(values); err != nil {
				t.Fatal(err)
			}
			checkFormula(t, values, rawT, rawH, rawP)
		}
	})
}

// The worked example of the datasheet BST-BMP280-DS001, section 3.12.
func TestDatasheetExample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calib := slices.Concat([]byte{0x70, 0x6B, 0x43, 0x67, 0x18, 0xFC, // 27504, 26435, -1000
			0x7D, 0x8E, 0x43, 0xD6, 0xD0, 0x0B, 0x27, 0x0B, 0x8C, 0x00, 0xF9, 0xFF, 0x8C, 0x3C, 0xF8, 0xC6, 0x70, 0x17, 0, 0x4B}, calibH)
		chip := &anything{calib: calib, settings: []byte{1, 0, 0x24}, data: []byte{0x65, 0x5A, 0xC0, 0x7E, 0xED, 0x00, 0x6B, 0x10}} // 415148, 519888
		d, err := NewI2C(chip, 0x76)
		if err != nil {
			t.Fatal(err)
		}
		values := make([]float32, 3)
		if err := d.Sense(values); err != nil || values[0] != 25.08 || math.Abs(float64(values[2])-1006.5327) > 0.001 {
			t.Errorf("%v, %v; want 25.08 °C and 1006.5327 hPa", err, values)
		}
	})
}
