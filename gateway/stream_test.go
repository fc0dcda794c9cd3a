package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/access"
	"sensorgateway/wire"
)

// ask sends a request and returns the answer, which must be the next text message.
func (c *client) ask(request string) string {
	c.t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(request)); err != nil {
		c.t.Fatal(err)
	}
	return string(c.read(websocket.TextMessage))
}

// motors is a stand-in for the motors: it says yes and remembers.
type motors struct {
	mu       sync.Mutex
	commands []string
	lost     []string
	driving  bool
}

func (m *motors) options(o *Options) {
	o.Motors = m
	o.Handlers = map[string]Handler{}
	for _, action := range []string{wire.Start, wire.Stop, wire.Set, wire.Status, wire.EStop} {
		o.Handlers[action] = m.command
	}
}

func (m *motors) command(ctx context.Context, c Client, cmd wire.Command) (any, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commands = append(m.commands, cmd.Action+" "+cmd.Target+" "+cmd.ID)
	switch cmd.Target {
	case "motor_1", wire.All:
		return wire.Ack{Action: cmd.Action, Target: cmd.Target, Status: "ok", State: &wire.MotorState{Target: cmd.Target, By: c.ID}}, ctx.Err()
	case "stuck":
		return nil, wire.Errorf(503, "hardware said no")
	case "odd":
		return nil, io.ErrUnexpectedEOF
	case "mine":
		panic("mine")
	}
	return nil, wire.Errorf(404, "Unknown target: %s", cmd.Target)
}

func (m *motors) States() []wire.MotorState {
	return []wire.MotorState{{Target: "motor_1", Direction: "forward"}}
}

func (m *motors) Running(string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.driving
}

func (m *motors) Lost(id, _ string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost = append(m.lost, id)
}

// Without motors there is nothing to command, and nothing that could crash.
func TestNoMotors(t *testing.T) {
	s := start(t, func(o *Options) { o.Handlers = map[string]Handler{wire.Stop: (&motors{}).command} })
	c := s.dial("/")
	for _, tt := range []struct{ request, answer string }{
		{`{"type":"command","payload":{"action":"stop","target":"motor_1"}}`, `{"type":"ack"`},
		{`{"type":"command","payload":{"action":"start","target":"motor_1"}}`, `{"type":"error","payload":{"code":404,"message":"Unknown command"}}`},
		{`{"type":"subscribe","payload":{"topic":"motors"}}`, `{"type":"subscribed","payload":{"topic":"motors"`},
	} {
		if got := c.ask(tt.request); !strings.HasPrefix(got, tt.answer) {
			t.Errorf("%s\nanswered %s\nwant     %s", tt.request, got, tt.answer)
		}
	}
	s.broadcaster.check(time.Now(), true)
}

