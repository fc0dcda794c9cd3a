package hub

import (
	"bytes"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
)

// Probes are nothing, on any topic; what blocks say of a minute is stored, and is no
// reading yet.
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
