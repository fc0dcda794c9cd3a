package hub

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/query"
	"sensorgateway/gateway/uplink"
	"sensorgateway/gateway/uplink/ship"
	"sensorgateway/wire"
)

// noReadings is a log with none.
type noReadings struct{}

func (noReadings) Names() []string { return []string{"indoor"} }
func (noReadings) Blocks(string, func(string, uint32, uint32) bool) func() (query.Block, error) {
	return func() (query.Block, error) { return query.Block{}, io.EOF }
}

// gatewayUplink is a gateway's real uplink, which counts what it is told to do.
type gatewayUplink struct {
	*uplink.Uplink
	starts, stops atomic.Int64
	lost          chan string
}

func startUplink(t *testing.T, broker string) *gatewayUplink {
	t.Helper()
	clock := func() (time.Time, bool) { return time.Now(), true }
	quiet := slog.New(slog.DiscardHandler)
	shipper, err := ship.New(ship.Options{Feed: noReadings{}, Clock: clock, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	u := &gatewayUplink{lost: make(chan string, 100)}
	motors := func() []wire.MotorState { return []wire.MotorState{fan} }
	u.Uplink = uplink.New(uplink.Options{
		Identity: func() (*uplink.Identity, error) {
			return &uplink.Identity{Gateway: pi, Brokers: []*url.URL{{Scheme: "mqtt", Host: broker}}, Keys: func() []ed25519.PublicKey { return []ed25519.PublicKey{hubKey.Public().(ed25519.PublicKey)} }}, nil
		},
		Sensors: 1, Clock: clock, Feed: noReadings{}, Shipper: shipper, Log: quiet,
		Hello: func() wire.Hello {
			return wire.Hello{Server: "gateway", Epoch: "e", Time: time.Now().UnixMilli(), ClockSynced: true, Sensors: []wire.SensorInfo{{Name: "indoor", IntervalMS: 100}}, Motors: motors()}
		},
		Machine: func() any { return map[string]float64{"load1": 0.5} },
		Motors:  motors, Alarms: func() (all, recent []wire.Alarm) { return nil, nil }, Audit: func() (fleet.AuditHead, bool) { return fleet.AuditHead{Seq: 3, Hash: "ff"}, true },
		Command: func(_ uplink.Operator, c wire.Command) (any, error) {
			switch c.Action {
			case wire.Start:
				u.starts.Add(1)
			case wire.Stop:
				u.stops.Add(1)
			}
			return wire.Ack{Action: c.Action, Target: c.Target, Status: "ok"}, nil
		},
		Lost: func(operator string) { u.lost <- operator }, Refused: func(string, string) {}, Event: func(wire.Event) {},
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := u.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return u
}

// TestHostileBroker holds that whoever controls the broker, and so has each order that a hub
// has ever sent, cannot make a gateway start anything: not by an order that is late, recorded,
// changed, retained, for another gateway, or signed with a key that is no hub's.
func TestHostileBroker(t *testing.T) {
	t.Parallel()
	cases := 1000
	if os.Getenv("GATEWAY_TEST_SOAK") != "" {
		cases = 10_000
	}
	broker := startBroker(t)
	h := newHub(t, t.TempDir())
	h.run(broker)
	u := startUplink(t, broker)
	r := h.remote()
	h.await("hello", func() bool { _, some := r.Hello(); return some })

	// The tap is at the broker: it sees all orders, and publishes what it likes.
	tap := h.startDevice(broker, "tap", nil)
	var mu sync.Mutex
	var recorded [][]byte
	tap.answerWith(nil)
	tap.client.AddOnPublishReceived(func(p paho.PublishReceived) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		if p.Packet.Topic == pi.Topic(fleet.Cmd) && len(p.Packet.Payload) > 0 {
			recorded = append(recorded, bytes.Clone(p.Packet.Payload))
		}
		return true, nil
	})
	good := int64(0)
	command := func() {
		t.Helper()
		answer, err := r.Command(t.Context(), "ahmet", "c1", []byte(start))
		if err != nil || decode(t, answer).Type != wire.TypeAck {
			t.Fatalf("%s, %v", answer, err)
		}
		good++
	}
	command()
	h.await("the order at the tap", func() bool { mu.Lock(); defer mu.Unlock(); return len(recorded) > 0 })
	hello, _ := r.Hello()
	thief := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
	random := rand.New(rand.NewPCG(16, 16))
	pace := time.NewTicker(60 * time.Millisecond) // a gateway carries out 20 commands of a hub a second
	defer pace.Stop()
	for n := range cases {
		// Among them, the hub's own are carried out. No more than the receive maximum, 64, are
		// on their way: mochi loses count of what a client that is further behind may be sent.
		if n%50 == 49 {
			<-pace.C
			command()
		}
		mu.Lock()
		payload := recorded[random.IntN(len(recorded))]
		mu.Unlock()
		p := &paho.Publish{Topic: pi.Topic(fleet.Cmd), QoS: 1, Payload: payload}
		order := fleet.Order{
			Site: pi.Site, Gateway: pi.Name, Kind: fleet.Cmd, Hub: "hub-a", Nonce: hello.Nonce, Counter: uint64(time.Now().UnixMicro()),
			Expires: time.Now().Add(4 * time.Second).UnixMilli(), Body: json.RawMessage(start),
		}
		key := hubKey // the other defects are signed by the hub, as by mistake, except the thief's
		switch random.IntN(8) {
		case 0: // as it was
		case 1:
			p.Payload = bytes.Clone(payload)
			p.Payload[random.IntN(len(payload))] ^= 1 << random.IntN(8)
		case 2:
			p.Payload = payload[:random.IntN(len(payload))]
		case 3:
			p.Topic = []string{pi.Topic(fleet.Ask), pi.Topic(fleet.Watch), fleet.Gateway{Site: "lab", Name: fleet.All}.Topic(fleet.Ask)}[random.IntN(3)]
		case 4:
			key, p.Payload = thief, nil
		case 5:
			order.Expires, p.Payload = time.Now().Add(-time.Duration(random.IntN(1000)+1)*time.Millisecond).UnixMilli(), nil
		case 6:
			order.Gateway, p.Payload = "pi-8", nil
		case 7:
			order.Nonce, p.Payload = fmt.Sprint(n), nil
		}
		if p.Payload == nil {
			var err error
			if p.Payload, err = fleet.Sign(key, order); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := tap.client.Publish(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	command()
	if got := u.starts.Load(); got != good {
		t.Errorf("%d starts were carried out, want the %d that the hub has sent", got, good)
	}
	// A recorded stop is carried out: whoever has it can keep motors off.
	if _, err := r.Command(t.Context(), "ahmet", "", []byte(stop)); err != nil {
		t.Fatal(err)
	}
	var recordedStop []byte
	h.await("the stop at the tap", func() bool {
		mu.Lock()
		defer mu.Unlock()
		recordedStop = recorded[len(recorded)-1]
		return bytes.Contains(recordedStop, []byte(`"stop"`))
	})
	before := u.stops.Load()
	if _, err := tap.client.Publish(t.Context(), &paho.Publish{Topic: pi.Topic(fleet.Cmd), QoS: 1, Payload: recordedStop}); err != nil {
		t.Fatal(err)
	}
	h.await("the stop", func() bool { return u.stops.Load() == before+1 })
}

// TestUplink holds that a hub and a gateway's uplink understand each other: hello, the audit
// log's end, ticks while somebody watches, commands, and the end of a client.
func TestUplink(t *testing.T) {
	broker := startBroker(t)
	h := newHub(t, t.TempDir())
	h.run(broker)
	u := startUplink(t, broker)
	r := h.remote()
	h.await("hello, presence and the head", func() bool {
		_, some := r.Hello()
		r.mu.Lock()
		defer r.mu.Unlock()
		return some && r.presence.State == Here && r.head != nil && r.head.Seq == 3
	})
	records := make(chan wire.Record, 1000)
	stopListening := r.Listen(Listener{Records: func(_ []wire.SensorInfo, all []wire.Record) {
		for _, x := range all {
			select {
			case records <- x:
			default:
			}
		}
	}})
	defer stopListening()
	seq := uint32(0)
	h.await("a tick", func() bool {
		seq++
		u.Tick([]wire.Record{{Seq: seq, Reading: wire.Reading{UnixMilli: time.Now().UnixMilli(), Values: [2]float32{20, 50}}}}, time.Now().UnixNano())
		return len(records) > 0
	})
	if x := <-records; x.Values != [2]float32{20, 50} {
		t.Errorf("%+v", x)
	}
	if answer, err := r.Command(t.Context(), "ahmet", "c1", []byte(start)); err != nil || decode(t, answer).Type != wire.TypeAck {
		t.Fatalf("%s, %v", answer, err)
	}
	r.Lost("c1")
	select {
	case <-u.lost:
	case <-time.After(patience):
		t.Error("the gateway is not told that the client was lost")
	}
	if err := r.AskReadings(t.Context(), "indoor", "e", 0, 100); err != nil {
		t.Errorf("readings: %v", err)
	}
	if numbers, err := r.AskMachine(t.Context()); err != nil || string(numbers) != `{"load1":0.5}` {
		t.Errorf("the machine: %s, %v", numbers, err)
	}
}
