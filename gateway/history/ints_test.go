package history

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestColumnsOfIntegers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := func(n int, spread float64) []int64 {
		v := make([]int64, n)
		for i := range v {
			v[i] = int64(rnd.NormFloat64() * spread)
		}
		return v
	}
	columns := [][]int64{
		{}, {0}, {math.MaxInt64}, {math.MinInt64, math.MaxInt64, 0, -1}, {5, 5, 5, 5, 5},
		{0, 1, 2, 3, math.MaxInt64, 4, 5}, noise(600, 5), noise(600, 1e6), noise(4096, 1e18), noise(2, 3),
	}
	var scratch []uint64
	for _, v := range columns {
		b := append(appendInts(nil, v, &scratch), "rest"...)
		got := make([]int64, len(v))
		rest, err := decodeInts(b, got)
		if err != nil || string(rest) != "rest" {
			t.Fatalf("%v: rest %q, %v", v, rest, err)
		}
		for i := range v {
			if got[i] != v[i] {
				t.Fatalf("value %d of %v came back as %d", i, v, got[i])
			}
		}
		for i := range b[:min(len(b)-4, 200)] { // cut anywhere: an error or other numbers, no panic
			decodeInts(b[:i], got)
		}
	}
}

func TestColumnsOfFloats(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	nan := math.Float32frombits(0x7FC00003)
	tests := map[string]struct {
		value func() float32
		n     int
		most  float64 // bits a value
	}{
		"sht3x":    {func() float32 { return float32(-45 + 175*math.Round(25000+5*rnd.NormFloat64())/65535) }, 600, 5.5},
		"humidity": {func() float32 { return float32(100 * math.Round(25000+17*rnd.NormFloat64()) / 65535) }, 600, 7.2},
		"decimal":  {func() float32 { return float32(2150+rnd.IntN(5)) / 100 }, 600, 3.5},
		"negative": {func() float32 { return float32(-45 + 175*math.Round(16852+5*rnd.NormFloat64())/65535) }, 600, 5.8},
		"constant": {func() float32 { return 21.5 }, 600, 0.2},
		"any bits": {func() float32 { return math.Float32frombits(rnd.Uint32()) }, 600, 37},
		"nan":      {func() float32 { return nan }, 10, 8},
		"two":      {func() float32 { return float32(rnd.IntN(2)) * 1e30 }, 2, 100},
	}
	var p packer
	for name, tt := range tests {
		v := make([]float32, tt.n)
		for i := range v {
			v[i] = tt.value()
		}
		b := p.appendFloats(nil, v)
		per := float64(8*len(b)) / float64(len(v))
		t.Logf("%s: %.2f bits a value", name, per)
		if per > tt.most {
			t.Errorf("%s: %.2f bits a value, want at most %.2f", name, per, tt.most)
		}
		got := make([]float32, len(v))
		if rest, err := decodeFloats(b, got, make([]int64, len(v))); err != nil || len(rest) != 0 {
			t.Fatalf("%s: %v", name, err)
		}
		for i := range v {
			if math.Float32bits(got[i]) != math.Float32bits(v[i]) {
				t.Fatalf("%s: value %d is %x, was %x", name, i, math.Float32bits(got[i]), math.Float32bits(v[i]))
			}
		}
	}
}
