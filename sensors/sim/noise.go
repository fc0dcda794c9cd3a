package sim

import "math"

// mix returns a well-mixed hash of h and w (the finaliser of splitmix64).
func mix(h, w uint64) uint64 {
	h ^= w + 0x9E3779B97F4A7C15 + h<<6 + h>>2
	h = (h ^ h>>30) * 0xBF58476D1CE4E5B9
	h = (h ^ h>>27) * 0x94D049BB133111EB
	return h ^ h>>31
}

// unit maps a hash to [0, 1).
func unit(h uint64) float64 { return float64(h>>11) / (1 << 53) }

// valueNoise returns a smooth random curve's value in [-1, 1] at x. The curve
// goes through a random value at about every whole x, with a continuous second
// derivative. It is a pure function, so that nothing has to be remembered.
func valueNoise(seed uint64, x float64) float64 {
	x += unit(seed) // else the curves of all periods would be flat at the same moments
	whole := math.Floor(x)
	f := x - whole
	i := uint64(int64(whole))
	a, b := unit(mix(seed, i)), unit(mix(seed, i+1))
	f *= f * f * (f*(f*6-15) + 10)
	return 2*(a+(b-a)*f) - 1
}
