package spans

import (
	"math/rand/v2"
	"testing"

	"sensorgateway/wire"
)

// TestSpans holds the spans against a set of numbers, also where they wrap.
func TestSpans(t *testing.T) {
	for _, base := range []uint32{0, 1 << 31, ^uint32(0) - 100} {
		random, set, s := rand.New(rand.NewPCG(uint64(base), 1)), map[uint32]bool{}, Spans{}
		for range 60 {
			first := base + random.Uint32N(200)
			last := first + random.Uint32N(6)
			s.Add(first, last)
			for n := first; n != last+1; n++ {
				set[n] = true
			}
			for n := base; n != base+210; n++ {
				if s.Has(n) != set[n] || s.HasAll(n, n+1) != (set[n] && set[n+1]) || s.Touches(n, n+1) != (set[n] || set[n+1]) {
					t.Fatalf("%v: number %d", s, n)
				}
			}
			for i := 1; i < len(s); i++ {
				if !wire.Before(s[i-1].Last+1, s[i].First) {
					t.Fatalf("%v: two of them are one", s)
				}
			}
		}
	}
}
