package uplink

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/query"
	"sensorgateway/gateway/mqtt/mqtttest"
	"sensorgateway/gateway/uplink/ship"
	"sensorgateway/wire"
)

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8") // unless -parallel is given: these tests spend most of their time waiting
	m.Run()
}

const patience = 20 * time.Second // longer than anything here takes on a busy machine

var pi = fleet.Gateway{Site: "lab", Name: "pi-7"}

var hubKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))

// readings is a log of readings, of one sensor and epoch.
type readings struct {
	mu     sync.Mutex
	blocks []query.Block
}

// add adds a block of n records.
func (r *readings) add(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := uint32(1)
	if len(r.blocks) > 0 {
		first = r.blocks[len(r.blocks)-1].Last + 1
	}
	var s codec.Summary
	records := make([]wire.Record, n)
	for i := range records {
		seq := first + uint32(i)
		records[i] = wire.Record{Seq: seq, Reading: wire.Reading{Values: [2]float32{float32(seq*2654435761>>20) / 100, 50}, UnixMilli: 1_700_000_000_000 + 100*int64(seq)}}
		s.Add(records[i])
	}
	raw := new(codec.Packer).AppendBlock(nil, codec.Origin{Sensor: "indoor", Epoch: "e1", Boot: "b", Offset: 1_699_999_000_000}, first-1, s, records)
	r.blocks = append(r.blocks, query.Block{Sensor: "indoor", Epoch: "e1", First: s.First, Last: s.Last, Records: n, From: s.From, To: s.To, Bytes: raw})
}

func (*readings) Names() []string { return []string{"indoor"} }

func (r *readings) Blocks(_ string, wants func(string, uint32, uint32) bool) func() (query.Block, error) {
	i := 0
	return func() (query.Block, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for ; i < len(r.blocks); i++ {
			if b := r.blocks[i]; wants(b.Epoch, b.First, b.Last) {
				i++
				return b, nil
			}
		}
		return query.Block{}, io.EOF
	}
}

// rig is a gateway's uplink and a broker.
type rig struct {
	*testing.T
	*Uplink
	broker   *mqtttest.Broker
	hook     *hook
	address  *url.URL
	readings *readings

	events   chan wire.Event
	commands chan string // "ID action", and "lost ID"
	refusals chan string
	synced   atomic.Bool
	budget   int64 // bytes a month; 0: no limit
	answer   func(Operator, wire.Command) (any, error)
}

// hook is what the broker does in addition.
type hook struct {
	broker.HookBase
	reason atomic.Pointer[packets.Code] // of PUBACKs; nil: the broker's own
	ended  chan bool                    // a connection of the gateway has ended; whether the broker keeps its will
}

func (h *hook) Provides(b byte) bool { return b == broker.OnPublish || b == broker.OnDisconnect }
func (h *hook) OnPublish(_ *broker.Client, p packets.Packet) (packets.Packet, error) {
	if code := h.reason.Load(); code != nil && strings.HasPrefix(p.TopicName, "gw/v1/lab/pi-7/") {
		return p, *code
	}
	return p, nil
}

func (h *hook) OnDisconnect(c *broker.Client, _ error, _ bool) {
	if c.ID == pi.Name {
		h.ended <- atomic.LoadUint32(&c.Properties.Will.Flag) != 0
	}
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, readings: &readings{}, events: make(chan wire.Event, 100), commands: make(chan string, 1000), refusals: make(chan string, 1000), hook: &hook{ended: make(chan bool, 100)}}
	r.synced.Store(true)
	r.startBroker("")
	r.Uplink = r.newUplink()
	return r
}

// startBroker starts a broker within the process, at the address of an earlier one if there was one.
func (r *rig) startBroker(address string) {
	r.Helper()
	r.broker = mqtttest.Start(r, mqtttest.Options{Address: address, Hooks: []broker.Hook{r.hook}})
	if address == "" { // else it is the same, and the uplink reads it
		r.address = &url.URL{Scheme: "mqtt", Host: r.broker.Address}
	}
}

