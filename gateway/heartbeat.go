package gateway

import (
	"time"

	"sensorgateway/gateway/conn"
	"sensorgateway/wire"
)

const (
	pingEvery  = 30 * time.Second
	pongWithin = 10 * time.Second
	// A client that drives a motor is an operator, whose loss must be noticed soon.
	drivingPingEvery  = time.Second
	drivingPongWithin = 2 * time.Second
	tooSlow           = 30 * time.Second // for a client that takes nothing

	// Sessions that drive a motor are checked every checkEvery, the others once a
	// second.
	checkEvery    = 250 * time.Millisecond
	checksASecond = 4
)

// heartbeat is what is known of a session being alive.
type heartbeat struct {
	driving bool      // has a motor running
	pinged  time.Time // the last time
	asked   time.Time // of the first ping that is unanswered
	waits   bool      // for a pong
	seen    int64     // of pongs
	heard   time.Time // of the last of them, or when its motor started
	took    time.Time // when the client last took something of what is queued; zero while nothing is
}

// check is each session's heartbeat (no client has a timer of its own) and sends
// what is sent once a second. all: once a second, every session is checked.
func (b *broadcaster) check(now time.Time, all bool) {
	var metrics []byte
	if all {
		metrics = b.metricsFrame()
	}
	b.each(func(c *session) {
		if driving := c.commanded.Load() && b.s.opts.Motors.Running(c.ID); driving != c.driving {
			c.driving, c.pinged, c.heard, c.waits = driving, now, now, false
			if driving {
				c.pinged = time.Time{} // at once
			}
		}
		if all || c.driving {
			c.beat(now)
		}
		if c.metrics && metrics != nil {
			c.out.Offer(metrics)
		}
		if all && c.events {
			c.sendJSON(wire.Envelope{Type: wire.TypeStats, Payload: b.statsOf(c)})
		}
	})
	if all {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, f := range b.feeds {
			f.retry() // for sensors whose next tick is far
		}
	}
}

// metricsFrame returns what the clients of /metrics get, nil if there are none.
func (b *broadcaster) metricsFrame() []byte {
	wanted := false
	b.each(func(c *session) { wanted = wanted || c.metrics })
	if !wanted {
		return nil
	}
	return conn.AppendFrame(nil, conn.OpText, wire.JSON(wire.Envelope{Type: wire.TypeMetrics, Payload: b.s.opts.Metrics()}))
}

// overdue tells whether a client has taken nothing for too long although
// something is queued for it.
func (c *session) overdue(now time.Time) bool {
	switch {
	case c.waiting == nil && !c.out.Queued():
		c.took = time.Time{}
	case c.out.Progress() || c.took.IsZero():
		c.took = now
	}
	return !c.took.IsZero() && now.Sub(c.took) >= tooSlow
}

// beat pings, and ends a client whose pong or whose reading is overdue.
func (c *session) beat(now time.Time) {
	if c.overdue(now) {
		c.closeWithin(wire.CloseTooSlow, wire.CloseReasonTooSlow, slowCloseTimeout)
		return
	}
	if pongs := c.pongs.Load(); pongs != c.seen {
		c.seen, c.heard, c.waits = pongs, now, false
	}
	every, late := pingEvery, now.Sub(c.asked) >= pongWithin
	if c.driving {
		// The time runs from the last pong on, whenever that was; but a client must have
		// been asked at least one interval ago, for the broadcaster may have been late.
		every, late = drivingPingEvery, now.Sub(c.heard) >= drivingPongWithin && now.Sub(c.asked) >= drivingPingEvery
	}
	if c.waits && late {
		_ = c.out.Close()
		return
	}
	if now.Sub(c.pinged) >= every-checkEvery/2 { // this check is nearer to the time than the next
		c.pinged = now
		if !c.waits {
			c.waits, c.asked = true, now
		}
		c.send(conn.OpPing, nil)
	}
}
