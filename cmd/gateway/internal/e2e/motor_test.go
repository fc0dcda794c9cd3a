package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// motorClient is a client that commands. It always reads, also while its test waits for
// something else, because a client that does not read answers no ping and is closed.
type motorClient struct {
	*websocket.Conn
	t        testing.TB
	id       int
	received chan wsMessage
	silent   atomic.Bool // it answers no more pings, like a machine that is cut off
}

type wsMessage struct {
	kind int
	data []byte
	err  error
}

func newMotorClient(t testing.TB, url string) *motorClient {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{wire.ReadingsV2}}
	c, _, err := d.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return motorClientOf(t, c)
}

// motorClientOf makes one of a connection.
func motorClientOf(t testing.TB, c *websocket.Conn) *motorClient {
	o := &motorClient{Conn: c, t: t, received: make(chan wsMessage, 1<<14)} // far more than come during a test
	answer := c.PingHandler()
	c.SetPingHandler(func(data string) error {
		if o.silent.Load() {
			return nil
		}
		return answer(data)
	})
	var reader sync.WaitGroup
	t.Cleanup(func() { c.Close(); reader.Wait() })
	reader.Go(func() {
		for {
			kind, data, err := c.ReadMessage()
			select {
			case o.received <- wsMessage{kind, data, err}:
			default:
				err = errors.New("more came than this test is made for")
			}
			if err != nil {
				close(o.received)
				return
			}
		}
	})
	return o
}

// ReadMessage returns the next message, after patience an error.
func (o *motorClient) ReadMessage() (kind int, data []byte, err error) {
	select {
	case m, ok := <-o.received:
		if !ok {
			return 0, nil, net.ErrClosed
		}
		return m.kind, m.data, m.err
	case <-time.After(patience):
		return 0, nil, fmt.Errorf("nothing came for %v", patience)
	}
}

// withoutInterlocks is the configuration of --simulate, without the condition on a sensor's
// age: on a busy machine it may not hold, and the motor would stop.
func withoutInterlocks(t testing.TB) string {
	t.Helper()
	return writeFile(t, "gateway.yaml", string(simulatedWithoutInterlocks(t)))
}

func simulatedWithoutInterlocks(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(projectRoot, "cmd/gateway/simulate.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^ *needs: .*\n`).ReplaceAll(text, nil)
}

type answer struct {
	Type    string
	ID      int
	Payload struct {
		Code    int
		Message string
		Target  string
		Running bool
		Reason  string
		State   wire.MotorState
		Kept    *bool
		Audited *bool
		Motors  []wire.MotorState
	}
}

// until reads until f is content with a text message, and with the records
// before it.
func (o *motorClient) until(f func(answer) bool, see func(wire.Record)) answer {
	o.t.Helper()
	for {
		kind, b, err := o.ReadMessage()
		if err != nil {
			o.t.Fatal(err)
		}
		if kind == websocket.BinaryMessage {
			records, err := wire.ParseRecords(b)
			if err != nil {
				o.t.Fatal(err)
			}
			for _, r := range records {
				if see != nil {
					see(r)
				}
			}
			continue
		}
		var a answer
		if err := json.Unmarshal(b, &a); err != nil {
			o.t.Fatalf("%s: %v", b, err)
		}
		if f(a) {
			return a
		}
	}
}

func (o *motorClient) send(kind, payload string) int {
	o.t.Helper()
	o.id++
	if err := o.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":%q,"id":%d,"payload":%s}`, kind, o.id, payload)); err != nil {
		o.t.Fatal(err)
	}
	return o.id
}

func (o *motorClient) ask(kind, payload string) answer {
	o.t.Helper()
	id := o.send(kind, payload)
	return o.until(func(a answer) bool { return a.ID == id }, nil)
}

func (o *motorClient) state(reason string) answer {
	o.t.Helper()
	return o.until(func(a answer) bool { return a.Type == "state" && a.Payload.Reason == reason }, nil)
}