func TestRequests(t *testing.T) {
	m := &motors{}
	s := start(t, m.options)
	c := s.dial("/", wire.ReadingsV1)
	for _, tt := range []struct{ request, answer string }{
		{`hello`, `{"type":"error","payload":{"code":400,"message":"Invalid JSON"}}`},
		{`{"type":"fly"}`, `{"type":"error","payload":{"code":404,"message":"Unknown type: fly"}}`},
		{`{"type":"fly","id":"x"}`, `{"type":"error","id":"x","payload":{"code":404,"message":"Unknown type: fly"}}`},
		{`{"type":"command","id":1,"payload":{"action":"start","target":"motor_1","speed":0.5}}`,
			`{"type":"ack","id":1,"payload":{"action":"start","target":"motor_1","status":"ok","state":{"target":"motor_1",`},
		{`{"type":"command","id":2,"payload":{"action":"fly","target":"motor_1"}}`, `{"type":"error","id":2,"payload":{"code":404,"message":"Unknown command"}}`},
		{`{"type":"command","id":3,"payload":{"action":"start","target":"nope"}}`, `{"type":"error","id":3,"payload":{"code":404,"message":"Unknown target: nope"}}`},
		{`{"type":"command","payload":{"action":"start","target":"stuck"}}`, `{"type":"error","payload":{"code":503,"message":"hardware said no"}}`},
		{`{"type":"command","payload":{"action":"start","target":"odd"}}`, `{"type":"error","payload":{"code":500,"message":"unexpected EOF"}}`},
		{`{"type":"command"}`, `{"type":"error","payload":{"code":422,"message":"payload is missing"}}`},
		{`{"type":"ping","id":4,"payload":{"t":[1,2]}}`, `{"type":"pong","id":4,"payload":{"server_time":`},
		{`{"type":"ping"}`, `{"type":"pong","payload":{"server_time":`},
		{`{"type":"ping","payload":{"as it is":"<&>"}}`, `{"type":"pong","payload":{"as it is":"<&>","server_time":`},
		{`{"type":"ping","payload":null}`, `{"type":"pong","payload":{"server_time":`},
		{`{"type":"command","payload":null}`, `{"type":"error","payload":{"code":422,"message":"payload is missing"}}`},
		{`{"type":"ping","payload":3}`, `{"type":"error","payload":{"code":422,`},
		{`{"type":"subscribe","payload":{"topic":"nope"}}`, `{"type":"error","payload":{"code":404,"message":"Unknown topic: nope"}}`},
		{`{"type":"subscribe","payload":{"topic":"sensors/nope"}}`, `{"type":"error","payload":{"code":404,"message":"Unknown topic: sensors/nope"}}`},
		{`{"type":"subscribe","payload":{"topic":"motors"}}`, `{"type":"subscribed","payload":{"topic":"motors","motors":[{"target":"motor_1",`},
		{`{"type":"unsubscribe","id":5,"payload":{"topic":"motors"}}`, `{"type":"unsubscribed","id":5,"payload":{"topic":"motors"}}`},
	} {
		if got := c.ask(tt.request); !strings.HasPrefix(got, tt.answer) {
			t.Errorf("%s\nanswered %s\nwant     %s", tt.request, got, tt.answer)
		}
	}
	pong := c.ask(`{"type":"ping","payload":{"t":1}}`)
	var p struct {
		Payload struct{ T, Server_time int64 }
	}
	if err := json.Unmarshal([]byte(pong), &p); err != nil || p.Payload.T != 1 || time.Since(time.UnixMilli(p.Payload.Server_time)).Abs() > time.Minute {
		t.Errorf("%s %v", pong, err)
	}
	m.mu.Lock()
	if want := "[start motor_1 1 start nope 3 start stuck  start odd ]"; fmt.Sprint(m.commands) != want {
		t.Errorf("the motors saw %q, want %q", fmt.Sprint(m.commands), want)
	}
	m.mu.Unlock()
	c.Close()
	s.wantClients(0)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.lost) != 1 {
		t.Errorf("lost %v, want the operator that went", m.lost)
	}
}

