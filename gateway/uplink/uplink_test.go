package uplink

import (
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/fleet"
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
	if hello.Connection != here.Connection || hello.Nonce == "" || len(hello.Sensors) != 2 || len(hello.Motors) != 1 || len(hello.Alarms) != 1 || hello.Uplink != nil {
		t.Errorf("hello is %+v", hello)
	}
	up := h.next(fleet.Up, nil)
	blocks, err := fleet.ParseUp(up.Payload)
	if err != nil || blocks.First != 1 || up.Properties.User.Get(fleet.PropertyEpoch) != "e1" {
		t.Errorf("%+v, %v", blocks, err)
	}
	for last := blocks.Last; last < 600; last = blocks.Last {
		if blocks, err = fleet.ParseUp(h.next(fleet.Up, nil).Payload); err != nil || blocks.First != last+1 {
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
	stop()
	if p := h.next(fleet.Here, nil); string(p.Payload) != (fleet.Presence{Connection: here.Connection}).String() {
		t.Errorf("leave: %s", p.Payload)
	}
	if s, ok := r.Stats(); !ok || s.Bytes == 0 || s.Used != s.Bytes || s.Connected {
		t.Errorf("%+v", s)
	}
}
