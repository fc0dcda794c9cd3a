package uplink

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/mqtt"
	"sensorgateway/wire"
)

// A gateway says that it is here and who it is, sends its log and news, and takes leave.
func TestConnection(t *testing.T) {
	r := newRig(t)
	h := r.newHub("hub-a")
	r.readings.add(600)
	stop := r.run(r.Uplink)

	here, err := fleet.ParsePresence(h.next(fleet.Here, nil).Payload)
	if err != nil || !here.Online {
		t.Fatalf("%+v, %v", here, err)
	}
	hello := h.greet()
	if hello.Connection != here.Connection || hello.Nonce == "" || len(hello.Sensors) != 2 || len(hello.Motors) != 1 || len(hello.Alarms) != 1 || len(hello.Recent) != 1 || hello.Uplink != nil {
		t.Errorf("hello is %+v", hello)
	}
	up := h.next(fleet.Up, nil)
	blocks, err := onePart(up.Payload)
	if err != nil || blocks.First != 1 || up.Properties.User.Get(fleet.PropertyEpoch) != "e1" {
		t.Errorf("%+v, %v", blocks, err)
	}
	for last := blocks.Last; last < 600; last = blocks.Last {
		if blocks, err = onePart(h.next(fleet.Up, nil).Payload); err != nil || blocks.First != last+1 {
			t.Fatalf("%d to %d come after %d: %v", blocks.First, blocks.Last, last, err)
		}
	}
	r.MotorChanged(wire.MotorState{Target: "fan", Running: true})
	r.Uplink.Event(wire.Event{Kind: wire.EventEStop, By: "ahmet"})
	has := func(text string) func([]byte) bool {
		return func(b []byte) bool { return strings.Contains(string(b), text) }
	}
	h.next(fleet.News, has(`"type":"audit","payload":{"seq":3,"hash":"ff"}`))
	h.next(fleet.News, has(`"target":"fan","running":true`))
	h.next(fleet.News, has(`"kind":"estop"`))

	h.send(h.order(fleet.Watch, `{"hz":100}`))
	for seq := uint32(1); ; seq++ { // until the watch has come
		r.Tick([]wire.Record{{Sensor: 1, Seq: seq, Reading: wire.Reading{Values: [2]float32{20, 50}, UnixMilli: 1_700_000_000_000}}}, 0)
		select {
		case p := <-h.messages:
			h.waiting = append(h.waiting, p)
		case <-time.After(10 * time.Millisecond):
			continue
		}
		break
	}
	if p := h.next(fleet.Live, nil); len(p.Payload) != 24 || p.QoS != 0 || *p.Properties.MessageExpiry > 2 {
		t.Errorf("live is %d bytes, QoS %d, %+v", len(p.Payload), p.QoS, p.Properties)
	}
	begin := time.Now()
	stop()
	if took := time.Since(begin); wait(t, r.hook.ended, "end of the connection") && took < farewellTime { // else its leave was not confirmed in time
		t.Error("the broker keeps the will of a gateway that has taken leave")
	}
	if p := h.next(fleet.Here, nil); string(p.Payload) != (fleet.Presence{Connection: here.Connection}).String() {
		t.Errorf("leave: %s", p.Payload)
	}
	if s, ok := r.Stats(); !ok || s.Bytes == 0 || s.Used != s.Bytes || s.Connected {
		t.Errorf("%+v", s)
	}
}

// Each thing that blocks readings is reported as one event, and its end as another.
func TestNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, readings: &readings{}, events: make(chan wire.Event, 100)}
		u := r.newUplink()
		said := func() (kinds []string) {
			u.notice()
			for len(r.events) > 0 {
				kinds = append(kinds, (<-r.events).Kind)
			}
			return kinds
		}
		for i, step := range []struct {
			do    func()
			kind  string
			state string
		}{
			{func() {}, "", "not connected yet"},
			{func() { time.Sleep(9 * time.Second) }, "", "not connected yet"},
			{func() { time.Sleep(2 * time.Second) }, wire.EventUplinkLost, "not connected yet"},
			{func() { u.ended(errors.New("refused")) }, "", "not connected: refused"},
			{func() { u.connected(pi) }, wire.EventUplinkBack, "connected"},
			{func() { u.answered(aliasUp, 0x10) }, wire.EventUplinkUnheard, "connected, but no hub"},
			{func() { u.answered(aliasUp, 0x97) }, wire.EventUplinkFull, "connected, but the broker has no room"},
			{func() { u.answered(aliasNews, 0x87) }, "", "connected, but the broker has no room"},
			{func() { u.answered(aliasUp, 0) }, "", "connected, but the broker does not take what this gateway sends: 0x87, not authorized; fix"},
			{func() { u.answered(aliasNews, 0) }, wire.EventUplinkBack, "connected"},
			{func() { u.ended(errors.New("cut")); u.connected(pi) }, "", "connected"}, // a connection lost for a moment only
			{func() { u.ended(mqtt.Disconnected(mqtt.TakenOver)) }, wire.EventUplinkLost, "not connected: the broker ended"},
		} {
			step.do()
			if got := strings.Join(said(), " "); got != step.kind || !strings.HasPrefix(u.State().State, step.state) {
				t.Errorf("step %d: %q and %q, want %q and %q", i, got, u.State().State, step.kind, step.state)
			}
		}
		for d, want := range map[time.Duration]string{5 * time.Minute: "5 min", 3 * time.Hour: "3 h", 72 * time.Hour: "3 days"} {
			if got := long(d); got != want {
				t.Errorf("%s is %q", d, got)
			}
		}
	})
}

