package sht3x

import (
	"math"
	"math/big"
	"testing"

	"periph.io/x/conn/v3/physic"

	"sensorgateway/wire"
)

func TestCRC8(t *testing.T) {
	for word, want := range map[uint16]byte{
		0xBEEF: 0x92, // datasheet, table 20
		0x0000: 0x81,
		0xFFFF: 0xAC,
	} {
		if got := crc8([]byte{byte(word >> 8), byte(word)}); got != want {
			t.Errorf("crc8(%04X) = %02X, want %02X", word, got, want)
		}
	}
}

func TestConversionsAtTheEnds(t *testing.T) {
	for raw, want := range map[uint16]physic.Temperature{
		0x0000: physic.ZeroCelsius - 45*physic.Celsius,
		0x0750: physic.ZeroCelsius - 40_001_144_427,
		0x41D4: physic.ZeroCelsius + 381_476,
		0x41D3: physic.ZeroCelsius - 2_288_853,
		0x8000: physic.ZeroCelsius + 42_501_335_164,
		0xFFFF: physic.ZeroCelsius + 130*physic.Celsius,
	} {
		if got := temperature(raw); got != want {
			t.Errorf("temperature(%04X) = %d, want %d", raw, got-physic.ZeroCelsius, want-physic.ZeroCelsius)
		}
	}
	for raw, want := range map[uint16]physic.RelativeHumidity{
		0x0000: 0,
		0x0001: 153,
		0x8000: 5_000_076,
		0xFFFF: 100 * physic.PercentRH,
	} {
		if got := humidity(raw); got != want {
			t.Errorf("humidity(%04X) = %d, want %d", raw, got, want)
		}
	}
}

// What is computed is within half of periph's smallest unit of the datasheet's
// formula, and the float32 that goes on the wire is that of the formula for all
// but the raw values whose exact result lies between two float32, or so near to
// zero that a float32 is finer than a nanokelvin.
func TestConversionsAreExact(t *testing.T) {
	var others int
	for raw := range 1 << 16 {
		exact, _ := new(big.Rat).Add(big.NewRat(-45, 1), big.NewRat(175*int64(raw), 65535)).Float64()
		got := temperature(uint16(raw)).Celsius()
		if math.Abs(got-exact) > 0.5001e-9 {
			t.Errorf("temperature(%04X) = %v, want %v", raw, got, exact)
		}
		if float32(got) != float32(exact) {
			others++
		}
		exact, _ = big.NewRat(int64(raw)*int64(100*physic.PercentRH), 65535).Float64()
		if h := humidity(uint16(raw)); math.Abs(float64(h)-exact) > 0.5001 {
			t.Errorf("humidity(%04X) = %d, want %v", raw, h, exact)
		}
	}
	if others > 50 {
		t.Errorf("%d of 65536 temperatures have another float32", others)
	}
}

// remainder divides a word and its checksum by the polynomial, bit by bit; it
// is zero if they belong together. (All ones at the start stand for 0xFF.)
func remainder(b []byte) uint32 {
	v := (uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])) ^ 0xFF0000
	for bit := 23; bit >= 8; bit-- {
		if v>>bit&1 != 0 {
			v ^= 0x131 << (bit - 8)
		}
	}
	return v
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{0x63, 0x80, 0x83, 0x73, 0x33, 0x01})
	f.Add([]byte{0, 0, 0x81, 0xFF, 0xFF, 0xAC})
	f.Add([]byte{0, 0, 0, 0, 0, 0})
	f.Add([]byte{0xBE, 0xEF, 0x92, 0xBE, 0xEF, 0x93})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) != 6 {
			return
		}
		temp, hum, err := decode((*[6]byte)(raw))
		if good := remainder(raw[:3]) == 0 && remainder(raw[3:]) == 0; good != (err == nil) {
			t.Fatalf("decode(% X): %v", raw, err)
		}
		if err != nil {
			if wire.FaultOf(err) != wire.Checksum || temp != 0 || hum != 0 {
				t.Fatalf("decode(% X) = %v, %v, %v", raw, temp, hum, err)
			}
			return
		}
		if c := temp.Celsius(); c < -45 || c > 130 || hum < 0 || hum > 100*physic.PercentRH {
			t.Fatalf("decode(% X) = %v, %v", raw, temp, hum)
		}
	})
}
