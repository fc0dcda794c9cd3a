package hub

import (
	"bytes"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
)

// Probes have no effect, on any topic; the heads of blocks are stored, and count as no
// readings yet.
func TestProbesAndHeads(t *testing.T) {
	broker := startBroker(t)
	h := newHub(t, t.TempDir())
	h.run(broker)
	d := h.startDevice(broker, "n1", nil)
	for _, k := range []fleet.Kind{fleet.Up, fleet.News, fleet.Here, fleet.Live} {
		d.send(k, []byte(fleet.Probe))
	}
	d.publish(&paho.Publish{Topic: pi.AnswerTopic("hub-a"), Payload: []byte(fleet.Probe)})
	heads := codec.AppendHeads(nil, []codec.Head{{Origin: codec.Origin{Sensor: "indoor", Epoch: "e", Boot: "b"}, Summary: codec.Summary{First: 1, Last: 2, From: 1000, To: 1100, Good: 2}}})
	d.send(fleet.Up, append(fleet.AppendUpHeader(nil, nil), heads...))
	h.await("the heads", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.stored) == 1 && bytes.Equal(h.stored[0].Heads, heads)
	})
	if o := h.remote().Overview(); o.Presence.State != Never || o.Stored != 0 {
		t.Errorf("%+v", o)
	}
}

// Readings that were asked for come out of order: they are no reason to ask for others, and
// those that come in order count afterwards.
func TestAskedOutOfTurn(t *testing.T) {
	h := newHub(t, t.TempDir())
	r := h.g.remote(pi)
	for i, x := range []struct {
		first, last uint32
		asked       bool
		checks      int // whether what is missing was to be found out
		good        uint64
	}{
		{101, 200, true, 0, 0},
		{1, 100, false, 1, 100}, // the first since the start
		{501, 600, true, 0, 100},
		{101, 200, false, 0, 200},
		{501, 600, false, 1, 300}, // the gateway has evicted what is between
	} {
		blocks, err := fleet.ParseUp(upOf(x.first-1, x.first, x.last))
		if err != nil {
			t.Fatal(err)
		}
		r.durable(blocks[0], x.asked)
		checks := len(h.g.checks)
		if checks > 0 {
			<-h.g.checks
		}
		if good := r.Measured("indoor").Good; checks != x.checks || good != x.good {
			t.Errorf("step %d: %d checks and %d readings, want %d and %d", i, checks, good, x.checks, x.good)
		}
	}
}
