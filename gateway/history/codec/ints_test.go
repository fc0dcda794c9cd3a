package codec

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
	nan := math.Float32frombits(0x7FC00003)
	converter := func(origin, span, code, noise float64) func(*rand.Rand) float32 {
		return func(rnd *rand.Rand) float32 {
			return float32(origin + span*math.Round(code+noise*rnd.NormFloat64())/65535)
		}
	}
	tests := []struct {
		name  string
		value func(*rand.Rand) float32
		n     int
		most  float64 // bits a value
	}{
		{"sht3x", converter(-45, 175, 25000, 5), 600, 5.1},
		{"negative", converter(-45, 175, 16852, 5), 600, 5.1},
		{"humidity", converter(0, 100, 25000, 17), 600, 6.9},
		{"noise", converter(0, 100, 50000, 40), 600, 8.1},
		{"rounded twice", func(rnd *rand.Rand) float32 {
			return 32 + 1.8*converter(-45, 175, 25000, 5)(rnd)
		}, 600, 8},
		{"decimal", func(rnd *rand.Rand) float32 { return float32(2150+rnd.IntN(5)) / 100 }, 600, 3.5},
		{"constant", func(*rand.Rand) float32 { return 21.5 }, 600, 0.2},
		{"any bits", func(rnd *rand.Rand) float32 { return math.Float32frombits(rnd.Uint32()) }, 600, 37},
		{"nan", func(*rand.Rand) float32 { return nan }, 10, 8},
		{"two", func(rnd *rand.Rand) float32 { return float32(rnd.IntN(2)) * 1e30 }, 2, 100},
	}
	var p Packer
	for _, tt := range tests {
		most := 0.0
		for seed := range uint64(100) {
			rnd := rand.New(rand.NewPCG(seed, 2))
			v := make([]float32, tt.n)
			for i := range v {
				v[i] = tt.value(rnd)
			}
			b := p.appendFloats(nil, v)
			most = max(most, float64(8*len(b))/float64(len(v)))
			got := make([]float32, len(v))
			if rest, err := decodeFloats(b, got, make([]int64, len(v))); err != nil || len(rest) != 0 {
				t.Fatalf("%s, seed %d: %v", tt.name, seed, err)
			}
			for i := range v {
				if math.Float32bits(got[i]) != math.Float32bits(v[i]) {
					t.Fatalf("%s, seed %d: value %d is %x, was %x", tt.name, seed, i, math.Float32bits(got[i]), math.Float32bits(v[i]))
				}
			}
		}
		t.Logf("%s: %.2f bits a value", tt.name, most)
		if most > tt.most {
			t.Errorf("%s: %.2f bits a value, want at most %.2f", tt.name, most, tt.most)
		}
	}
}