// With the real binary, a start cools the emulated environment, which all clients see, and
// every way to lose an operator stops the motor.
func TestMotor(t *testing.T) {
	t.Parallel()
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0")
	watcher := newMotorClient(t, p.URL)
	if a := watcher.ask("subscribe", `{"topic":"motors"}`); a.Type != "subscribed" || len(a.Payload.Motors) != 1 || a.Payload.Motors[0].Running {
		t.Fatalf("subscribed %+v", a)
	}
	o := newMotorClient(t, p.URL)
	before := float32(0)
	o.until(func(answer) bool { return true }, nil) // hello
	id := o.send("command", `{"action":"start","target":"motor_1","speed":1,"lease_ms":60000}`)
	a := o.until(func(a answer) bool { return a.ID == id }, func(r wire.Record) {
		if r.Sensor == 0 && r.Fault == wire.Good {
			before = r.Values[0]
		}
	})
	if a.Type != "ack" || !a.Payload.State.Running || a.Payload.State.Speed != 1 {
		t.Fatalf("start: %+v", a)
	}
	watcher.state("command")
	for cooler := false; !cooler; {
		kind, b, err := o.ReadMessage()
		if err != nil {
			t.Fatalf("the room does not get cooler: %v", err)
		}
		if kind != websocket.BinaryMessage {
			continue
		}
		records, _ := wire.ParseRecords(b)
		for _, r := range records {
			if r.Sensor == 0 && r.Fault == wire.Good && before == 0 {
				before = r.Values[0]
			}
			cooler = cooler || r.Sensor == 0 && r.Values[0] < before-2
		}
	}
	// Another operator must not take over, but may stop.
	other := newMotorClient(t, p.URL)
	if a := other.ask("command", `{"action":"start","target":"motor_1"}`); a.Payload.Code != 409 {
		t.Errorf("another start: %+v", a)
	}
	if a := other.ask("command", `{"action":"stop","target":"motor_1"}`); a.Type != "ack" || a.Payload.State.Running {
		t.Errorf("another's stop: %+v", a)
	}
	watcher.state("command")
	// The lease ends.
	if a := o.ask("command", `{"action":"start","target":"motor_1","lease_ms":300}`); a.Type != "ack" {
		t.Fatalf("start: %+v", a)
	}
	watcher.state("command")
	watcher.state("lease")
	// The time ends.
	if a := o.ask("command", `{"action":"start","target":"motor_1","run_ms":200}`); a.Type != "ack" {
		t.Fatalf("start: %+v", a)
	}
	watcher.state("run_ms")
	// The connection ends, cut and not closed.
	if a := o.ask("command", `{"action":"start","target":"motor_1"}`); a.Type != "ack" {
		t.Fatalf("start: %+v", a)
	}
	_ = o.NetConn().Close()
	watcher.state("disconnect")
	// The emergency stop latches.
	if a := other.ask("command", `{"action":"estop"}`); a.Type != "ack" {
		t.Errorf("estop: %+v", a)
	}
	if a := other.ask("command", `{"action":"start","target":"motor_1"}`); a.Payload.Code != 409 {
		t.Errorf("start after estop: %+v", a)
	}
	if a := other.ask("command", `{"action":"reset"}`); a.Type != "ack" {
		t.Errorf("reset: %+v", a)
	}
	// The program ends, and says so before it closes.
	if a := other.ask("command", `{"action":"start","target":"motor_1"}`); a.Type != "ack" {
		t.Fatalf("start: %+v", a)
	}
	if err := p.Stop(t); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	watcher.state("shutdown")
}

// An operator whose machine is cut off is lost, and its motor stops.
func TestSilentOperator(t *testing.T) {
	t.Parallel()
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0")
	watcher := newMotorClient(t, p.URL)
	watcher.ask("subscribe", `{"topic":"motors"}`)
	o := newMotorClient(t, p.URL)
	if a := o.ask("command", `{"action":"start","target":"motor_1"}`); a.Type != "ack" {
		t.Fatalf("start: %+v", a)
	}
	o.silent.Store(true)
	watcher.state("disconnect")
}

// BenchmarkStopUnderFlood is how long a stop takes, from sending it to its
// acknowledgement, while 1,000 clients stream and one floods.
func BenchmarkStopUnderFlood(b *testing.B) {
	p := startGateway(b, buildGateway(b), "--simulate", "--config", withoutInterlocks(b), "--listen", "127.0.0.1:0")
	var readers sync.WaitGroup
	b.Cleanup(readers.Wait)
	for range 1000 {
		c, _, err := websocket.DefaultDialer.Dial(p.URL, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		readers.Go(func() {
			for buf := make([]byte, 4096); ; {
				if _, err := c.NetConn().Read(buf); err != nil {
					return
				}
			}
		})
	}
	done := make(chan struct{})
	var flood sync.WaitGroup
	flood.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			c, _, err := websocket.DefaultDialer.Dial(p.URL, nil)
			if err != nil {
				continue
			}
			for c.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping","payload":{"x":"`+strings.Repeat("x", 3000)+`"}}`)) == nil {
			}
			c.Close()
		}
	})
	defer func() { close(done); flood.Wait() }()
	// As many operators as it takes to stay below 20 messages a second each.
	var operators []*motorClient
	for range 40 {
		operators = append(operators, newMotorClient(b, p.URL))
	}
	var took []time.Duration
	pace := time.NewTicker(4 * time.Millisecond)
	defer pace.Stop()
	for n := 0; b.Loop(); n++ {
		<-pace.C
		o := operators[n%len(operators)]
		if a := o.ask("command", `{"action":"start","target":"motor_1"}`); a.Type != "ack" {
			b.Fatalf("start: %+v", a)
		}
		begin := time.Now()
		if a := o.ask("command", `{"action":"stop","target":"motor_1"}`); a.Type != "ack" {
			b.Fatalf("stop: %+v", a)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	at := func(share float64) float64 {
		return float64(took[min(int(share*float64(len(took))), len(took)-1)].Microseconds()) / 1000
	}
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.999), "p99.9-ms")
	b.ReportMetric(at(1), "max-ms")
}