func TestTopicsOnV2(t *testing.T) {
	s := start(t, (&motors{}).options)
	c := s.dial("/sensors/indoor", wire.ReadingsV2)
	c.read(websocket.TextMessage)
	want := func(sensors ...uint16) {
		t.Helper()
		s.tick()
		records, err := wire.ParseRecords(c.read(websocket.BinaryMessage))
		var got []uint16
		for _, r := range records {
			got = append(got, r.Sensor)
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(sensors) {
			t.Errorf("a tick brought %v %v, want %v", got, err, sensors)
		}
	}
	want(0)
	c.ask(`{"type":"subscribe","payload":{"topic":"sensors/outdoor"}}`)
	want(0, 1)
	c.ask(`{"type":"unsubscribe","payload":{"topic":"sensors/indoor"}}`)
	want(1)
	c.ask(`{"type":"unsubscribe","payload":{"topic":"sensors"}}`)
	s.tick()
	if got := c.ask(`{"type":"subscribe"}`); !strings.Contains(got, `"topic":"all","motors":[`) {
		t.Errorf("subscribed %s", got)
	}
	want(0, 1)
	s.State(wire.MotorState{Target: "motor_1", Running: true, Reason: "command"})
	if got := string(c.read(websocket.TextMessage)); !strings.Contains(got, `"type":"state"`) || !strings.Contains(got, `"running":true`) {
		t.Errorf("state %s", got)
	}
	c.ask(`{"type":"unsubscribe","payload":{"topic":"all"}}`)
	s.State(wire.MotorState{})
	s.Event(wire.Event{})
	s.tick()
	if got := c.ask(`{"type":"ping"}`); !strings.Contains(got, "pong") {
		t.Errorf("after unsubscribing from all came %s", got)
	}
}

func TestTopicsOnV1(t *testing.T) {
	s := start(t, (&motors{}).options)
	c := s.dial("/")
	want := func(sensor int) {
		t.Helper()
		r := s.tick()[sensor]
		if got := c.read(websocket.BinaryMessage); string(got) != string(r.Reading.Append(nil)) {
			t.Errorf("got % x, want sensor %d", got, sensor)
		}
	}
	want(1)
	s.State(wire.MotorState{}) // not asked for: nothing comes
	want(1)
	c.ask(`{"type":"subscribe","payload":{"topic":"sensors/indoor"}}`) // changes which
	want(0)
	c.ask(`{"type":"subscribe","payload":{"topic":"all"}}`) // the sensor part is its one sensor
	want(0)
	s.State(wire.MotorState{Target: "motor_1"})
	if got := string(c.read(websocket.TextMessage)); !strings.Contains(got, `"state"`) {
		t.Errorf("state %s", got)
	}
	c.ask(`{"type":"unsubscribe","payload":{"topic":"sensors"}}`)
	s.tick()
	c.ask(`{"type":"subscribe","payload":{"topic":"sensors"}}`)
	want(0)
}

func TestResumeWithoutALog(t *testing.T) {
	s := start(t)
	s.tick() // 7
	c := s.dial("/", wire.ReadingsV2)
	c.read(websocket.TextMessage)
	s.tick() // 8: whoever has it, has all
	c.read(websocket.BinaryMessage)
	for _, tt := range []struct{ since, answer string }{
		{`"epoch":"e1","since":{"indoor":8,"outdoor":8}`, `"recovered":true}`},
		{`"epoch":"e1","since":{"indoor":7,"outdoor":8}`, `"recovered":false,"from":{"indoor":9}}`},
		{`"epoch":"e0","since":{"indoor":8}`, `"recovered":false,"from":{"indoor":9}}`},
		{`"epoch":"e1","since":{"indoor":99}`, `"recovered":false,"from":{"indoor":9}}`},
		{`"epoch":"e1","since":{"nope":1}`, `"code":404`},
	} {
		if got := c.ask(`{"type":"subscribe","payload":{"topic":"sensors",` + tt.since + `}}`); !strings.Contains(got, tt.answer) {
			t.Errorf("%s: %s, want %s", tt.since, got, tt.answer)
		}
	}
}

// A client that may not command may stop; to other commands it gets 403, and it
// keeps its readings. One that may not connect gets 403 at the handshake.
type visitorsOnly struct{}

func (visitorsOnly) Identify(r *http.Request) (*access.Identity, *access.Refusal) {
	const from = "192.0.2.7, through a proxy"
	if origin := r.Header.Get("Origin"); origin != "" {
		return nil, &access.Refusal{Status: http.StatusForbidden, Reason: "origin", From: from, Err: fmt.Errorf("origin %q is not one of ours", origin)}
	}
	id := access.Anybody(from)
	id.Denied = errors.New("visitors only")
	return id, nil
}

func TestAccess(t *testing.T) {
	m := &motors{}
	refused := make(chan string, 1)
	s := start(t, m.options, func(o *Options) {
		o.Access = visitorsOnly{}
		o.Refused = func(reason, client, why string) { refused <- client + " " + reason + ": " + why }
	})
	_, res, err := websocket.DefaultDialer.Dial("ws://"+s.addr+"/", http.Header{"Origin": {"http://evil.example"}})
	if err == nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("%v %v", res, err)
	}
	if got, want := <-refused, `192.0.2.7, through a proxy origin: origin "http://evil.example" is not one of ours`; got != want {
		t.Errorf("counted %q, want %q", got, want)
	}
	c := s.dial("/")
	for _, action := range []string{"stop", "estop"} { // whoever may connect may stop
		if got := c.ask(`{"type":"command","id":1,"ts":1,"payload":{"action":"` + action + `","target":"motor_1","expires":null}}`); !strings.Contains(got, `{"type":"ack","id":1,`) {
			t.Errorf("%s: %s", action, got)
		}
	}
	for action, more := range map[string]string{"start": `,"target":"motor_1"`, "set": `,"target":"motor_1","speed":1`, "keepalive": `,"target":"motor_1"`, "reset": ""} {
		if got := c.ask(`{"type":"command","payload":{"action":"` + action + `"` + more + `}}`); !strings.Contains(got, `"code":403,"message":"visitors only"`) {
			t.Fatalf("%s: %s", action, got)
		}
		if got, want := <-refused, "192.0.2.7, through a proxy commands: visitors only"; got != want {
			t.Errorf("counted %q, want %q", got, want)
		}
	}
	if got := c.ask(`{"type":"command","payload":{"action":"status","target":"motor_1"}}`); !strings.Contains(got, `"type":"ack"`) {
		t.Errorf("status: %s", got)
	}
	for range 2 { // a client that may not command may see the motors, as often as it likes
		if got := c.ask(`{"type":"subscribe","payload":{"topic":"motors"}}`); !strings.Contains(got, `"motors":[{"target":"motor_1"`) {
			t.Errorf("subscribed to motors: %s", got)
		}
	}
	s.tick()
	c.read(websocket.BinaryMessage)
	if want := "[stop motor_1 1 estop all 1 status motor_1 ]"; fmt.Sprint(m.commands) != want {
		t.Errorf("the motors saw %v", m.commands)
	}
}

