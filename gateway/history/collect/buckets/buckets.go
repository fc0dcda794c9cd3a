// Package buckets makes one row of buckets of two, and a bucket of a summary.
//
// It knows sums over time. It refuses to know where they come from.
package buckets

import (
	"cmp"
	"errors"
	"io"
	"slices"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

// ByTime orders buckets.
func ByTime(a, b wire.Bucket) int { return cmp.Compare(a.UnixMilli, b.UnixMilli) }

// Of returns the bucket of a summary, at a time.
func Of(s codec.Summary, at int64) wire.Bucket {
	b := wire.Bucket{UnixMilli: at, Count: uint32(s.Good), Failed: uint32(s.Failed), Fault: s.Fault}
	if s.Good > 0 {
		for i, v := range s.Values {
			b.Values[i] = wire.Span{Min: v.Min, Mean: float32(v.Sum / float64(s.Good)), Max: v.Max}
		}
	}
	return b
}

// Join returns the bucket of two of the same span.
func Join(a, b wire.Bucket) wire.Bucket {
	switch {
	case a.Count+a.Failed == 0:
		return b
	case b.Count+b.Failed == 0:
		return a
	}
	if b.Failed > 0 {
		a.Fault = b.Fault
	}
	a.Failed += b.Failed
	switch {
	case a.Count == 0:
		a.Values = b.Values
	case b.Count > 0:
		for i := range a.Values {
			x, y := a.Values[i], b.Values[i]
			mean := (float64(x.Mean)*float64(a.Count) + float64(y.Mean)*float64(b.Count)) / float64(a.Count+b.Count)
			a.Values[i] = wire.Span{Min: min(x.Min, y.Min), Mean: float32(mean), Max: max(x.Max, y.Max)}
		}
	}
	a.Count += b.Count
	return a
}

// Merged returns a next function of two sorted rows of buckets.
func Merged(next func() ([]wire.Bucket, error), more []wire.Bucket) func() ([]wire.Bucket, error) {
	if len(more) == 0 {
		return next
	}
	return func() ([]wire.Bucket, error) {
		batch, err := next()
		if errors.Is(err, io.EOF) && len(batch) == 0 {
			batch, more = more, nil
			if len(batch) > 0 {
				err = nil
			}
			return batch, err
		}
		if err != nil {
			return batch, err
		}
		n := 0
		for n < len(more) && more[n].UnixMilli <= batch[len(batch)-1].UnixMilli {
			n++
		}
		both := slices.Concat(batch, more[:n])
		more = more[n:]
		slices.SortStableFunc(both, ByTime)
		out := both[:0]
		for _, b := range both {
			if k := len(out) - 1; k >= 0 && out[k].UnixMilli == b.UnixMilli {
				out[k] = Join(out[k], b)
				continue
			}
			out = append(out, b)
		}
		return out, nil
	}
}
