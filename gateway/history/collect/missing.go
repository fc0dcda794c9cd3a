package collect

import (
	"cmp"
	"slices"
	"strings"

	"sensorgateway/gateway/history/codec"
)

// Gap is numbers of a sensor's epoch that are missing between those that are there, or
// were never made: after Since, up to Until.
type Gap struct {
	Sensor, Epoch string
	Since, Until  uint32
}

// Missing returns what is missing of a gateway, by sensor, epoch and number, except what
// is summarised: that is asked for when somebody wants it, and comes unasked later.
func (c *Collection) Missing(gateway string) (all []Gap, err error) {
	l := c.log(gateway)
	l.order.Lock()
	defer l.order.Unlock()
	if err := l.load(); err != nil {
		return nil, err
	}
	heads, err := l.heads(func(h codec.Head) bool { return !l.hasRecords(h) })
	if err != nil {
		return nil, err
	}
	for k, there := range l.there {
		list := slices.Clone(there.Spans)
		last := list[len(list)-1].Last
		for _, h := range heads {
			if k == (stream{h.Origin.Sensor, h.Origin.Epoch}) && before(list[0].Last, h.Summary.First) && before(h.Summary.Last, last) {
				list.Add(h.Summary.First, h.Summary.Last)
			}
		}
		for i := 1; i < len(list); i++ {
			all = append(all, Gap{k.sensor, k.epoch, list[i-1].Last, list[i].First - 1})
		}
	}
	slices.SortStableFunc(all, func(a, b Gap) int { // those of a stream are in order
		return cmp.Or(strings.Compare(a.Sensor, b.Sensor), strings.Compare(a.Epoch, b.Epoch))
	})
	return all, nil
}

// Summarised returns the minutes at from or later and before to, Unix ms, of which the
// log has the summary and not all records, in the order in which they were summarised.
func (r *Reader) Summarised(sensor uint16, from, to int64) ([]Gap, error) {
	if int(sensor) >= len(r.sensors) {
		return nil, nil
	}
	v, err := r.l.indexed()
	if err != nil {
		return nil, err
	}
	return r.l.summarised(r.sensors[sensor], func(h codec.Head) bool {
		r.l.mu.Lock()
		defer r.l.mu.Unlock()
		add, _ := v.index.Correction(h.Origin, h.Summary.From)
		return h.Summary.To+add >= from && h.Summary.From+add < to
	})
}

// SummarisedSince returns those of the present epoch that have numbers after after.
func (r *Reader) SummarisedSince(sensor uint16, after uint32) ([]Gap, error) {
	if int(sensor) >= len(r.sensors) {
		return nil, nil
	}
	return r.l.summarised(r.sensors[sensor], func(h codec.Head) bool {
		return h.Origin.Epoch == r.epoch && before(after, h.Summary.Last)
	})
}

// summarised returns those of a sensor's minutes that are wanted.
func (l *log) summarised(name string, wants func(codec.Head) bool) (all []Gap, err error) {
	heads, err := l.heads(func(h codec.Head) bool { return h.Origin.Sensor == name && wants(h) && !l.hasAllRecords(h) })
	for _, h := range heads {
		all = append(all, Gap{name, h.Origin.Epoch, h.Summary.First - 1, h.Summary.Last})
	}
	return all, err
}
