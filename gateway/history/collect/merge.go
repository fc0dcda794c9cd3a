package collect

import (
	"cmp"
	"errors"
	"io"
	"slices"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

// buckets returns what summaries say of the minutes at from or later and before to of which
// the records have not come, in spans of step ms. A minute is in the span of its middle.
func (l *log) buckets(v *view, name string, from, to, step int64) ([]wire.Bucket, error) {
	heads, err := l.heads(func(h codec.Head) bool { return h.Origin.Sensor == name && !l.hasRecords(h) })
	if err != nil {
		return nil, err
	}
	all := map[int64]wire.Bucket{}
	for _, h := range heads {
		s := h.Summary
		l.mu.Lock()
		add, _ := v.index.Correction(h.Origin, s.From)
		said := l.values.Of(name, h.Origin.Epoch)
		l.mu.Unlock()
		at := s.From + add + (s.To-s.From)/2
		values, alike := said.ApplyTo(s)
		if at < from || at >= to || !alike {
			continue
		}
		at -= ((at % step) + step) % step
		all[at] = join(all[at], bucketOf(values, at))
	}
	buckets := make([]wire.Bucket, 0, len(all))
	for _, b := range all {
		buckets = append(buckets, b)
	}
	slices.SortFunc(buckets, byTime)
	return buckets, nil
}

func byTime(a, b wire.Bucket) int { return cmp.Compare(a.UnixMilli, b.UnixMilli) }

func bucketOf(s codec.Summary, at int64) wire.Bucket {
	b := wire.Bucket{UnixMilli: at, Count: uint32(s.Good), Failed: uint32(s.Failed), Fault: s.Fault}
	if s.Good > 0 {
		for i, v := range s.Values {
			b.Values[i] = wire.Span{Min: v.Min, Mean: float32(v.Sum / float64(s.Good)), Max: v.Max}
		}
	}
	return b
}

// join returns the bucket of two of the same span.
func join(a, b wire.Bucket) wire.Bucket {
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

// merged returns a next function of two sorted rows of buckets.
func merged(next func() ([]wire.Bucket, error), more []wire.Bucket) func() ([]wire.Bucket, error) {
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
		slices.SortStableFunc(both, byTime)
		out := both[:0]
		for _, b := range both {
			if k := len(out) - 1; k >= 0 && out[k].UnixMilli == b.UnixMilli {
				out[k] = join(out[k], b)
				continue
			}
			out = append(out, b)
		}
		return out, nil
	}
}
