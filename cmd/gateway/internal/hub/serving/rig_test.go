package serving

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/gorilla/websocket"

	"sensorgateway/cmd/gateway/internal/metrics"
	"sensorgateway/gateway/access"
	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/conn"
	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/collect"
	"sensorgateway/gateway/hub"
	"sensorgateway/gateway/hub/demand"
	"sensorgateway/gateway/mqtt/mqtttest"
	"sensorgateway/wire"
)

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8") // unless -parallel says so: most of their time these tests wait
	m.Run()
}

const patience = 20 * time.Second

var pi = fleet.Gateway{Site: "lab", Name: "pi-7"}

// testHub is a hub with one gateway, whose messages the test publishes itself.
type testHub struct {
	t        *testing.T
	registry *hub.Registry
	stored   *collect.Collection
	gateways *Gateways
	address  string
	tokens   map[string]string // by name
	device   *paho.Client
	key      ed25519.PublicKey
	wanted   chan string // of what is only summarised
}

// want notes what a client wants, and why it cannot be had.
func (h *testHub) want(gateway string, minutes []hub.Gap, away string) demand.Answer {
	if len(minutes) > 0 {
		h.wanted <- fmt.Sprint(gateway, " ", minutes, " ", away)
	}
	return demand.Answer{Minutes: len(minutes), Why: away}
}

