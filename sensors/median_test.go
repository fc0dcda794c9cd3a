package sensors

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"sensorgateway/wire"
)

func TestMedian(t *testing.T) {
	const failed = -1
	for _, tt := range []struct {
		name     string
		size     int
		lost     int
		measured []float32
		want     []float32
	}{
		{"a spike", 3, 5, []float32{20, 21, 99, 22, 23}, []float32{20, 21, 21, 22, 23}},
		{"a step comes a tick later", 3, 5, []float32{20, 20, 30, 30, 30}, []float32{20, 20, 20, 30, 30}},
		{"two spikes in a row", 5, 5, []float32{20, 21, 22, 99, 99, 23, 24}, []float32{20, 21, 21, 22, 22, 23, 24}},
		{"what was before an outage is forgotten", 3, 5, []float32{20, 20, 20, failed, failed, 30, 31, 32}, []float32{20, 20, 20, failed, failed, 30, 31, 31}},
		{"after one failure", 3, 5, []float32{20, 21, failed, 22, 23, 24}, []float32{20, 21, failed, 22, 23, 23}},
		{"after one failure of five", 5, 5, []float32{1, 2, 3, 4, failed, 6, 7, 8}, []float32{1, 2, 2, 3, failed, 4, 6, 7}},
		{"after two failures of seven", 7, 3, []float32{1, 2, 3, 4, 5, failed, failed, 8, 9}, []float32{1, 2, 2, 3, 3, failed, failed, 4, 5}},
		{"a lost sensor begins anew", 7, 3, []float32{1, 2, 3, 4, 5, failed, failed, failed, 9, 10, 11}, []float32{1, 2, 2, 3, 3, failed, failed, failed, 9, 10, 10}},
		{"one that a failure makes lost, too", 5, 1, []float32{1, 2, 3, 4, failed, 6, 7, 8}, []float32{1, 2, 2, 3, failed, 6, 7, 7}},
	} {
		var w window
		for i, v := range tt.measured {
			if v == failed {
				continue
			}
			got := w.median(tt.size, tt.lost, uint32(i), [2]float32{v, wire.NotMeasured()})
			if got[0] != tt.want[i] {
				t.Errorf("%s: tick %d is %v, want %v", tt.name, i, got[0], tt.want[i])
			}
			if !wire.IsNotMeasured(got[1]) {
				t.Errorf("%s: tick %d: what is not measured became %x", tt.name, i, math.Float32bits(got[1]))
			}
		}
	}
}

// Compared with a simple implementation: ticks wrap and are skipped, and each value is on its own.
func TestMedianOfRandomTicks(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{3, 5, 7, 9} {
		var w window
		tick, last, lost := uint32(math.MaxUint32-50), uint32(0), 1+size/2
		good := map[uint32][2]float32{}
		for range 2000 {
			tick += 1 + uint32(chance.IntN(10)/9*chance.IntN(12))
			if chance.IntN(6) == 0 {
				continue
			}
			if tick-last > uint32(lost) {
				clear(good)
			}
			last, good[tick] = tick, [2]float32{chance.Float32(), chance.Float32()}
			var of [2][]float32
			for back := range uint32(size) {
				if v, ok := good[tick-back]; ok {
					of[0], of[1] = append(of[0], v[0]), append(of[1], v[1])
				}
			}
			got := w.median(size, lost, tick, good[tick])
			for i, values := range of {
				values = values[:len(values)-1+len(values)%2]
				slices.Sort(values)
				if want := values[len(values)/2]; got[i] != want {
					t.Fatalf("median of %d: %v, want %v of %v", size, got[i], want, values)
				}
			}
		}
	}
}
