package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

func TestV1IsTheDefaultAndOneSensor(t *testing.T) {
	s := start(t)
	for _, tt := range []struct {
		path      string
		protocols []string
		sensor    int
		chosen    string
	}{
		{"/", nil, 1, ""},
		{"/", []string{"mqtt"}, 1, ""},
		{"/", []string{"readings.v1"}, 1, "readings.v1"},
		{"/", []string{"mqtt", "readings.v1", "readings.v2"}, 1, "readings.v1"},
		{"/sensors/indoor", nil, 0, ""},
		{"/sensors/outdoor", nil, 1, ""},
	} {
		c := s.dial(tt.path, tt.protocols...)
		if c.Subprotocol() != tt.chosen {
			t.Errorf("%s %v: subprotocol %q, want %q", tt.path, tt.protocols, c.Subprotocol(), tt.chosen)
		}
		for range 3 {
			want := s.tick()[tt.sensor].Reading.Append(nil)
			if got := c.read(websocket.BinaryMessage); string(got) != string(want) {
				t.Errorf("%s: % x, want % x", tt.path, got, want)
			}
		}
	}
}

func TestV2SaysHelloAndSendsATickAMessage(t *testing.T) {
	s := start(t)
	c := s.dial("/", wire.ReadingsV2)
	var hello struct {
		Type    string
		Payload wire.Hello
	}
	raw := c.read(websocket.TextMessage)
	if err := json.Unmarshal(raw, &hello); err != nil || hello.Type != "hello" {
		t.Fatalf("%s: %v", raw, err)
	}
	p := hello.Payload
	outdoor := s.opts.Sensors[1]
	outdoor.Values = []wire.Quantity{wire.Temperature, wire.Humidity}
	if p.Version != "1.2.3" || p.Epoch != "e1" || !p.Simulated || !p.ClockSynced || len(p.Sensors) != 2 || p.Motors == nil ||
		!reflect.DeepEqual(p.Sensors[1], outdoor) || time.Since(time.UnixMilli(p.Time)).Abs() > time.Minute {
		t.Errorf("hello %s", raw)
	}
	for range 3 {
		want := s.tick()
		got, err := wire.ParseRecords(c.read(websocket.BinaryMessage))
		if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("%+v %v, want %+v", got, err, want)
		}
	}
	// The hello of the next client has the number that comes next.
	one := s.dial("/sensors/outdoor", wire.ReadingsV2)
	raw = one.read(websocket.TextMessage)
	if err := json.Unmarshal(raw, &hello); err != nil || len(hello.Payload.Sensors) != 2 {
		t.Fatalf("%s: %v", raw, err)
	}
	next := hello.Payload.Sensors[1].NextSeq
	want := s.tick()
	got, err := wire.ParseRecords(one.read(websocket.BinaryMessage))
	if err != nil || len(got) != 1 || got[0] != want[1] || got[0].Seq != next {
		t.Errorf("%+v %v, want %+v with the number %d", got, err, want[1], next)
	}
}

func TestJSON(t *testing.T) {
	s := start(t)
	c := s.dial("/", wire.ReadingsJSON)
	if hello := c.read(websocket.TextMessage); !strings.Contains(string(hello), `"hello"`) {
		t.Errorf("first message %s", hello)
	}
	s.tick()
	for _, want := range []string{
		`{"type":"sensor","payload":{"sensor":"indoor","temp":20.5,"unit":"C","humidity":40,"ts":0.700,"seq":7}}`,
		`{"type":"sensor","payload":{"sensor":"outdoor","temp":21.5,"unit":"C","humidity":40,"ts":0.700,"seq":7}}`,
	} {
		if got := c.read(websocket.TextMessage); string(got) != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestUnknownEndpoint(t *testing.T) {
	s := start(t)
	for _, path := range []string{"/nope", "/sensors/", "/sensors/nope", "/sensors/indoor/x", "/healthz"} {
		c := s.dial(path, "mqtt", wire.ReadingsV2)
		if c.Subprotocol() != wire.ReadingsV2 { // a browser would fail, and not show why
			t.Errorf("%s: subprotocol %q is confirmed, want %s", path, c.Subprotocol(), wire.ReadingsV2)
		}
		c.wantClose(wire.ClosePolicy, "Unknown endpoint")
	}
}

func TestWhatAClientMayNotSend(t *testing.T) {
	s := start(t)
	for _, tt := range []struct {
		name string
		kind int
		data string
		code int
	}{
		{"binary", websocket.BinaryMessage, "x", wire.CloseUnsupported},
		{"empty binary", websocket.BinaryMessage, "", wire.CloseUnsupported},
		{"not UTF-8", websocket.TextMessage, "\xff", wire.CloseInvalidText},
		{"half a code point", websocket.TextMessage, "caf\xc3", wire.CloseInvalidText},
		{"too big", websocket.TextMessage, strings.Repeat("x", 4097), wire.CloseTooBig},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := s.dial("/")
			if err := c.WriteMessage(tt.kind, []byte(tt.data)); err != nil {
				t.Fatal(err)
			}
			c.wantClose(tt.code, "")
		})
	}
}

