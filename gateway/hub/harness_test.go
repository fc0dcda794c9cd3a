package hub

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/mqtt/mqtttest"
	"sensorgateway/wire"
)

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8") // unless -parallel is given: these tests spend most of their time waiting
	m.Run()
}

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

var (
	pi     = fleet.Gateway{Site: "lab", Name: "pi-7"}
	hubKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
)

// startBroker returns the address of a broker.
func startBroker(t testing.TB) string {
	t.Helper()
	return mqtttest.Start(t, mqtttest.Options{}).Address
}

// testHub is a hub whose clock the test may set forward, and which stores in memory.
type testHub struct {
	t       testing.TB
	g       *Registry
	dir     string
	ahead   atomic.Int64 // of the clock, ns
	members []fleet.Gateway

	mu     sync.Mutex
	stored []fleet.Blocks
	refuse func(fleet.Blocks) error // nil: nothing; why blocks are not stored
	gaps   []Gap
	unsure error // why it cannot be found out which gaps there are
	checks int   // how often somebody tried
}

func newHub(t testing.TB, dir string) *testHub {
	t.Helper()
	h := &testHub{t: t, dir: dir, members: []fleet.Gateway{pi}}
	var err error
	h.g, err = NewRegistry(RegistryOptions{
		Hub: "hub-a", Key: hubKey, Dir: dir, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Check: func(at fleet.Gateway) error {
			for _, m := range h.members {
				if m == at {
					return nil
				}
			}
			return errors.New("it is not one of the fleet")
		},
		Members: func() []fleet.Gateway { return h.members },
		Now:     func() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) },
		Store: func(_ context.Context, _ string, b fleet.Blocks) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.refuse != nil {
				if err := h.refuse(b); err != nil {
					return err
				}
			}
			h.stored = append(h.stored, b)
			return nil
		},
		Missing: func(string) ([]Gap, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.checks++
			return h.gaps, h.unsure
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// run runs the hub with an intake of the site lab, until the test or stop ends it.
func (h *testHub) run(broker string) (stop func()) {
	in := New(Options{Registry: h.g, Site: "lab", Brokers: []*url.URL{{Scheme: "mqtt", Host: broker}}})
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { _ = in.Run(ctx) })
	parts.Go(func() { _ = h.g.Run(ctx) })
	stop = func() { cancel(); parts.Wait() }
	h.t.Cleanup(stop)
	h.await("the connection to the broker", func() bool { return h.g.Sites()[0].Connected })
	return stop
}

func (h *testHub) await(what string, is func() bool) { await(h.t, what, is) }

func await(t testing.TB, what string, is func() bool) {
	t.Helper()
	again, late := time.NewTicker(time.Millisecond), time.After(patience)
	defer again.Stop()
	for !is() {
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("%s has not come", what)
		}
	}
}

// remote returns the gateway when something of it has come.
func (h *testHub) remote() *Remote {
	h.t.Helper()
	var r *Remote
	h.await("the gateway", func() (ok bool) { r, ok = h.g.Get(pi.Name); return ok })
	return r
}

// device is a gateway that publishes what it is told to, and verifies the orders that come.
type device struct {
	t        testing.TB
	client   *paho.Client
	nonce    string
	verifier *fleet.Verifier
	orders   chan fleet.Order // that are carried out
	ended    atomic.Bool

	mu sync.Mutex
	// answer, unless nil, is called with each order that is carried out or refused.
	answer func(d *device, o fleet.Order, err error, p *paho.Publish)
}

// startDevice connects a device with the hub's clock.
func (h *testHub) startDevice(broker, nonce string, answer func(*device, fleet.Order, error, *paho.Publish)) *device {
	t := h.t
	t.Helper()
	conn, err := net.Dial("tcp", broker)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	d := &device{
		t: t, nonce: nonce, orders: make(chan fleet.Order, 1000), answer: answer,
		verifier: &fleet.Verifier{
			Gateway: pi, Nonce: nonce, Keys: func() []ed25519.PublicKey { return []ed25519.PublicKey{hubKey.Public().(ed25519.PublicKey)} },
			Clock: func() fleet.Clock {
				return fleet.Clock{Unix: h.g.o.Now().UnixMilli(), Synced: true, Uptime: time.Since(began).Milliseconds()}
			},
		},
	}
	d.client = paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(conn),
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			d.order(p.Packet)
			return true, nil
		}},
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := d.client.Connect(ctx, &paho.Connect{ClientID: "pi-7-" + nonce, CleanStart: true, KeepAlive: 60}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.end)
	var all []paho.SubscribeOptions
	for _, f := range pi.Orders() {
		all = append(all, paho.SubscribeOptions{Topic: f, QoS: 1})
	}
	if _, err := d.client.Subscribe(ctx, &paho.Subscribe{Subscriptions: all}); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *device) end() {
	d.ended.Store(true)
	_ = d.client.Disconnect(&paho.Disconnect{})
}