// Without a hub, readings wait, and that is reported; a hub that comes gets hello and all
// readings.
func TestUnheard(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.startMosquitto()
	r.readings.add(600)
	r.run(r.Uplink)
	if e := r.event(wire.EventUplinkUnheard); !strings.Contains(e.Reason, "fix: start the hub") {
		t.Errorf("%+v", e)
	}
	if s := r.State(); !s.Connected || !strings.HasPrefix(s.State, "connected, but no hub") {
		t.Errorf("%+v", s)
	}
	h := r.newHub("hub-a")
	h.greet()
	if u, err := onePart(h.next(fleet.Up, nil).Payload); err != nil || u.First != 1 {
		t.Errorf("%+v, %v", u, err)
	}
	r.event(wire.EventUplinkBack)
}

// While a broker has no room, readings wait on the gateway, which is reported.
func TestFull(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	h := r.newHub("hub-a")
	stop := r.run(r.Uplink)
	h.greet()
	full := packets.ErrQuotaExceeded
	r.hook.reason.Store(&full)
	r.readings.add(600)
	r.readings.add(600)
	if e := r.event(wire.EventUplinkFull); e.Reason == "" {
		t.Errorf("%+v", e)
	}
	r.hook.reason.Store(nil)
	next := uint32(1)
	for next <= 1200 {
		u, err := onePart(h.next(fleet.Up, nil).Payload)
		if err != nil || u.First > next {
			t.Fatalf("%d to %d, want %d: %v", u.First, u.Last, next, err)
		}
		next = max(next, u.Last+1)
	}
	stop()
	if s := r.o.Shipper.Status(); s.Waiting != "" {
		t.Errorf("%+v", s)
	}
}

// When a broker comes back, the gateway connects again: the same start, on another
// connection.
func TestBrokerLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	h := r.newHub("hub-a")
	r.run(r.Uplink)
	first := h.greet()
	r.broker.Stop()
	r.startBroker(r.address.Host)
	h = r.newHub("hub-a")
	if again := h.greet(); again.Nonce != first.Nonce || again.Connection == first.Connection {
		t.Errorf("%+v, before %+v", again, first)
	}
}

// The end of the gateway does not wait for a broker that confirms nothing any longer. The will says
// that it is offline then.
func TestStop(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	h := r.newHub("hub-a")
	stop := r.run(r.Uplink)
	h.greet()
	silent := packets.ErrRejectPacket
	r.hook.reason.Store(&silent)
	r.readings.add(600)
	r.MotorChanged(wire.MotorState{Target: "fan"})
	begin := time.Now()
	stop()
	if took := time.Since(begin); took > packetTimeout/2 {
		t.Errorf("it took %s", took)
	}
	if !wait(t, r.hook.ended, "end of the connection") {
		t.Error("the broker says to nobody that the gateway is offline")
	}
}

// Two devices with one identity detect each other, report it, and pause for a while, also at a
// broker that closes the older connection without a reason.
func TestTakenOver(t *testing.T) {
	r := newRig(t)
	h := r.newHub("hub-a")
	r.run(r.Uplink)
	h.greet()
	other := r.newUplink()
	r.run(other)
	if e := r.event(wire.EventUplinkLost); !strings.Contains(e.Reason, "another device seems to connect as this gateway") || !strings.Contains(e.Reason, "fix: ") {
		t.Errorf("%+v", e)
	}
	h.greet() // the other
	mine, _ := r.Stats()
	others, _ := other.Stats()
	if mine.Takeovers != 1 || mine.Connected || others.Takeovers != 0 || !others.Connected {
		t.Errorf("%+v and %+v", mine, others)
	}
}

func TestTakenOverWithoutAWord(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.startMosquitto()
	r.run(r.Uplink)
	r.run(r.newUplink())
	for late := time.After(6 * patience); ; { // each loses three connections, after pauses of 1 to 5 s
		select {
		case e := <-r.events:
			if e.Kind == wire.EventUplinkLost && strings.Contains(e.Reason, "another device seems to connect as this gateway") {
				return
			}
		case <-late:
			t.Fatal("nobody says that there are two")
		}
	}
}

