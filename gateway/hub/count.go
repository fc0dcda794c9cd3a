package hub

import (
	"sync/atomic"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

// Counts is what a hub has taken in and sent since its start.
type Counts struct {
	Messages  []Traffic // that came, by kind, also those that were refused
	Refused   int64     // messages that were not taken: not of the fleet, or not understood
	Dropped   int64     // live ones, for which there was no room
	Blocks    int64     // that are durable; those that came again count again
	Readings  int64     // in them
	Unstored  int64     // messages whose blocks could not be stored; they come again
	Gaps      int64     // of missing readings that gateways have answered
	GapsLeft  int64     // that could not be asked for, or were not answered; they are asked for again
	Orders    []Sent    // by kind
	Confirmed int64     // commands that gateways have carried out
	Denied    int64     // that they have refused
	Silent    int64     // that they have not answered in time
	Watched   int       // gateways that are asked for ticks now
}

// Traffic is the messages of a kind.
type Traffic struct {
	Kind            fleet.Kind
	Messages, Bytes int64
}

// Sent is the orders of a kind.
type Sent struct {
	Kind         fleet.Kind
	Sent, Failed int64 // the broker has them; it or the hub could not pass them on
}

// taken and sent are the kinds of messages that a hub takes and sends.
var (
	taken = [...]fleet.Kind{fleet.Up, fleet.News, fleet.Here, fleet.Live, fleet.Answer}
	sent  = [...]fleet.Kind{fleet.Cmd, fleet.Ask, fleet.Watch, fleet.Keys}
)

// counts are those of a registry.
type counts struct {
	messages, bytes                    [len(taken)]atomic.Int64
	sent, failed                       [len(sent)]atomic.Int64
	refused, dropped, blocks, readings atomic.Int64
	unstored, gaps, gapsLeft           atomic.Int64
	confirmed, denied, silent          atomic.Int64
}

// came counts a message.
func (c *counts) came(k fleet.Kind, bytes int) {
	for i, kind := range taken {
		if kind == k {
			c.messages[i].Add(1)
			c.bytes[i].Add(int64(bytes))
		}
	}
}

// order counts an order that was sent, or was not.
func (c *counts) order(k fleet.Kind, err error) {
	for i, kind := range sent {
		switch {
		case kind != k:
		case err == nil:
			c.sent[i].Add(1)
		default:
			c.failed[i].Add(1)
		}
	}
}

// answer counts the answer to a command.
func (c *counts) answer(answer []byte) {
	if r, err := wire.ParseRequest(answer); err == nil && r.Type == wire.TypeAck {
		c.confirmed.Add(1)
	} else {
		c.denied.Add(1)
	}
}

// Counts returns what the hub has taken in and sent.
func (g *Registry) Counts() Counts {
	n := &g.counts
	c := Counts{
		Refused: n.refused.Load(), Dropped: n.dropped.Load(), Blocks: n.blocks.Load(), Readings: n.readings.Load(), Unstored: n.unstored.Load(),
		Gaps: n.gaps.Load(), GapsLeft: n.gapsLeft.Load(), Confirmed: n.confirmed.Load(), Denied: n.denied.Load(), Silent: n.silent.Load(),
	}
	for i, k := range taken {
		c.Messages = append(c.Messages, Traffic{k, n.messages[i].Load(), n.bytes[i].Load()})
	}
	for i, k := range sent {
		c.Orders = append(c.Orders, Sent{k, n.sent[i].Load(), n.failed[i].Load()})
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for r := range g.attended { // whoever is watched is among them
		r.mu.Lock()
		if r.watched {
			c.Watched++
		}
		r.mu.Unlock()
	}
	return c
}

// Measured is how the ticks of a sensor went, of those that came since the hub's start.
type Measured struct {
	Good   uint64
	Failed map[wire.Fault]uint64 // by cause
}

// Measured returns how the ticks of a sensor went. Each number counts once, and not at all
// if later ones had come before it.
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
