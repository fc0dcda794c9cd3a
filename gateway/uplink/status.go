package uplink

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/mqtt"
	"sensorgateway/gateway/uplink/ship"
	"sensorgateway/wire"
)

// lostTime is how long there must be no connection until that is reported: a hub waits as long
// for the gateway.
const lostTime = fleet.WillDelay

// behindTime is how old unsent readings may be without the state mentioning it: they are sent
// when their minute is complete.
const behindTime = 3 * time.Minute

// askedReserve says that readings which hubs ask for leave 1/20 of the budget to the summaries of
// minutes: half of what is kept for these. So no viewer takes the summaries from the others.
const askedReserve = 20

// linkState is that of the connection.
type linkState struct {
	connected bool
	answers   [aliases]byte // the newest reason of a PUBACK, by the alias of the topic
	since     time.Time     // since when it is connected, or not connected
	err       error         // why it is not connected; nil: no attempt has failed yet
}

// Stats are the uplink's numbers.
type Stats struct {
	ship.Status
	Connected bool
	Behind    time.Duration // how old the oldest reading is that is not sent; 0: there is none
	Bytes     int64         // on the wire, since the start
	Messages  int64         // that were published, since the start
	Takeovers int64         // by another device with the same identity, since the start
}

// connected notes that there is a connection.
func (u *Uplink) connected(g fleet.Gateway) {
	u.mu.Lock()
	u.link = linkState{connected: true, answers: u.link.answers, since: time.Now()}
	u.mu.Unlock()
	u.o.Log.Info("the uplink is connected", "site", g.Site, "gateway", g.Name)
	u.notice()
}

// explain returns the error with which the connection has ended. If another device seems to
// have taken it over, the error says so.
func (u *Uplink) explain(err error) error {
	u.mu.Lock()
	link := u.link
	u.mu.Unlock()
	return u.rival.Explain(u.broker, err, link.connected, time.Since(link.since))
}

// ended notes that there is no connection, and why.
func (u *Uplink) ended(err error) {
	u.mu.Lock()
	if u.link.connected {
		u.link = linkState{since: time.Now()}
	}
	u.link.err = err
	u.mu.Unlock()
	u.notice()
}

// answered notes the reason with which the broker has answered a message.
func (u *Uplink) answered(alias uint16, reason byte) {
	u.mu.Lock()
	before := u.link.answer()
	u.link.answers[alias] = reason
	now := u.link.answer()
	u.mu.Unlock()
	if now == before {
		return
	}
	if before == unheard { // a hub that has just subscribed knows nothing of the gateway
		u.news.greet()
	}
	u.notice()
}

// unheard is the reason that nobody subscribes.
const unheard = 0x10

// answer returns the worst of the newest answers.
func (l *linkState) answer() byte { return slices.Max(l.answers[:]) }

// notice makes an event when something begins to block what the gateway sends to the hubs,
// and when nothing blocks it any longer.
func (u *Uplink) notice() {
	status := u.o.Shipper.Status()
	u.spent.Store(status.Budget > 0 && status.Used >= status.Budget-status.Budget/askedReserve)
	u.mu.Lock()
	kind, reason := u.troubleIs(status)
	changed, before := kind != u.trouble, u.trouble
	u.trouble = kind
	u.mu.Unlock()
	u.state.Store(u.describe(status))
	if !changed {
		return
	}
	e := wire.Event{Kind: kind, Reason: reason, TS: wire.Seconds(time.Now().UnixMilli())}
	if kind == "" {
		e.Kind = wire.EventUplinkBack
	}
	if kind == wire.EventUplinkBudget || before == wire.EventUplinkBudget {
		u.news.greet()
	}
	u.o.Event(e)
}

// lasting returns what hello says of the uplink: that the bytes of the month are nearly
// used, nil if not. Hubs see other troubles themselves, and those change too fast.
func (u *Uplink) lasting() *wire.Uplink {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.trouble != wire.EventUplinkBudget {
		return nil
	}
	return u.state.Load()
}

// troubleIs returns the kind of the event for what blocks the uplink, and a text about it for
// people; "" if nothing does. u.mu is held.
func (u *Uplink) troubleIs(s ship.Status) (kind, reason string) {
	taken := errors.Is(u.link.err, mqtt.Disconnected(mqtt.TakenOver))
	switch {
	case !u.link.connected && (taken || time.Since(u.link.since) >= lostTime):
		if u.link.err == nil {
			return wire.EventUplinkLost, "no broker has answered yet"
		}
		return wire.EventUplinkLost, u.link.err.Error()
	case !u.link.connected:
		return u.trouble, "" // not told yet
	case u.link.answer() == unheard:
		return wire.EventUplinkUnheard, "no hub takes what this gateway sends, so readings wait here; fix: start the hub of its site (gateway hub --site), with this broker"
	case u.link.answer() == 0x97 || u.link.answer() == 0x83:
		return wire.EventUplinkFull, "the broker has no room, so readings wait here: hubs do not take what it has"
	case u.link.answer() >= 0x80:
		return wire.EventUplinkFull, "the broker does not take what this gateway sends: " + mqtt.Reason(u.link.answer()) + "; fix: check what it lets this gateway publish"
	case s.Waiting == ship.Budget && s.Used >= s.Budget:
		return wire.EventUplinkBudget, fmt.Sprintf("all %s of this month are used, so readings wait here until it ends; fix: raise uplink.budget", bytesOf(s.Budget))
	case s.Waiting == ship.Budget:
		return wire.EventUplinkBudget, fmt.Sprintf("%s of the %s of this month are used, so only the range and mean of each minute go up, and readings wait here until it ends; fix: raise uplink.budget", bytesOf(s.Used), bytesOf(s.Budget))
	}
	return "", ""
}

// bytesOf returns a number of bytes as people say it: 951 kB, 47 MB.
func bytesOf(n int64) string {
	if n < 10_000_000 {
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}

// Stats returns the numbers; false without an uplink.
func (u *Uplink) Stats() (s Stats, ok bool) {
	if u == nil {
		return s, false
	}
	return u.stats(u.o.Shipper.Status()), true
}

func (u *Uplink) stats(status ship.Status) Stats {
	s := Stats{Status: status, Bytes: u.bytes.Load(), Messages: u.messages.Load(), Takeovers: u.takeovers.Load()}
	u.mu.Lock()
	s.Connected = u.link.connected
	u.mu.Unlock()
	if now, _ := u.o.Clock(); s.Unsent > 0 && s.Through > 0 {
		s.Behind = max(now.Sub(time.UnixMilli(s.Through)), 0)
	}
	return s
}

// State says how the uplink is, for hello and /readyz, as it was found last; nil without
// one. It waits for nobody.
func (u *Uplink) State() *wire.Uplink {
	if u == nil {
		return nil
	}
	return u.state.Load()
}

// describe says how the uplink is.
func (u *Uplink) describe(status ship.Status) *wire.Uplink {
	s := u.stats(status)
	state := &wire.Uplink{Connected: s.Connected, Unsent: s.Unsent, BehindMS: s.Behind.Milliseconds()}
	u.mu.Lock()
	defer u.mu.Unlock()
	_, reason := u.troubleIs(status)
	switch {
	case !s.Connected && u.link.err != nil:
		state.State = "not connected: " + u.link.err.Error()
	case !s.Connected:
		state.State = "not connected yet"
	case reason != "":
		state.State = "connected, but " + reason
	case s.Behind >= behindTime:
		state.State = "connected, " + long(s.Behind) + " behind"
	default:
		state.State = "connected"
	}
	return state
}

// long is a time as people say it.
func long(d time.Duration) string {
	switch {
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
