package gateway

import (
	"time"

	"sensorgateway/gateway/conn"
	"sensorgateway/gateway/frames"
	"sensorgateway/gateway/window"
	"sensorgateway/wire"
)

// sensorSet is a set of sensors.
type sensorSet = frames.Set

// A feed is a kind of subscription: its members get the same bytes.
type feed struct {
	feedKey
	members []member   // the quick sessions: a tick touches nothing else
	slow    []*session // those whose connection refused a tick
	window.Totals
	frames.Encoder // the present tick, encoded once
}

// member is a quick session, with its connection, which each tick needs.
type member struct {
	out *conn.Conn
	c   *session
}

type feedKey struct {
	protocol string
	sensors  sensorSet
}

// send offers the present tick to the quick sessions. before is the feed's totals
// before this tick.
func (f *feed) send(before window.Totals) {
	for i := 0; i < len(f.members); i++ {
		if f.members[i].out.Offer(f.Frame) {
			continue
		}
		// It is slow from now on, and this tick is the first in its window.
		c := f.members[i].c
		c.Settle(before)
		c.Waiting, c.took = &window.Window{}, time.Now()
		f.members = removeAt(f.members, i)
		f.slow = append(f.slow, c)
		i--
	}
}

// conflate adds a tick to a slow session's window.
func (f *feed) conflate(c *session, records []wire.Record) {
	for _, r := range records {
		if f.sensors.Has(r.Sensor) {
			c.Waiting.Add(r)
		}
	}
}

// lateBatch is how many bytes of its window a slow client is offered at a time:
// half of what may be on its way to a quick one.
const lateBatch = conn.UnsentLimit / 2

// retry offers slow sessions whose connection has drained what is in their window,
// in batches. A session that has taken all of it is quick again.
func (f *feed) retry() {
	for i := 0; i < len(f.slow); i++ {
		c := f.slow[i]
		late := feed{feedKey: feedKey{f.protocol, ^sensorSet(0)}}
		for c.Waiting.Total() > 0 && !c.lags && c.out.Drained() {
			batch := c.Waiting.Batch(window.RecordsIn(lateBatch, f.protocol))
			late.encode(batch.Records(), c.s.opts.Sensors)
			if !c.out.Offer(late.Frame) {
				break
			}
			c.Delivered(batch)
			c.s.broadcaster.frames.Add(int64(late.Frames))
		}
		if c.Waiting.Total() > 0 || c.lags {
			continue
		}
		c.Settle(f.Totals)
		c.Waiting = nil
		f.slow = removeAt(f.slow, i)
		f.members = append(f.members, member{c.out, c})
		i--
	}
}

// encode makes the frames of a tick for the feed, to be sent in one write.
func (f *feed) encode(records []wire.Record, sensors []wire.SensorInfo) {
	f.Encode(f.protocol, f.sensors, records, sensors)
}
