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
	// What a client's own kernel holds unread shows in nothing but the age of its pong, which
	// comes behind the readings. So it is pinged firstPing after its begin, too, and when that
	// time has doubled. One whose pong takes longer than lagAfter gets nothing more until it
	// answers at once, and then what it has missed, conflated.
	firstPing = 3 * time.Second
	lagAfter  = 2 * time.Second
	// A client that drives a motor is an operator, whose loss must be noticed soon.
	drivingPingEvery  = time.Second
	drivingPongWithin = 2 * time.Second
	tooSlow           = 30 * time.Second // for a client that takes nothing

	// Sessions that drive a motor are checked every checkEvery, about, the others once a
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
	begun   time.Time // its life, or its life without a lag
	lags    bool      // it has not read for seconds what it was sent
	took    time.Time // when the client last took something of what is queued; zero while nothing is
	lost    string    // why it was closed, for the reason of [Options.Refused]
}

// The reasons for which [Options.Refused] is called for a client that cannot follow.
const (
	ReasonSlow   = "slow"
	ReasonNoPong = "no_pong"
)

// check is each session's heartbeat (no client has a timer of its own) and sends
// what is sent once a second. all: once a second, every session is checked.
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

// beat pings, and closes a client whose pong or whose reading is overdue. b.mu is held.
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
	if now.Sub(c.pinged) < c.interval()-checkEvery/2 { // the next check is nearer to the time than this one
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
		return false // so far it may leave out what only measures its lag
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
