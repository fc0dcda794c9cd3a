package sensors

import "sensorgateway/wire"

// window has the newest good values of a sensor, for the median of some ticks.
type window struct {
	values [wire.MaxMedian][2]float32 // the newest first
	ticks  [wire.MaxMedian]uint32
	n      int
}

// median takes the values of a tick, and returns the median of the newest size ticks. A
// failed tick has no values; if an even number is left, the oldest is left out. So the
// first tick, and with a size of 3 the first after a failure, passes as it is. After as many
// ticks without values as make a sensor lost, it is the first again: a median of values from
// before an outage would hide the outage.
func (w *window) median(size, lost int, tick uint32, values [2]float32) [2]float32 {
	if tick-w.ticks[0] > uint32(lost) {
		w.n = 0
	}
	copy(w.values[1:], w.values[:])
	copy(w.ticks[1:], w.ticks[:])
	w.values[0], w.ticks[0] = values, tick
	w.n = min(w.n+1, size)
	n := 0
	for n < w.n && tick-w.ticks[n] < uint32(size) {
		n++
	}
	n -= 1 - n%2
	for i := range values {
		var sorted [wire.MaxMedian]float32
		for k := range n {
			v, at := w.values[k][i], k
			for ; at > 0 && sorted[at-1] > v; at-- {
				sorted[at] = sorted[at-1]
			}
			sorted[at] = v
		}
		values[i] = sorted[n/2]
	}
	return values
}