// However many hubs ask for ticks, and at whatever rates, as many ticks come as the fastest
// hub wants; if they do not ask again, none come after a while.
func TestWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLive(2)
		now := time.Now()
		for n := range 10_000 {
			l.watch(fmt.Sprint("hub-", n), float64(n%100), now)
		}
		if len(l.watches) > maxWatching || l.rate(now) > 100 {
			t.Errorf("%d watches, %v Hz", len(l.watches), l.rate(now))
		}
		l = newLive(2)
		l.watch("a", 2, now)
		l.watch("b", 10, now.Add(30*time.Second))
		for _, x := range []struct {
			after time.Duration
			hz    float64
		}{{0, 10}, {time.Minute, 10}, {61 * time.Second, 10}, {91 * time.Second, 0}} {
			if hz := l.rate(now.Add(x.after)); hz != x.hz {
				t.Errorf("after %s: %v Hz, want %v", x.after, hz, x.hz)
			}
		}
		l.tick([]wire.Record{{Seq: 1}})
		if b := l.take(nil); len(b) > 0 {
			t.Errorf("%d bytes while nobody watches", len(b))
		}
		l.watch("a", 2, now)
		l.tick([]wire.Record{{Seq: 2}, {Sensor: 1, Seq: 7}})
		l.tick([]wire.Record{{Seq: 3}})
		want := wire.Record{Sensor: 1, Seq: 7}.Append(wire.Record{Seq: 3, Flags: wire.Conflated}.Append(nil))
		if b := l.take(nil); !bytes.Equal(b, want) {
			t.Errorf("%x, want %x", b, want)
		}
		if n := testing.AllocsPerRun(100, func() { l.tick([]wire.Record{{Seq: 4}}) }); n > 0 {
			t.Errorf("a tick allocates %v times", n)
		}
		l.watch("a", 0, now)
		if l.watched.Load() {
			t.Error("a hub watches that has ended it")
		}
	})
}

// A storm of watches and questions costs no more than a few a second; commands behind it
// are carried out.
func TestStorm(t *testing.T) {
	r := newRig(t)
	r.startMosquitto() // the other one sends nothing more to who is behind by more than the receive maximum for a while
	h := r.newHub("hub-a")
	r.run(r.Uplink)
	h.greet()
	for range 500 {
		h.send(h.order(fleet.Watch, `{"hz":100}`))
	}
	h.send(h.order(fleet.Cmd, body(wire.Start)))
	r.command("hub-a/c1 start")
	if why := wait(t, r.refusals, "a refusal"); !strings.Contains(why, "faster than 20 a second") {
		t.Error(why)
	}
	if n := len(r.live.watches); n != 1 {
		t.Errorf("%d watches", n)
	}
}

// The news that waits is bounded; a hello replaces what was dropped.
func TestNews(t *testing.T) {
	n := newNews()
	for i := range 10 * maxNews {
		n.add([]byte(fmt.Sprint(i)))
	}
	hello := func() []byte { return []byte("hello") }
	m, greeting := n.take(hello)
	if string(m) != "hello" || !greeting {
		t.Errorf("%q, %t", m, greeting)
	}
	n.untake(m, greeting)
	for i, want := range append([]string{"hello"}, fmt.Sprint(9*maxNews), fmt.Sprint(9*maxNews+1)) {
		if m, greeting := n.take(hello); string(m) != want || greeting != (i == 0) {
			t.Errorf("%q, want %q", m, want)
		}
	}
	n.untake([]byte("back"), false)
	if m, _ := n.take(hello); string(m) != "back" {
		t.Errorf("%q", m)
	}
}

// After the first message of a connection the topic is two bytes, if the broker lets it.
func TestTopicAlias(t *testing.T) {
	bytes := func(mosquitto bool) int64 {
		r := newRig(t)
		if mosquitto {
			r.startMosquitto()
		}
		h := r.newHub("hub-a")
		r.run(r.Uplink)
		h.greet()
		h.next(fleet.News, func(b []byte) bool { return strings.HasPrefix(string(b), `{"type":"audit"`) }) // the last that it says unasked
		for range 3 {                                                                                      // the first ones say what the alias stands for
			r.MotorChanged(wire.MotorState{Target: "fan"})
			h.next(fleet.News, func(b []byte) bool { return strings.HasPrefix(string(b), `{"type":"state"`) })
		}
		before := r.bytes.Load()
		for range 100 {
			r.MotorChanged(wire.MotorState{Target: "fan"})
			h.next(fleet.News, func(b []byte) bool { return strings.HasPrefix(string(b), `{"type":"state"`) })
		}
		return (r.bytes.Load() - before) / 100
	}
	without, with := bytes(false), bytes(true)
	if spared := without - with; spared < int64(len(pi.Topic(fleet.News)))-6 || spared > int64(len(pi.Topic(fleet.News))) {
		t.Errorf("a message takes %d bytes without and %d with an alias", without, with)
	}
}

// onePart returns the blocks of a payload that has those of one sensor.
func onePart(payload []byte) (fleet.Blocks, error) {
	parts, err := fleet.ParseUp(payload)
	if err == nil && len(parts) != 1 {
		err = fmt.Errorf("%d parts", len(parts))
	}
	if err != nil {
		return fleet.Blocks{}, err
	}
	return parts[0], nil
}
