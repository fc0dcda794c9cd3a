package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"sensorgateway/gateway/access"
	"sensorgateway/wire"
)

// What the broadcaster knows of the present: for hello, for plain HTTP, for metrics.

// Hello is what a client is greeted with.
func (b *broadcaster) Hello(id *access.Identity) wire.Hello {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hello(id)
}

// hello is Hello. b.mu is held.
func (b *broadcaster) hello(id *access.Identity) wire.Hello {
	hello := wire.Hello{
		Server: "gateway", Name: b.s.opts.Name, You: id.You(), Version: b.s.opts.Version, Epoch: b.epoch, Time: time.Now().UnixMilli(),
		Simulated: b.s.opts.Simulated, ClockSynced: b.s.opts.ClockSynced(),
		Sensors: []wire.SensorInfo{}, Motors: id.InScope(b.s.opts.Motors.States()), Warnings: b.s.opts.Warnings(), Hub: b.s.opts.Hub,
	}
	if b.s.opts.Uplink != nil {
		hello.Uplink = b.s.opts.Uplink()
	}
	for i, info := range b.s.opts.Sensors {
		if id.Sensors.Has(info.Name) {
			info.NextSeq, info.Values = b.next(i), info.Quantities()
			hello.Sensors = append(hello.Sensors, info)
		}
	}
	return hello
}

// next returns the sequence number of a sensor's next record. b.mu is held.
func (b *broadcaster) next(i int) uint32 {
	if b.known.Has(uint16(i)) {
		return b.last[i].Seq + 1
	}
	return b.s.opts.Sensors[i].NextSeq
}

// index returns a sensor's index by its name, -1 if there is none.
func (b *broadcaster) index(name string) int {
	return slices.IndexFunc(b.s.opts.Sensors, func(s wire.SensorInfo) bool { return s.Name == name })
}

// carries returns why readings.v1 cannot carry a sensor's readings, nil if it can.
func (b *broadcaster) carries(i int) error {
	if s := &b.s.opts.Sensors[i]; !s.InV1() {
		return wire.Errorf(http.StatusUnprocessableEntity, "%s carries temperature and humidity only: for %s use %s", wire.ReadingsV1, s.Name, wire.ReadingsV2)
	}
	return nil
}

// Newest returns the last record of a sensor, if there has been one.
func (b *broadcaster) Newest(i int) (wire.Record, bool) {
	b.mu.Lock()
	r, known := b.last[i], b.known.Has(uint16(i))
	b.mu.Unlock()
	if !known && b.s.opts.Earlier != nil {
		return b.s.opts.Earlier(i)
	}
	return r, known
}

// Ready reports whether a client that connects would get readings, and why not.
func (b *broadcaster) Ready() (reason string, ok bool) {
	if b.s.stopping.Load() {
		return "shutting down", false
	}
	if err := b.s.budget.Exhausted(); err != nil {
		return err.Error(), false
	}
	return b.quality()
}

// quality returns how many sensors measure, and what is wrong with the others.
func (b *broadcaster) quality() (reason string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	good, failing := 0, []string{}
	for i, s := range b.s.opts.Sensors {
		switch {
		case !b.known.Has(uint16(i)):
			failing = append(failing, s.Name+": no reading yet")
		case b.last[i].Fault != wire.Good:
			failing = append(failing, s.Name+": "+b.last[i].Fault.String())
		default:
			good++
		}
	}
	reason = fmt.Sprintf("%d of %d sensors measure", good, len(b.s.opts.Sensors))
	if len(failing) > 0 {
		reason += " (" + strings.Join(failing, ", ") + ")"
	}
	return reason, good > 0
}

// statsOf returns a session's account. b.mu is held.
func (b *broadcaster) statsOf(c *session) wire.Stats {
	if f := b.feeds[c.feedKey]; f != nil && c.sensors != 0 {
		c.Settle(f.Totals)
	}
	return c.Stats()
}

// accounts returns the sum of all clients' accounts, and how many readings were
// queued for clients that have left.
func (b *broadcaster) accounts() (sum wire.Stats, abandoned uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum = b.departed
	for _, c := range b.sessions {
		sum = sum.Add(b.statsOf(c))
	}
	return sum, b.abandoned
}