func (r *rig) newUplink() *Uplink {
	clock := func() (time.Time, bool) { return time.Now(), r.synced.Load() }
	shipper, err := ship.New(ship.Options{Feed: r.readings, Budget: r.budget, Clock: clock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		r.Fatal(err)
	}
	return New(Options{
		Identity: func() (*Identity, error) {
			return &Identity{Gateway: pi, Brokers: []*url.URL{r.address}, Keys: func() []ed25519.PublicKey { return []ed25519.PublicKey{hubKey.Public().(ed25519.PublicKey)} }}, nil
		},
		Sensors: 2, Clock: clock, Feed: r.readings, Shipper: shipper, Log: slog.New(slog.DiscardHandler),
		Hello: func() wire.Hello {
			return wire.Hello{Server: "gateway", Epoch: "e1", ClockSynced: r.synced.Load(), Sensors: []wire.SensorInfo{{Name: "indoor"}, {ID: 1, Name: "outdoor"}}, Motors: []wire.MotorState{{Target: "fan"}}}
		},
		Motors:  func() []wire.MotorState { return []wire.MotorState{{Target: "fan"}} },
		Machine: func() any { return map[string]float64{"load1": 0.5} },
		Alarms:  func() (all, recent []wire.Alarm) { return []wire.Alarm{{Name: "hot"}}, []wire.Alarm{{Name: "cold"}} },
		Audit:   func() (fleet.AuditHead, bool) { return fleet.AuditHead{Seq: 3, Hash: "ff"}, true },
		Command: func(o Operator, c wire.Command) (any, error) {
			r.commands <- o.ID + " " + c.Action
			if r.answer != nil {
				return r.answer(o, c)
			}
			return wire.Ack{Action: c.Action, Target: c.Target, Status: "ok", Warning: c.Warning}, nil
		},
		Lost:    func(id string) { r.commands <- "lost " + id },
		Refused: func(hub, why string) { r.refusals <- hub + ": " + why },
		Event:   func(e wire.Event) { r.events <- e },
	})
}

// startMosquitto starts Mosquitto as the broker, which reports that nobody subscribes, and
// knows topic aliases.
func (r *rig) startMosquitto() {
	r.Helper()
	m := mqtttest.StartMosquitto(r, "allow_anonymous true", "retain_available false")
	r.address = &url.URL{Scheme: "mqtt", Host: m.Address}
}

// run runs an uplink until the function that it returns is called.
func (r *rig) run(u *Uplink) (stop func()) {
	ctx, cancel := context.WithCancel(r.Context())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.Error(err)
		}
	})
	r.Cleanup(stop)
	return stop
}

// hub is a hub at the broker.
type hub struct {
	*rig
	name     string
	client   *paho.Client
	messages chan *paho.Publish
	waiting  []*paho.Publish // that next has skipped
	counter  uint64
	nonce    string
	uptime   int64
	since    time.Time
}

// newHub connects a hub, whose session begins anew.
func (r *rig) newHub(name string) *hub {
	r.Helper()
	h := &hub{rig: r, name: name, messages: make(chan *paho.Publish, 10_000)}
	conn, err := net.Dial("tcp", r.address.Host)
	if err != nil {
		r.Fatal(err)
	}
	h.client = paho.NewClient(paho.ClientConfig{Conn: conn, PacketTimeout: patience, OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
		h.messages <- p.Packet
		return true, nil
	}}})
	if _, err := h.client.Connect(r.Context(), &paho.Connect{ClientID: name, KeepAlive: 30, CleanStart: true}); err != nil {
		r.Fatal(err)
	}
	s := &paho.Subscribe{}
	for _, filter := range fleet.Filters(pi.Site, name) {
		s.Subscriptions = append(s.Subscriptions, paho.SubscribeOptions{Topic: filter, QoS: 1})
	}
	if _, err := h.client.Subscribe(r.Context(), s); err != nil {
		r.Fatal(err)
	}
	r.Cleanup(h.leave)
	return h
}