// A bug in a handler costs one client its connection, nobody else anything.
func TestPanicInAHandler(t *testing.T) {
	s := start(t, (&motors{}).options)
	other, c := s.dial("/"), s.dial("/")
	if err := c.WriteMessage(websocket.TextMessage, []byte(`{"type":"command","payload":{"action":"start","target":"mine"}}`)); err != nil {
		t.Fatal(err)
	}
	c.wantClose(wire.CloseInternal, "Internal error")
	s.wantClients(1)
	s.tick()
	other.read(websocket.BinaryMessage)
}

// Who drives a motor is pinged every second, and lost after two without a pong.
func TestOperatorIsWatchedClosely(t *testing.T) {
	t.Parallel()
	m := &motors{driving: true}
	s := start(t, m.options)
	c := s.dial("/")
	c.ask(`{"type":"command","payload":{"action":"start","target":"motor_1"}}`)
	now := time.Now().Add(2 * time.Second)
	s.broadcaster.check(now, false) // ours does not answer: nobody reads
	s.broadcaster.check(now.Add(1900*time.Millisecond), false)
	if n := s.Clients(); n != 1 {
		t.Fatalf("%d clients: lost too early", n)
	}
	s.broadcaster.check(now.Add(2*time.Second), false)
	lost := func() []string {
		m.mu.Lock()
		defer m.mu.Unlock()
		return slices.Clone(m.lost)
	}
	s.until("it is lost", func() bool { return len(lost()) > 0 })
	if n := s.Clients(); n != 1 {
		t.Errorf("%d clients: the loss has waited for the end of the connection", n)
	}
	s.wantClients(0)
	if all := slices.Compact(lost()); len(all) != 1 {
		t.Errorf("lost %v", all)
	}
}

// What an operator has sent before it saw our close frame: a stop is carried out,
// nothing else is.
func TestStopOfAnOperatorThatIsClosed(t *testing.T) {
	m := &motors{}
	s := start(t, m.options)
	c := s.dial("/")
	c.ask(`{"type":"command","payload":{"action":"start","target":"motor_1"}}`)
	s.broadcaster.each(func(c *session) { c.close(wire.CloseTooSlow, wire.CloseReasonNoPong) })
	late := append(masked(0x81, `{"type":"command","payload":{"action":"set","target":"motor_1","speed":1}}`),
		masked(0x81, `{"type":"command","payload":{"action":"estop"}}`)...)
	if _, err := c.NetConn().Write(late); err != nil {
		t.Fatal(err)
	}
	s.until("the e-stop is carried out", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return fmt.Sprint(m.commands) == "[start motor_1  estop all ]"
	})
	c.wantClose(wire.CloseTooSlow, "")
	s.wantClients(0)
}
