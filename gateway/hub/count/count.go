// Package count counts what a hub takes in and sends.
//
// It knows the kinds of messages. It refuses to know where they come from, and who shows
// the numbers.
package count

import (
	"sync/atomic"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// Counts is what a hub has taken in and sent since its start.
type Counts struct {
	Messages  []Traffic // that came, by kind, including refused ones
	Refused   int64     // messages that were not taken: not of the fleet, or not understood
	Dropped   int64     // live messages for which there was no room
	Blocks    int64     // that were made durable; one that comes again counts again
	Readings  int64     // in these blocks
	Unstored  int64     // messages whose blocks could not be stored; they come again
	Gaps      int64     // gaps of readings that gateways were asked for, and have answered
	GapsLeft  int64     // gaps that could not be asked for, or were not answered; they are asked for again
	Orders    []Sent    // by kind
	Confirmed int64     // commands that gateways have carried out
	Denied    int64     // commands that gateways have refused
	Silent    int64     // commands that gateways have not answered in time
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
	Sent, Failed int64 // Sent: the broker has taken them; Failed: they could not be sent, or it refused them
}

// taken and sent are the kinds of messages that a hub takes and sends.
var (
	taken = [...]fleet.Kind{fleet.Up, fleet.News, fleet.Here, fleet.Live, fleet.Answer}
	sent  = [...]fleet.Kind{fleet.Cmd, fleet.Ask, fleet.Watch, fleet.Keys}
)

// Counter counts. Its zero value has counted nothing.
type Counter struct {
	messages, bytes                    [len(taken)]atomic.Int64
	sent, failed                       [len(sent)]atomic.Int64
	confirmed, denied                  atomic.Int64
	Refused, Dropped, Blocks, Readings atomic.Int64 // as in [Counts], like what follows
	Unstored, Gaps, GapsLeft, Silent   atomic.Int64
}

// Came counts a message.
func (c *Counter) Came(k fleet.Kind, bytes int) {
	for i, kind := range taken {
		if kind == k {
			c.messages[i].Add(1)
			c.bytes[i].Add(int64(bytes))
		}
	}
}

// Order counts an order that was sent or, with an error, was not.
func (c *Counter) Order(k fleet.Kind, err error) {
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

// Answer counts the answer to a command.
func (c *Counter) Answer(answer []byte) {
	if r, err := wire.ParseRequest(answer); err == nil && r.Type == wire.TypeAck {
		c.confirmed.Add(1)
	} else {
		c.denied.Add(1)
	}
}

// Counts returns all counts except Watched.
func (c *Counter) Counts() Counts {
	all := Counts{
		Refused: c.Refused.Load(), Dropped: c.Dropped.Load(), Blocks: c.Blocks.Load(), Readings: c.Readings.Load(), Unstored: c.Unstored.Load(),
		Gaps: c.Gaps.Load(), GapsLeft: c.GapsLeft.Load(), Confirmed: c.confirmed.Load(), Denied: c.denied.Load(), Silent: c.Silent.Load(),
	}
	for i, k := range taken {
		all.Messages = append(all.Messages, Traffic{k, c.messages[i].Load(), c.bytes[i].Load()})
	}
	for i, k := range sent {
		all.Orders = append(all.Orders, Sent{k, c.sent[i].Load(), c.failed[i].Load()})
	}
	return all
}