func TestWhatCannotBeDoneIsAnswered(t *testing.T) {
	s := start(t)
	c := s.dial("/")
	for _, tt := range []struct{ sent, want string }{
		{"hello", `{"type":"error","payload":{"code":400,"message":"Invalid JSON"}}`},
		{"", `{"type":"error","payload":{"code":400,"message":"Invalid JSON"}}`},
		{`{"type":"fly"}`, `{"type":"error","payload":{"code":404,"message":"Unknown type: fly"}}`},
		{strings.Repeat(" ", 4080) + `{"type":"fly"} `, `{"type":"error","payload":{"code":404,"message":"Unknown type: fly"}}`},
	} {
		if err := c.WriteMessage(websocket.TextMessage, []byte(tt.sent)); err != nil {
			t.Fatal(err)
		}
		if got := c.read(websocket.TextMessage); string(got) != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
	s.tick() // and the connection is still there
	c.read(websocket.BinaryMessage)
}

func TestPlainGET(t *testing.T) {
	var alive error
	s := start(t, func(o *Options) {
		o.Alive = func() error { return alive }
		o.Page = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "page of "+r.URL.Path) })
	})
	get := func(method, path string) (int, string) {
		t.Helper()
		req, _ := http.NewRequest(method, "http://"+s.addr+path, nil)
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, strings.TrimSpace(string(b))
	}
	want := func(method, path string, code int, body string) {
		t.Helper()
		if c, b := get(method, path); c != code || !strings.Contains(b, body) {
			t.Errorf("%s %s: %d %q, want %d %q", method, path, c, b, code, body)
		}
	}
	want("GET", "/", 200, "page of /")
	want("GET", "/sensors/indoor", 503, "No reading yet")
	want("GET", "/sensors/nope", 404, "Unknown sensor: nope")
	want("GET", "/readyz", 503, "no reading yet")
	want("GET", "/healthz", 200, `"ok":true`)
	c := s.dial("/")
	s.tick()
	c.read(websocket.BinaryMessage)
	want("GET", "/sensors/indoor", 200, `{"type":"sensor","payload":{"sensor":"indoor","temp":20.5,"unit":"C","humidity":40,"ts":0.700,"seq":7}}`)
	want("HEAD", "/sensors/indoor", 200, "")
	want("POST", "/sensors/indoor", 405, "")
	want("GET", "/readyz", 200, "2 of 2 sensors measure")
	s.Publish([]wire.Record{{Sensor: 1, Fault: wire.NoAck, Seq: 8, Reading: wire.Failed(wire.NoAck, 800)}})
	c.read(websocket.BinaryMessage)
	want("GET", "/readyz", 200, "1 of 2 sensors measure (outdoor: no_ack)")
	want("GET", "/sensors/outdoor", 200, `"temp":null,"unit":"C","humidity":null,"fault":"no_ack"`)
	alive = errors.New("the scheduler of ticks is stuck")
	want("GET", "/healthz", 503, "is stuck")
}

func TestTooManyClients(t *testing.T) {
	s := start(t, func(o *Options) { o.Limits.Clients = 2 })
	s.dial("/")
	last := s.dial("/")
	_, res, err := websocket.DefaultDialer.Dial("ws://"+s.addr+"/", nil)
	if err == nil || res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("the third of two: %v %v", res, err)
	}
	s.tick()
	last.read(websocket.BinaryMessage)
}

func TestRestartTellsEveryClientItsOwnTime(t *testing.T) {
	s := start(t)
	var clients []*client
	for range 50 {
		clients = append(clients, s.dial("/"))
	}
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		done <- s.Shutdown(ctx)
	}()
	seen := map[string]bool{}
	for _, c := range clients {
		closed := c.wantClose(wire.CloseServiceRestart, "Service restart; retry_ms=")
		if seen[closed.Text] {
			t.Errorf("%q came twice", closed.Text)
		}
		seen[closed.Text] = true
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if s.Clients() != 0 {
		t.Errorf("%d clients are left", s.Clients())
	}
}

func TestNewEpochSendsAwayWhoCounts(t *testing.T) {
	s := start(t)
	v1, v2 := s.dial("/"), s.dial("/", wire.ReadingsV2)
	v2.read(websocket.TextMessage)
	s.SetEpoch("e2")
	v2.wantClose(wire.CloseServiceRestart, "retry_ms=")
	if hello := s.dial("/", wire.ReadingsV2).read(websocket.TextMessage); !strings.Contains(string(hello), `"epoch":"e2"`) {
		t.Errorf("hello %s", hello)
	}
	s.tick()
	v1.read(websocket.BinaryMessage)
}
