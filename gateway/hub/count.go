package hub

import (
	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/hub/count"
	"sensorgateway/wire"
)

// Counts returns what the hub has taken in and sent.
func (g *Registry) Counts() count.Counts {
	c := g.counts.Counts()
	g.mu.Lock()
	defer g.mu.Unlock()
	for r := range g.attended { // all watched gateways are among them
		r.mu.Lock()
		if r.watched {
			c.Watched++
		}
		r.mu.Unlock()
	}
	return c
}

// Measured is how many records of a sensor, good and failed, came since the hub's start.
type Measured struct {
	Good   uint64
	Failed map[wire.Fault]uint64 // by cause
}

// Measured returns how many records of a sensor came. Each number counts once, and not at all
// if a later one came before it.
func (r *Remote) Measured(sensor string) Measured {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := Measured{Good: r.ends[sensor].good, Failed: map[wire.Fault]uint64{}}
	for cause, n := range r.ends[sensor].failed {
		m.Failed[cause] = n
	}
	return m
}

// measure counts the records of a block that are beyond the end.
func (e *end) measure(raw []byte, beyond func(seq uint32) bool) {
	b, _, err := codec.ParseBlock(raw)
	switch {
	case err != nil || !beyond(b.Summary.Last):
		return
	case beyond(b.Summary.First) && b.Summary.Failed == 0:
		e.good += uint64(b.Summary.Good)
		return
	}
	var unpack codec.Unpacker
	records, err := unpack.Records(nil, b, 0)
	if err != nil {
		return
	}
	for _, x := range records {
		switch {
		case !beyond(x.Seq):
		case x.Fault == wire.Good:
			e.good++
		default:
			if e.failed == nil {
				e.failed = map[wire.Fault]uint64{}
			}
			e.failed[x.Fault]++
		}
	}
}
