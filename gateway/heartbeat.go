package gateway

import (
	"time"

	"sensorgateway/gateway/access"
	"sensorgateway/gateway/conn"
	"sensorgateway/wire"
)

const (
	pingEvery  = 25 * time.Second // common proxies cut at 30
	pongWithin = 10 * time.Second
	// What a client's own kernel holds unread shows only in late pongs, because a ping comes
	// behind the readings. So a client is also pinged firstPing after it begins, and each
	// time that span has doubled. If a pong takes longer than lagAfter, the client gets
	// nothing more until it answers at once; then it gets what it has missed, conflated.
	firstPing = 3 * time.Second
	lagAfter  = 2 * time.Second
	// A client that drives a motor is an operator, whose loss must be noticed soon.
	drivingPingEvery  = time.Second
	drivingPongWithin = 2 * time.Second
	tooSlow           = 30 * time.Second // for a client that takes nothing

	// Sessions that drive a motor are checked about every checkEvery, the others once a
	// second.
	checkEvery    = 250 * time.Millisecond
	checksASecond = 4
)

// heartbeat is what is known about whether a client is alive.
type heartbeat struct {
	driving bool      // has a motor running
	pinged  time.Time // when it was last pinged
	asked   time.Time // when the first unanswered ping was sent
	waits   bool      // for a pong
	seen    int64     // how many pongs have been noted
	heard   time.Time // when the last pong was noted, or its motor started
	begun   time.Time // when it began, or when its last lag ended
	lags    bool      // it has not read for seconds what it was sent
	took    time.Time // when the client last took something of what is queued; zero while nothing is
	lost    string    // why it was closed, for the reason of [Options.Refused]
}

// The reasons for which [Options.Refused] is called for a client that cannot follow.
const (
	ReasonSlow   = "slow"
	ReasonNoPong = "no_pong"
)

// check does the sessions' heartbeat (no client has a timer of its own), and sends what is due once a
// second. all: once a second, the heartbeat of every session; else of those that drive a motor.
func (b *broadcaster) check(now time.Time, all bool) {
	metrics := b.metricsFrames(all)
	b.each(func(c *session) {
		c.checkIdentity()
		if driving := c.commanded.Load() && b.s.opts.Motors.Running(c.ID); driving != c.driving {
			c.driving, c.pinged, c.heard, c.waits = driving, now, now, false
			if driving {
				c.pinged = time.Time{} // at once
			}
		}
		if all || c.driving {
			b.beat(c, now)
		}
		if frame := metrics[c.scope]; c.metrics && frame != nil {
			c.out.Offer(frame)
		}
		if all && c.events {
			c.sendJSON(wire.Envelope{Type: wire.TypeStats, Payload: b.statsOf(c)})
		}
	})
	if !all {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.feeds {
		f.retry() // for sensors whose next tick is far
	}
}

// metricsFrames returns what the clients of /metrics get if it is due, by the sensors that they may see.
func (b *broadcaster) metricsFrames(due bool) map[sensorSet][]byte {
	if !due {
		return nil
	}
	frames, viewers := map[sensorSet][]byte{}, map[sensorSet]*access.Identity{}
	b.each(func(c *session) {
		if c.metrics {
			viewers[c.scope] = c.Identity
		}
	})
	for scope, id := range viewers {
		frames[scope] = conn.AppendFrame(nil, conn.OpText, wire.JSON(wire.Envelope{Type: wire.TypeMetrics, Payload: b.s.opts.Metrics(id)}))
	}
	return frames
}

// overdue reports whether a client has taken nothing for too long although
// something is queued for it.
func (c *session) overdue(now time.Time) bool {
	switch {
	case c.Waiting == nil && !c.out.Queued():
		c.took = time.Time{}
	case c.out.Progress() || c.took.IsZero():
		c.took = now
	}
	return !c.took.IsZero() && now.Sub(c.took) >= tooSlow
}

// beat pings a client, and closes it if its pong is overdue or it has taken nothing for too long. b.mu is held.
func (b *broadcaster) beat(c *session, now time.Time) {
	if c.inbox.Closing() {
		return // it is being closed
	}
	if pongs := c.inbox.Pongs(); pongs != c.seen {
		b.answered(c, pongs, now)
	}
	switch {
	case c.overdue(now):
		c.lost = ReasonSlow
		c.closeWithin(wire.CloseTooSlow, wire.CloseReasonTooSlow, slowCloseTimeout)
		return
	case c.waits && c.late(now):
		c.lost = ReasonNoPong
		c.close(wire.CloseTooSlow, wire.CloseReasonNoPong)
		return
	case c.waits && c.canLag() && c.seen > 0 && now.Sub(c.asked) >= lagAfter:
		b.hold(c)
	}
	if now.Sub(c.pinged) < c.interval()-checkEvery/2 { // the next check is nearer to the due time
		return
	}
	if c.waits && !c.driving && (c.seen > 0 || now.Sub(c.begun) < pingEvery-checkEvery/2) {
		return
	}
	c.pinged = now
	if !c.waits || !c.driving {
		c.waits, c.asked = true, now
	}
	c.send(conn.OpPing, nil)
}

// answered notes a pong. b.mu is held.
func (b *broadcaster) answered(c *session, pongs int64, now time.Time) {
	late := c.waits && now.Sub(c.asked) >= lagAfter
	c.seen, c.heard, c.waits, c.took = pongs, now, false, time.Time{}
	switch {
	case late && c.canLag():
		b.hold(c)
		c.pinged = time.Time{} // once more, until it answers at once
	case c.lags:
		c.lags, c.begun = false, now
	}
}

// canLag reports whether a client is held while its pongs are late. An operator's
// connection ends before that.
func (c *session) canLag() bool { return c.sensors != 0 && !c.driving }

// late reports whether the pong that a client is asked for takes too long.
func (c *session) late(now time.Time) bool {
	switch {
	case c.driving:
		// The time runs from the last pong on, whenever that was; but a client must have
		// been asked at least one interval ago, for the broadcaster may have been late.
		return now.Sub(c.heard) >= drivingPongWithin && now.Sub(c.asked) >= drivingPingEvery
	case c.seen == 0 && now.Sub(c.begun) < pingEvery+pongWithin:
		return false // until then it need not answer pings that only measure its lag
	}
	return now.Sub(c.asked) >= pongWithin
}

// interval is the time from a client's last ping to the next.
func (c *session) interval() time.Duration {
	switch {
	case c.driving:
		return drivingPingEvery
	case !c.canLag():
		return pingEvery
	}
	return min(max(c.pinged.Sub(c.begun), firstPing), pingEvery)
}
