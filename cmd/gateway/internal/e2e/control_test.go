package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/audit"
	"sensorgateway/wire"
)

// party is a client in a test of control: what it is sent, by type.
type party struct {
	*websocket.Conn
	t        *testing.T
	messages chan controlMessage
	id       int
	events   []wire.Event // that came before an answer
}

type controlMessage struct {
	Type    string
	ID      int
	Payload json.RawMessage
}

// joinParty connects with a token, "" for none, and a subprotocol, "" for none.
func joinParty(t *testing.T, url, token, subprotocol string) *party {
	t.Helper()
	d := websocket.Dialer{HandshakeTimeout: patience}
	if subprotocol != "" {
		d.Subprotocols = []string{subprotocol}
	}
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(":"+token)))
	}
	c, _, err := d.Dial(url, header)
	if err != nil {
		t.Fatal(err)
	}
	p := &party{Conn: c, t: t, messages: make(chan controlMessage, 1<<12)}
	done := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		defer close(p.messages)
		for {
			kind, text, err := c.ReadMessage()
			if err != nil {
				return
			}
			var m controlMessage
			if kind == websocket.TextMessage && json.Unmarshal(text, &m) == nil && m.Type != wire.TypeSensor {
				p.messages <- m
			}
		}
	}()
	return p
}

func (p *party) next() controlMessage {
	p.t.Helper()
	select {
	case m, ok := <-p.messages:
		if !ok {
			p.t.Fatal("the connection is closed")
		}
		return m
	case <-time.After(patience):
		p.t.Fatalf("nothing came for %v", patience)
	}
	return controlMessage{}
}

// ask sends a message and returns the answer.
func (p *party) ask(kind, payload string) (a answer) {
	p.t.Helper()
	p.id++
	if err := p.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":%q,"id":%d,"payload":%s}`, kind, p.id, payload)); err != nil {
		p.t.Fatal(err)
	}
	for {
		switch m := p.next(); {
		case m.Type == wire.TypeEvent:
			p.note(m)
		case m.ID == p.id:
			a.Type = m.Type
			if err := json.Unmarshal(m.Payload, &a.Payload); err != nil {
				p.t.Fatal(err)
			}
			return a
		}
	}
}

func (p *party) note(m controlMessage) {
	var e wire.Event
	if err := json.Unmarshal(m.Payload, &e); err != nil {
		p.t.Fatal(err)
	}
	if e.Kind == wire.EventControl {
		p.events = append(p.events, e)
	}
}

// nextEvent returns the next event of control, in short.
func (p *party) nextEvent() string {
	p.t.Helper()
	for len(p.events) == 0 {
		if m := p.next(); m.Type == wire.TypeEvent {
			p.note(m)
		}
	}
	e := p.events[0]
	p.events = p.events[1:]
	text := e.Action + " " + e.Target
	for _, m := range []struct{ word, name string }{{"by", e.By}, {"from", e.From}, {"to", e.To}, {"for", e.Reason}, {"at", e.Holder}} {
		if m.name != "" {
			text += " " + m.word + " " + m.name
		}
	}
	return text
}

func (p *party) control(action string) answer {
	p.t.Helper()
	return p.ask("control", `{"action":"`+action+`","target":"motor_1","timeout_ms":10000,"allow_takeover":false}`)
}

// accepted fails the test if a message was refused, or somebody else has control afterwards.
func (p *party) accepted(a answer, has string) {
	p.t.Helper()
	got := ""
	if a.Payload.State.Control != nil {
		got = a.Payload.State.Control.By
	}
	if a.Type != "ack" || got != has {
		p.t.Fatalf("%+v, want it to be %q's", a, has)
	}
}

