package sensors

import (
	"sync/atomic"
	"time"
)

// Bounds of the histogram's buckets, each double the one before; the last
// bucket has none.
const (
	firstBound = 62500 * time.Nanosecond
	buckets    = 14 // 62.5 µs, 125 µs … 256 ms, 512 ms
)

// Histogram counts durations in buckets whose bounds double. It is safe for
// concurrent use and allocates nothing.
type Histogram struct {
	counts [buckets + 1]atomic.Int64
	sum    atomic.Int64 // ns
}

// Observe counts d.
func (h *Histogram) Observe(d time.Duration) {
	i, bound := 0, time.Duration(firstBound)
	for i < buckets && d > bound {
		i, bound = i+1, 2*bound
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// Each calls f for each bucket with its upper bound, 0 for the last, and the
// number of durations in it.
func (h *Histogram) Each(f func(bound time.Duration, n int64)) {
	bound := time.Duration(firstBound)
	for i := range h.counts {
		if i == buckets {
			bound = 0
		}
		f(bound, h.counts[i].Load())
		bound *= 2
	}
}

// Sum returns the sum of all durations.
func (h *Histogram) Sum() time.Duration { return time.Duration(h.sum.Load()) }