func (h *hub) leave() { _ = h.client.Disconnect(&paho.Disconnect{}) }

// next returns the next message of a kind for which take returns true; others wait for
// another call.
func (h *hub) next(kind fleet.Kind, take func(payload []byte) bool) *paho.Publish {
	h.Helper()
	fits := func(p *paho.Publish) bool {
		t, err := fleet.ParseTopic(p.Topic)
		if err != nil {
			h.Fatalf("a message on %q: %v", p.Topic, err)
		}
		return t.Kind == kind && (take == nil || take(p.Payload))
	}
	if i := slices.IndexFunc(h.waiting, fits); i >= 0 {
		p := h.waiting[i]
		h.waiting = slices.Delete(h.waiting, i, i+1)
		return p
	}
	late := time.After(patience)
	for {
		select {
		case p := <-h.messages:
			if fits(p) {
				return p
			}
			h.waiting = append(h.waiting, p)
		case <-late:
			h.Fatalf("no such message on %s came; %d others did", kind, len(h.waiting))
		}
	}
}

// greet waits for hello.
func (h *hub) greet() *fleet.Hello {
	h.Helper()
	p := h.next(fleet.News, func(b []byte) bool { return bytes.HasPrefix(b, []byte(`{"type":"hello"`)) })
	n, err := fleet.ParseNews(p.Payload)
	if err != nil {
		h.Fatal(err)
	}
	h.nonce, h.uptime, h.since = n.Hello.Nonce, n.Hello.UptimeMS, time.Now()
	return n.Hello
}

// order returns a valid order.
func (h *hub) order(kind fleet.Kind, body string) fleet.Order {
	h.counter++
	return fleet.Order{
		Site: pi.Site, Gateway: pi.Name, Kind: kind, Hub: h.name, Nonce: h.nonce, Counter: h.counter, Expires: time.Now().Add(20 * time.Second).UnixMilli(),
		By: "ahmet", Client: "c1", Body: json.RawMessage(body),
	}
}

// send signs and sends an order.
func (h *hub) send(o fleet.Order) {
	h.Helper()
	payload, err := fleet.Sign(hubKey, o)
	if err != nil {
		h.Fatal(err)
	}
	h.publish(pi.Topic(o.Kind), payload, false)
}

func (h *hub) publish(topic string, payload []byte, retain bool) {
	h.Helper()
	if _, err := h.client.Publish(h.Context(), &paho.Publish{Topic: topic, QoS: 1, Payload: payload, Retain: retain, Properties: &paho.PublishProperties{CorrelationData: []byte("c0ffee")}}); err != nil {
		h.Fatal(err)
	}
}

// answered returns the next answer's payload.
func (h *hub) answered() string {
	h.Helper()
	p := h.next(fleet.Answer, nil)
	if string(p.Properties.CorrelationData) != "c0ffee" {
		h.Errorf("the answer has the correlation data %q", p.Properties.CorrelationData)
	}
	return string(p.Payload)
}

// wait returns the next value of a channel.
func wait[T any](t *testing.T, from <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatalf("no %s", what)
	}
	return v
}

// event waits for an event of a kind.
func (r *rig) event(kind string) wire.Event {
	r.Helper()
	for {
		if e := wait(r.T, r.events, "event "+kind); e.Kind == kind {
			return e
		}
	}
}

// command waits for the next command, or loss, of an operator.
func (r *rig) command(want string) {
	r.Helper()
	if got := wait(r.T, r.commands, want); got != want {
		r.Errorf("%q, want %q", got, want)
	}
}

func body(action string) string {
	return fmt.Sprintf(`{"type":"command","id":7,"payload":{"action":%q,"target":"fan"}}`, action)
}