// TestControl is the control of a motor from outside: two operators, one with two
// connections, a viewer and one whose scope has no such motor.
func TestControl(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0", "--state", state)
	tokens, last := map[string]string{}, ""
	for name, args := range map[string]string{"anna": "--role operator", "ben": "--role operator", "viewer": "--role viewer", "carl": "--role operator --motors another"} {
		out, err := exec.Command(buildGateway(t), append([]string{"token", "add", "--state", state, name}, strings.Fields(args)...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		last = strings.TrimSpace(string(out))
		tokens[name] = last
	}
	base := strings.TrimSuffix("http"+strings.TrimPrefix(p.URL, "ws"), "/")
	awaitToken(t, routeAt(base), last)

	// ben offers no subprotocol, which means readings.v1: it gets events because it has requested control.
	anna, ben, watcher := joinParty(t, p.URL, tokens["anna"], wire.ReadingsV2), joinParty(t, p.URL, tokens["ben"], ""), joinParty(t, p.URL, tokens["viewer"], wire.ReadingsJSON)
	stranger := joinParty(t, p.URL, tokens["carl"], wire.ReadingsJSON)
	for _, c := range []*party{watcher, stranger} {
		if a := c.ask("subscribe", `{"topic":"all"}`); a.Type != "subscribed" {
			t.Fatalf("%+v", a)
		}
	}
	for c, want := range map[*party]int{watcher: http.StatusForbidden, stranger: http.StatusForbidden} {
		if a := c.control("request"); a.Payload.Code != want {
			t.Errorf("%+v", a)
		}
	}
	for payload, want := range map[string]int{
		`{"action":"request","target":"motor_9"}`:                    404,
		`{"action":"request"}`:                                       422,
		`{"action":"request","target":"motor_1","timeout_ms":2999}`:  422,
		`{"action":"request","target":"motor_1","timeout_ms":60001}`: 422,
		`{"action":"start","target":"motor_1"}`:                      404,
		`{"action":"grant","target":"motor_1"}`:                      409,
		`{"action":"release","target":"motor_1"}`:                    409,
	} {
		if a := anna.ask("control", payload); a.Type != "error" || a.Payload.Code != want {
			t.Errorf("%s: %+v, want %d", payload, a, want)
		}
	}

	anna.accepted(anna.control("request"), "anna")
	hears := func(want string, all ...*party) {
		t.Helper()
		for i, c := range all {
			if got := c.nextEvent(); got != want {
				t.Errorf("client %d: %s, want %s", i, got, want)
			}
		}
	}
	hears("grant motor_1 by anna to anna for command at anna", anna, watcher)
	start := `{"action":"start","target":"motor_1"}`
	if a := ben.ask("command", start); a.Payload.Code != 409 || !strings.Contains(a.Payload.Message, "anna") || !strings.Contains(a.Payload.Message, "request") {
		t.Errorf("%+v", a)
	}
	anna.accepted(anna.ask("command", start), "anna")
	for _, c := range []*party{ben, watcher} {
		c.accepted(c.ask("command", `{"action":"stop","target":"motor_1"}`), "anna")
	}
	ben.accepted(ben.control("request"), "anna")
	hears("request motor_1 by ben at anna", anna, ben, watcher)
	second := joinParty(t, p.URL, tokens["anna"], wire.ReadingsJSON) // another connection of anna's
	second.accepted(second.ask("command", start), "anna")
	second.accepted(second.control("grant"), "ben")
	hears("grant motor_1 by anna from anna to ben for command at ben", anna, ben, watcher)
	if a := anna.ask("command", start); a.Payload.Code != 409 {
		t.Errorf("%+v", a)
	}

	// Clients that are cut off or revoked lose control.
	anna.accepted(anna.control("request"), "ben")
	hears("request motor_1 by anna at ben", anna, ben, watcher)
	_ = ben.NetConn().Close()
	hears("grant motor_1 by ben from ben to anna for disconnect at anna", anna, watcher)
	if out, err := exec.Command(buildGateway(t), "token", "revoke", "--state", state, "anna").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	hears("release motor_1 by anna from anna for revoked", watcher)
	response, err := http.DefaultClient.Do(bearer(t, base+"/api/v1/motors", tokens["viewer"]))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || !strings.Contains(string(text), `"motor_1"`) || strings.Contains(string(text), `"control"`) {
		t.Errorf("%s, %v", text, err)
	}
	if len(stranger.events) > 0 {
		t.Errorf("out of scope: %+v", stranger.events)
	}
	for what, name := range map[string]string{
		`{"allow_takeover":false,"control":"request","target":"motor_1","timeout_ms":10000}`: "anna",
		`{"allow_takeover":false,"control":"grant","target":"motor_1","timeout_ms":10000}`:   "anna",
		`{"control":"grant","from":"ben","target":"motor_1","to":"anna"}`:                    "ben",
		`{"control":"release","from":"anna","target":"motor_1","to":""}`:                     "anna",
	} {
		await(t, "a record of "+what+" by "+name, func() bool { // clients are not told after it, where nobody commanded
			return slices.ContainsFunc(auditRecords(t, state), func(r audit.Record) bool { return string(r.What) == what && r.Name == name })
		})
	}
}

// TestControlOfWhoFallsSilent: a client that is asked for control and answers nothing, not
// even a ping, loses control before the request's time is over.
func TestControlOfWhoFallsSilent(t *testing.T) {
	t.Parallel()
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0")
	o := newMotorClient(t, p.URL)
	if a := o.ask("control", `{"action":"request","target":"motor_1"}`); a.Type != "ack" {
		t.Fatalf("%+v", a)
	}
	o.silent.Store(true)
	other := joinParty(t, p.URL, "", wire.ReadingsJSON)
	if a := other.ask("control", `{"action":"request","target":"motor_1","timeout_ms":60000}`); a.Type != "ack" || a.Payload.State.ControlRequest == nil {
		t.Fatalf("%+v", a)
	}
	if got := other.nextEvent(); !strings.HasPrefix(got, "request motor_1 by ") {
		t.Error(got)
	}
	if got := other.nextEvent(); !strings.HasPrefix(got, "grant motor_1 by ") || !strings.Contains(got, " for disconnect ") {
		t.Error(got)
	}
}

// TestControlOfWhoHasTheLease: it is asked, but on readings.v1 nothing is sent unasked.
func TestControlOfWhoHasTheLease(t *testing.T) {
	t.Parallel()
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0")
	for subprotocol, asked := range map[string]bool{wire.ReadingsV1: false, wire.ReadingsJSON: true} {
		holder, other := joinParty(t, p.URL, "", subprotocol), joinParty(t, p.URL, "", wire.ReadingsJSON)
		if a := holder.ask("command", `{"action":"start","target":"motor_1","lease_ms":60000}`); a.Type != "ack" {
			t.Fatalf("%+v", a)
		}
		if a := other.control("request"); a.Type != "ack" || a.Payload.State.Control != nil || a.Payload.State.ControlRequest == nil {
			t.Fatalf("%s: %+v", subprotocol, a)
		}
		if a := other.ask("command", `{"action":"set","target":"motor_1","speed":0.5}`); a.Payload.Code != 409 || !strings.Contains(a.Payload.Message, "is held by") {
			t.Errorf("%s: %+v", subprotocol, a)
		}
		if asked {
			if got := holder.nextEvent(); !strings.HasPrefix(got, "request motor_1 by ") {
				t.Errorf("%s: %s", subprotocol, got)
			}
		} else {
			other.nextEvent() // the event has been sent to all who get it
			if holder.ask("ping", `{}`); len(holder.events) > 0 {
				t.Errorf("%s: %+v", subprotocol, holder.events)
			}
		}
		if a := holder.control("grant"); a.Type != "ack" {
			t.Fatalf("%s: %+v", subprotocol, a)
		}
		if a := other.ask("command", `{"action":"set","target":"motor_1","speed":0.5}`); a.Type != "ack" || a.Payload.State.Holder != "" {
			t.Errorf("%s: %+v", subprotocol, a)
		}
		if a := other.control("release"); a.Type != "ack" {
			t.Errorf("%s: %+v", subprotocol, a)
		}
		other.ask("command", `{"action":"stop","target":"motor_1"}`)
	}
}

func bearer(t *testing.T, url, token string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}