func (d *device) order(p *paho.Publish) {
	o, _, err := d.verifier.Verify(fleet.Message{Topic: p.Topic, Payload: p.Payload, Retained: p.Retain})
	if err == nil {
		select {
		case d.orders <- o:
		default: // the test does not read them
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if answer := d.answer; answer != nil {
		go answer(d, o, err, p) // on its own goroutine, because it waits for the broker
	}
}

// answerWith sets how orders are answered from now on.
func (d *device) answerWith(answer func(*device, fleet.Order, error, *paho.Publish)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = answer
}

// reply answers an order.
func (d *device) reply(p *paho.Publish, payload []byte) {
	d.publish(&paho.Publish{Topic: p.Properties.ResponseTopic, Payload: payload, Properties: &paho.PublishProperties{CorrelationData: p.Properties.CorrelationData}})
}

func (d *device) publish(p *paho.Publish) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p.QoS = 1
	if _, err := d.client.Publish(ctx, p); err != nil && !d.ended.Load() {
		d.t.Errorf("%s: %v", p.Topic, err)
	}
}

func (d *device) send(k fleet.Kind, payload []byte) {
	d.publish(&paho.Publish{Topic: pi.Topic(k), Payload: payload})
}

// here sends that the device is connected, and its hello.
func (d *device) here(connection uint64) {
	d.send(fleet.Here, []byte(fleet.Presence{Online: true, Connection: connection}.String()))
	d.hello(connection)
}

func (d *device) hello(connection uint64) { d.send(fleet.News, helloOf(d.nonce, connection)) }

// next returns the next order of a kind that is carried out.
func (d *device) next(kind fleet.Kind) fleet.Order {
	d.t.Helper()
	for late := time.After(patience); ; {
		select {
		case o := <-d.orders:
			if o.Kind == kind {
				return o
			}
		case <-late:
			d.t.Fatalf("no %s has come", kind)
		}
	}
}

var fan = wire.MotorState{Target: "fan", Direction: wire.Forward, Reason: wire.ReasonBoot, TS: 1_700_000_000}

func helloOf(nonce string, connection uint64) []byte {
	return wire.JSON(wire.Envelope{Type: wire.TypeHello, Payload: fleet.Hello{
		Hello: wire.Hello{Server: "gateway", Name: "greenhouse", Version: "v1", Epoch: "e", Time: time.Now().UnixMilli(), ClockSynced: true,
			Sensors: []wire.SensorInfo{{ID: 3, Name: "indoor", IntervalMS: 100, Values: wire.Quantities()[:2]}}, Motors: []wire.MotorState{fan}},
		Nonce: nonce, Connection: connection, Alarms: []wire.Alarm{{Name: "hot", State: wire.AlarmRaised, Severity: wire.SeverityCritical, Since: 1_700_000_000}},
	}})
}

// upOf returns a payload of records of the sensor indoor with the numbers from one to another,
// of which prev is the one before.
func upOf(prev, first, last uint32) []byte {
	var packer codec.Packer
	var sum codec.Summary
	var records []wire.Record
	now := time.Now().UnixMilli()
	for n := first; n <= last; n++ {
		r := wire.Record{Seq: n, Reading: wire.Reading{Values: [2]float32{20, 50}, UnixMilli: now + int64(n) - int64(last)}}
		sum.Add(r)
		records = append(records, r)
	}
	values := []fleet.Values{{Sensor: wire.SensorInfo{Values: wire.Quantities()[:2], Calibration: map[string]wire.Calibration{"temperature": {Scale: 1, Offset: 1}}}}}
	return packer.AppendBlock(fleet.AppendUpHeader(nil, values), codec.Origin{Sensor: "indoor", Epoch: "e", Boot: "b"}, prev, sum, records)
}

func ack(action string) []byte {
	return wire.JSON(wire.Envelope{Type: wire.TypeAck, ID: json.RawMessage("1"), Payload: wire.Ack{Action: action, Status: "ok"}})
}
