package serving

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/gorilla/websocket"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// TestMachine holds that clients of a gateway's /metrics at the hub get the numbers of its
// machine with their age, also while the gateway is away; and that the gateway is not asked
// for them without such a client.
func TestMachine(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	if _, err := h.device.Subscribe(context.Background(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: pi.Topic(fleet.Ask), QoS: 1}}}); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	h.device.AddOnPublishReceived(func(p paho.PublishReceived) (bool, error) {
		if bytes.Contains(p.Packet.Payload, []byte(`"body":{"ask":"machine"`)) {
			asked.Add(1)
		}
		go func() {
			_, _ = h.device.Publish(context.Background(), &paho.Publish{Topic: pi.AnswerTopic("hub-a"), QoS: 1, Payload: []byte(`{"type":"machine","payload":{"cpu_temperature_celsius":48.5}}`),
				Properties: &paho.PublishProperties{CorrelationData: p.Packet.Properties.CorrelationData}})
		}()
		return true, nil
	})
	h.publish(fleet.Here, []byte("online 1"))
	h.hello("e1", 1, sensors)
	h.await("/gateways/pi-7/metrics", "anna", "gateway_hub_connected 1")
	_ = h.dial("/gateways/pi-7/", "anna")
	if n := asked.Load(); n != 0 {
		t.Errorf("it was asked %d times although nobody looks", n)
	}
	c, _, err := websocket.DefaultDialer.Dial("ws://"+h.address+"/gateways/pi-7/metrics", http.Header{"Authorization": {"Bearer " + h.tokens["carl"]}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	until := func(texts ...string) {
		t.Helper()
		for {
			_, text, err := c.ReadMessage()
			if err != nil {
				t.Fatalf("%q has not come: %v", texts, err)
			}
			all := true
			for _, want := range texts {
				all = all && strings.Contains(string(text), want)
			}
			if all {
				return
			}
		}
	}
	until(`"cpu_temperature_celsius":48.5,"machine_age_seconds":`)
	h.publish(fleet.Here, []byte("offline 1"))
	until(`"cpu_temperature_celsius":48.5,"machine_age_seconds":`, `"machine_reason":"pi-7 is away since`)
	if n := asked.Load(); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
}

// TestMachineEveryMinute holds how often a gateway is asked, and what is known meanwhile.
func TestMachineEveryMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked int
		var away string
		var numbers []byte
		var refused error
		begin := time.Now()
		m := &machine{}
		m.of(func(ctx context.Context) ([]byte, error) { asked++; return numbers, refused }, func() string { return away })
		look := func(seconds int) (known Machine) {
			for range seconds {
				m.known()
				time.Sleep(time.Second)
			}
			synctest.Wait()
			return m.newest
		}
		numbers = []byte(`{}`)
		if m := look(59); asked != 1 || string(m.Numbers) != `{}` || !m.At.Equal(begin) || m.Why != nil {
			t.Errorf("asked %d times, %+v", asked, m)
		}
		time.Sleep(time.Hour) // nobody looks
		away = "it is away"
		if m := m.known(); asked != 1 || m.Why == nil || m.Why.Error() != away || string(m.Numbers) != `{}` {
			t.Errorf("asked %d times, %+v", asked, m)
		}
		away = ""
		for _, tt := range []struct {
			err  error
			want string
		}{
			{wire.Errorf(503, "the bytes of this month are nearly used"), "the bytes of this month are nearly used"},
			{wire.Errorf(404, "ask: unknown question"), "the gateway's version does not say how its machine is; fix: update it"},
			{nil, "the gateway has sent none"},
		} {
			asked, numbers, refused = 0, nil, tt.err
			if m := look(60); asked != 1 || m.Why == nil || m.Why.Error() != tt.want || !m.At.Equal(begin) {
				t.Errorf("asked %d times, %+v, want %q", asked, m, tt.want)
			}
		}
		m.end()
		if look(60); asked != 1 {
			t.Error("it is asked although nobody may look any more")
		}
	})
}

// TestMachineEnds holds that whoever ends a gateway's server does not wait for its answer.
func TestMachineEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{}
		m.of(func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, context.Cause(ctx) }, func() string { return "" })
		m.known()
		m.end()
		if !errors.Is(m.newest.Why, context.Canceled) {
			t.Error(m.newest.Why)
		}
	})
}