func startHub(t *testing.T) *testHub {
	t.Helper()
	h := &testHub{t: t, tokens: map[string]string{}, wanted: make(chan string, 100)}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	h.key = public
	if h.stored, err = collect.Open(collect.Options{Dir: t.TempDir(), Log: log}); err != nil {
		t.Fatal(err)
	}
	h.registry, err = hub.NewRegistry(hub.RegistryOptions{
		Hub: "hub-a", Key: private, Dir: t.TempDir(), Log: log,
		Check: func(fleet.Gateway) error { return nil }, Members: func() []fleet.Gateway { return []fleet.Gateway{pi} },
		Missing: func(string) ([]hub.Gap, error) { return nil, nil },
		Store: func(ctx context.Context, gateway string, b fleet.Blocks) error {
			var said []collect.Values
			for _, v := range b.Values {
				said = append(said, collect.Values(v))
			}
			if b.Heads != nil {
				return h.stored.Summarise(ctx, gateway, b.Heads, said)
			}
			return h.stored.Append(ctx, gateway, b.Blocks, said)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	err = tokens.Edit(state, func(f *tokens.File) error {
		for _, x := range []tokens.Token{{Name: "anna", Role: tokens.Operator, Gateways: []string{"site:lab"}}, {Name: "site admin", Role: tokens.Admin, Gateways: []string{"site:lab"}}, {Name: "bert", Role: tokens.Viewer, Gateways: []string{"site:roof", "pi-8"}}, {Name: "carl", Role: tokens.Viewer, Sensors: []string{"indoor"}, Motors: []string{"pump"}}} {
			text, err := f.Add(x)
			if err != nil {
				return err
			}
			h.tokens[x.Name] = text
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	refused := func(string, string, string) {}
	guard := access.NewGuard(access.Options{Policy: &access.Policy{}, Tokens: tokens.Open(state, log), Exposed: true, Hub: true, Refused: refused, Log: log})
	known := Metrics{
		Exposition: func(w io.Writer, g *hub.Remote, clients int, id *access.Identity) {
			metrics.ExposeThrough(w, g, clients, id.Sensors.Has, id.Motors.Has)
		},
		Payload: func(g *hub.Remote, clients int, m Machine, id *access.Identity) any {
			return metrics.PayloadThrough(g, clients, metrics.Machine(m), id.Sensors.Has)
		},
	}
	h.gateways = New(Options{Hub: "hub-a", Metrics: known, Gateway: h.registry.Get, Reader: h.stored.Reader, Want: h.want, Guard: guard, Clients: 2, Page: http.NotFoundHandler(), Pages: guard.Pages(), Refused: refused, Log: log})

	broker := mqtttest.Start(t, mqtttest.Options{}).Address
	in := hub.New(hub.Options{Registry: h.registry, Site: "lab", Brokers: []*url.URL{{Scheme: "mqtt", Host: broker}}})
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	for _, run := range []func(context.Context) error{in.Run, h.registry.Run, h.stored.Run, h.gateways.Run} {
		parts.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.address = l.Addr().String()
	budget := conn.NewBudget(conn.Limits{})
	server := &http.Server{Handler: h.gateways, ConnState: budget.State}
	parts.Go(func() { _ = server.Serve(budget.Listen(l)) })
	t.Cleanup(func() { cancel(); _ = server.Close(); parts.Wait() })
	h.eventually(func() (string, bool) { return "no connection to the broker", h.registry.Sites()[0].Connected })
	c, err := net.Dial("tcp", broker)
	if err != nil {
		t.Fatal(err)
	}
	h.device = paho.NewClient(paho.ClientConfig{Conn: packets.NewThreadSafeConn(c)})
	if _, err := h.device.Connect(ctx, &paho.Connect{ClientID: "pi-7", CleanStart: true, KeepAlive: 60}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.device.Disconnect(&paho.Disconnect{}) })
	return h
}

func (h *testHub) publish(k fleet.Kind, payload []byte) {
	h.t.Helper()
	p := &paho.Publish{Topic: pi.Topic(k), QoS: 1, Payload: payload}
	if k == fleet.Live {
		p.QoS = 0
	}
	if ack, err := h.device.Publish(context.Background(), p); err != nil || ack != nil && ack.ReasonCode != 0 {
		h.t.Fatalf("%s: %v, %+v", k, err, ack)
	}
}

var sensors = []wire.SensorInfo{
	{ID: 0, Name: "indoor", Model: "sht3x", IntervalMS: 100, Values: wire.Quantities()[:2]},
	{ID: 1, Name: "outdoor", Model: "sht3x", IntervalMS: 100, Primary: true, Values: wire.Quantities()[:2], Calibration: map[string]wire.Calibration{"temperature": {Scale: 1, Offset: 1}}},
}

func (h *testHub) hello(epoch string, connection uint64, all []wire.SensorInfo) {
	hello := fleet.Hello{Hello: wire.Hello{Server: "gateway", Name: "the roof", Version: "v1", Epoch: epoch, Time: time.Now().UnixMilli(), ClockSynced: true, Sensors: all,
		Motors: []wire.MotorState{{Target: "fan", Direction: wire.Forward, Reason: wire.ReasonBoot}}}, Nonce: "n" + epoch, Connection: connection, Alarms: []wire.Alarm{}}
	h.publish(fleet.News, wire.JSON(wire.Envelope{Type: wire.TypeHello, Payload: hello}))
}

// measured is a record as the chip gives it; a value as clients see it is one more.
func measured(sensor uint16, seq uint32) wire.Record {
	return wire.Record{Sensor: sensor, Seq: seq, Reading: wire.Reading{UnixMilli: 1_700_000_000_000 + int64(seq)*100, Values: [2]float32{float32(seq % 64), 50}}}
}

// up publishes a block of the epoch e1.
func (h *testHub) up(sensor uint16, from, to uint32) {
	h.t.Helper()
	h.upOf("e1", sensors[sensor], from, to)
}

func (h *testHub) upOf(epoch string, sensor wire.SensorInfo, from, to uint32) {
	h.t.Helper()
	var records []wire.Record
	var sum codec.Summary
	for seq := from; seq <= to; seq++ {
		r := measured(sensor.ID, seq)
		records = append(records, r)
		sum.Add(r)
	}
	var packer codec.Packer
	payload := fleet.AppendUpHeader(nil, []fleet.Values{{Sensor: sensor}})
	payload = packer.AppendBlock(payload, codec.Origin{Sensor: sensor.Name, Epoch: epoch, Boot: "b"}, from-1, sum, records)
	h.publish(fleet.Up, payload)
}

// summarise publishes what a block of the epoch e1 would say of a minute.
func (h *testHub) summarise(sensor uint16, from, to uint32) {
	h.t.Helper()
	var sum codec.Summary
	for seq := from; seq <= to; seq++ {
		sum.Add(measured(sensor, seq))
	}
	origin := codec.Origin{Sensor: sensors[sensor].Name, Epoch: "e1", Boot: "b"}
	h.publish(fleet.Up, codec.AppendHeads(fleet.AppendUpHeader(nil, []fleet.Values{{Sensor: sensors[sensor]}}), []codec.Head{{Origin: origin, Summary: sum}}))
}

func (h *testHub) live(sensor uint16, seqs ...uint32) {
	for _, seq := range seqs {
		r := measured(sensor, seq)
		corrections := sensors[sensor].Calibrations()
		corrections.Apply(&r)
		h.publish(fleet.Live, r.Append(nil))
	}
}

func (h *testHub) get(path, token string) (int, string) {
	h.t.Helper()
	code, _, body := h.getWith(path, token)
	return code, body
}

func (h *testHub) getWith(path, token string) (code int, header http.Header, body string) {
	h.t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+h.address+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+h.tokens[token])
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(all)
}

// await waits for an answer that has a text.
func (h *testHub) await(path, token, want string) (body string) {
	h.t.Helper()
	h.eventually(func() (string, bool) {
		_, body = h.get(path, token)
		return path + ": " + body, strings.Contains(body, want)
	})
	return body
}

// eventually asks until the answer is right: what came over the broker is seen in nothing else.
func (h *testHub) eventually(ask func() (answer string, right bool)) {
	h.t.Helper()
	again, end := time.NewTicker(time.Millisecond), time.After(patience)
	defer again.Stop()
	for {
		answer, right := ask()
		if right {
			return
		}
		select {
		case <-again.C:
		case <-end:
			h.t.Fatalf("after %v: %s", patience, answer)
		}
	}
}

// forget ends the server of the gateway, which nobody uses.
func (h *testHub) forget() {
	h.t.Helper()
	now := time.Now()
	h.eventually(func() (string, bool) {
		now = now.Add(2 * idle)
		h.gateways.endUnused(now)
		h.gateways.mu.Lock()
		defer h.gateways.mu.Unlock()
		return "the gateway is served still", len(h.gateways.served) == 0
	})
}

// client is one of the gateway on the hub.
type client struct {
	*websocket.Conn
	t          *testing.T
	hello      wire.Hello
	past, live []uint32 // of outdoor
	texts      []string
	wrong      int // values that are not what the gateway has sent
}

func (h *testHub) dial(path, token string) *client {
	h.t.Helper()
	c, _, err := (&websocket.Dialer{Subprotocols: []string{wire.ReadingsV2}, HandshakeTimeout: patience}).Dial("ws://"+h.address+path, http.Header{"Authorization": {"Bearer " + h.tokens[token]}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(patience))
	d := &client{Conn: c, t: h.t}
	_, text, err := c.ReadMessage()
	var e struct{ Payload *wire.Hello }
	e.Payload = &d.hello
	if err != nil || json.Unmarshal(text, &e) != nil {
		h.t.Fatalf("%s, %v", text, err)
	}
	return d
}

// until reads until done.
func (c *client) until(done func() bool) {
	c.t.Helper()
	for !done() {
		if err := c.next(); err != nil {
			c.t.Fatalf("%v; live %v, past %v, %s", err, c.live, c.past, c.texts)
		}
	}
}

// restarted reads until the client is closed, with 1012.
func (c *client) restarted() {
	c.t.Helper()
	var err error
	for err == nil {
		err = c.next()
	}
	if !websocket.IsCloseError(err, wire.CloseServiceRestart) {
		c.t.Fatalf("%v; live %v, past %v, %s", err, c.live, c.past, c.texts)
	}
}

// next reads a message.
func (c *client) next() error {
	c.t.Helper()
	kind, message, err := c.ReadMessage()
	if err != nil {
		return err
	}
	if kind == websocket.TextMessage {
		c.texts = append(c.texts, string(message))
		return nil
	}
	records, err := wire.ParseRecords(message)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, r := range records {
		if r.Sensor != 1 {
			continue
		}
		if r.Values[0] != float32(r.Seq%64)+1 {
			c.wrong++
		}
		if r.Flags&wire.Historical != 0 {
			c.past = append(c.past, r.Seq)
		} else {
			c.live = append(c.live, r.Seq)
		}
	}
	return nil
}

func span(from, to uint32) (all []uint32) {
	for n := from; n <= to; n++ {
		all = append(all, n)
	}
	return all
}
