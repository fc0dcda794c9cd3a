package kernel

import (
	"math"
	"testing"

	"sensorgateway/wire"
)

func TestParseNumber(t *testing.T) {
	for s, want := range map[string]float64{"21500\n": 21500, "-125": -125, "101.325390625\n": 101.325390625, "-0.5": -0.5} {
		if v, err := parseNumber([]byte(s)); err != nil || v != want {
			t.Errorf("%q: %v, %v", s, v, err)
		}
	}
	for _, s := range []string{"", "\n", "1e3", "0x10", "NaN", "inf", "1 2", "+5", "5.", ".5", "1_0", "--1", "1.2.3", "12345678901234567890"} {
		if v, err := parseNumber([]byte(s)); err == nil || wire.FaultOf(err) != wire.Other {
			t.Errorf("%q: %v, %v", s, v, err)
		}
	}
}

// Whatever is in a file, a value is one of the 12 bits, or there is an error with a fault.
func FuzzParseW1(f *testing.F) {
	for _, s := range []string{
		"72 01 4b 46 7f ff 0e 10 57 : crc=57 YES\n72 01 4b 46 7f ff 0e 10 57 t=23125\n",
		"50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n50 05 4b 46 7f ff 0c 10 1c t=85000\n",
		"72 01 4b 46 7f ff 0e 10 58 : crc=57 NO\n72 01 4b 46 7f ff 0e 10 57 t=23125\n", "", "-10125\n", "85000",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func([]byte) (float64, error){parseW1, parseNumber, parseW1Temperature} {
			v, err := parse(b)
			if err == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
				t.Errorf("%q: %v", b, v)
			}
			if err != nil && wire.FaultOf(err) == wire.Good {
				t.Errorf("%q: %v has no fault", b, err)
			}
		}
		if v, err := parseW1(b); err == nil && math.Abs(v) >= 1000 {
			t.Errorf("%q: %v °C", b, v)
		}
	})
}
