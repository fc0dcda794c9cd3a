package collect

import (
	"maps"
	"slices"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/collect/buckets"
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
		all[at] = buckets.Join(all[at], buckets.Of(values, at))
	}
	return slices.SortedFunc(maps.Values(all), buckets.ByTime), nil
}
