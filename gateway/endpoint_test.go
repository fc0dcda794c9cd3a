package gateway

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/access"
	"sensorgateway/gateway/conn"
	"sensorgateway/gateway/inbox"
	"sensorgateway/wire"
)

// diagnostics lets a server have /echo and /relay.
func diagnostics(o *Options) { o.Diagnostics = true }

// Without diagnostics, /echo and /relay are unknown.
func TestNoDiagnostics(t *testing.T) {
	s := start(t)
	for _, path := range []string{"/echo", "/relay"} {
		s.dial(path).wantClose(wire.ClosePolicy, wire.CloseReasonEndpoint)
		res, err := http.Get("http://" + s.addr + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %d, want 404", path, res.StatusCode)
		}
	}
}

// One long message is under way at a time, whoever sends it; short ones pass it.
func TestLongMessagesInTurn(t *testing.T) {
	s := start(t, diagnostics)
	first, second := s.dial("/echo"), s.dial("/echo")
	first.SetReadLimit(64 << 20)
	second.SetReadLimit(64 << 20)
	half, err := first.NextWriter(websocket.BinaryMessage)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := half.Write(make([]byte, 2*inbox.LongMessage)); err != nil {
		t.Fatal(err)
	}
	s.until("the first is under way", func() bool { return len(s.echoRules.Long) == 1 })
	if got := second.ask("short"); got != "short" {
		t.Errorf("%q", got)
	}
	sent := make(chan error, 1)
	go func() { sent <- second.WriteMessage(websocket.BinaryMessage, make([]byte, 8<<20)) }()
	_ = second.NetConn().SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := second.NetConn().Read(make([]byte, 1)); n > 0 {
		t.Fatalf("it does not wait for the first: %v", err)
	}
	_ = second.NetConn().SetReadDeadline(time.Now().Add(patience))
	if err := half.Close(); err != nil {
		t.Fatal(err)
	}
	if got := first.read(websocket.BinaryMessage); len(got) != 2*inbox.LongMessage {
		t.Errorf("%d bytes came back", len(got))
	}
	if got := second.read(websocket.BinaryMessage); len(got) != 8<<20 {
		t.Errorf("%d bytes came back", len(got))
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func TestEcho(t *testing.T) {
	s := start(t, diagnostics)
	c := s.dial("/echo")
	c.SetReadLimit(64 << 20)
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20, 16 << 20} {
		for _, kind := range []int{websocket.TextMessage, websocket.BinaryMessage} {
			want := bytes.Repeat([]byte{'x'}, size)
			_ = c.SetReadDeadline(time.Now().Add(patience))
			sent := make(chan error, 1)
			go func() { sent <- c.WriteMessage(kind, want) }()
			if got := c.read(kind); !bytes.Equal(got, want) {
				t.Fatalf("%d bytes came back as %d", size, len(got))
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 200 { // no rate limit
		if err := c.WriteMessage(websocket.TextMessage, []byte("é")); err != nil {
			t.Fatal(err)
		}
		if got := c.read(websocket.TextMessage); string(got) != "é" {
			t.Fatalf("%q", got)
		}
	}
	for range 3 {
		s.dial("/echo")
	}
	if _, res, err := websocket.DefaultDialer.Dial("ws://"+s.addr+"/echo", nil); err == nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a fifth echo: %v %v", res, err)
	}
	if err := c.WriteMessage(websocket.TextMessage, []byte("\xff")); err != nil {
		t.Fatal(err)
	}
	c.wantClose(wire.CloseInvalidText, "")
	s.wantClients(3)
	big := s.dial("/echo")
	go func() { _ = big.WriteMessage(websocket.BinaryMessage, make([]byte, 16<<20+1)) }()
	big.wantClose(wire.CloseTooBig, "")
}

// While a long message goes out, a ping waits; it never comes in between.
func TestPingDuringALongEcho(t *testing.T) {
	s := start(t, diagnostics)
	c := s.dial("/echo")
	c.SetReadLimit(64 << 20)
	pinged := make(chan struct{}, 1)
	c.SetPingHandler(func(string) error { pinged <- struct{}{}; return nil })
	want := bytes.Repeat([]byte{'x'}, 8<<20)
	var writing sync.WaitGroup
	writing.Go(func() { _ = c.WriteMessage(websocket.BinaryMessage, want) })
	var e *session
	s.broadcaster.each(func(x *session) { e = x })
	_, message, err := c.NextReader() // it has begun
	if err != nil {
		t.Fatal(err)
	}
	s.broadcaster.check(e.pinged.Add(pingEvery), true)
	if got, err := io.ReadAll(message); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("torn: %d bytes, %v", len(got), err)
	}
	writing.Wait()
	writing.Go(func() { _ = c.WriteMessage(websocket.TextMessage, nil) })
	c.read(websocket.TextMessage)
	<-pinged
	writing.Wait()
}

func TestRelay(t *testing.T) {
	s := start(t, diagnostics)
	a, b, c := s.dial("/relay"), s.dial("/relay"), s.dial("/relay")
	for i, kind := range []int{websocket.TextMessage, websocket.BinaryMessage} {
		if err := a.WriteMessage(kind, []byte{'0' + byte(i)}); err != nil {
			t.Fatal(err)
		}
		for _, other := range []*client{b, c} {
			if got := other.read(kind); string(got) != string([]byte{'0' + byte(i)}) {
				t.Errorf("relayed %q", got)
			}
		}
	}
	for range maxRelayed - 3 {
		s.connect("/relay", websocket.Dialer{})
	}
	if _, res, err := websocket.DefaultDialer.Dial("ws://"+s.addr+"/relay", nil); err == nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one more: %v %v", res, err)
	}
	if err := b.WriteMessage(websocket.TextMessage, []byte("back")); err != nil {
		t.Fatal(err)
	}
	if got := a.read(websocket.TextMessage); string(got) != "back" { // its own never came
		t.Errorf("a got %q", got)
	}
}

func TestMetricsEndpoint(t *testing.T) {
	s := start(t, func(o *Options) {
		o.Metrics = func(*access.Identity) any { return map[string]int{"clients": 1} }
		o.Exposition = func(w io.Writer, _ *access.Identity) { _, _ = io.WriteString(w, "gateway_ws_clients 1\n") }
	})
	c := s.dial("/metrics")
	for range 2 {
		for range checksASecond {
			s.checks <- time.Now()
		}
		if got := string(c.read(websocket.TextMessage)); got != `{"type":"metrics","payload":{"clients":1}}` {
			t.Errorf("metrics %s", got)
		}
	}
	res, err := http.Get("http://" + s.addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	if string(b) != "gateway_ws_clients 1\n" || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("%s %v", b, res.Header)
	}
}

// shouter is an endpoint of another package that answers in capitals.
type shouter struct {
	client Sender
	left   chan struct{}
}

func (s shouter) Message(text []byte) {
	if string(text) == "bye" {
		s.client.Close(wire.ClosePolicy, "Nick taken")
		return
	}
	s.client.Send(bytes.ToUpper(text))
}
func (s shouter) Left() { close(s.left) }

func TestEndpointsFromOutside(t *testing.T) {
	left := make(chan struct{})
	s := start(t, diagnostics, func(o *Options) {
		o.Endpoints = map[string]func(Sender, *http.Request, *access.Identity) Receiver{"/chat": func(c Sender, _ *http.Request, _ *access.Identity) Receiver { return shouter{c, left} }}
	})
	c := s.dial("/chat")
	if got := c.ask("hi"); got != "HI" {
		t.Errorf("%q", got)
	}
	s.tick() // is not for it
	if err := c.WriteMessage(websocket.TextMessage, []byte("bye")); err != nil {
		t.Fatal(err)
	}
	c.wantClose(wire.ClosePolicy, "Nick taken")
	<-left
	for _, path := range []string{"/chat", "/echo", "/relay"} {
		res, err := http.Get("http://" + s.addr + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusUpgradeRequired || res.Header.Get("Upgrade") != "websocket" {
			t.Errorf("GET %s: %d", path, res.StatusCode)
		}
	}
}

// An endpoint of another package may begin with more than is ever queued for a client.
func TestLongBegin(t *testing.T) {
	const texts, size = 100, 2 << 10
	s := start(t, func(o *Options) {
		o.Endpoints = map[string]func(Sender, *http.Request, *access.Identity) Receiver{"/chat": func(c Sender, r *http.Request, _ *access.Identity) Receiver {
			for range texts {
				c.SendLong(bytes.Repeat([]byte(r.URL.Query().Get("letter")), size))
			}
			c.Send([]byte("all"))
			return shouter{c, make(chan struct{})}
		}}
	})
	c := &client{s.connect("/chat?letter=x", websocket.Dialer{}), t}
	for range texts {
		if got := c.read(websocket.TextMessage); len(got) != size || got[0] != 'x' {
			t.Fatalf("%d bytes", len(got))
		}
	}
	if got := c.read(websocket.TextMessage); string(got) != "all" {
		t.Errorf("then %q", got)
	}
}

// A browser fails a handshake that does not confirm one of the subprotocols that it
// offered, whatever the path carries.
func TestSubprotocolOnEveryPath(t *testing.T) {
	s := start(t, diagnostics, func(o *Options) {
		o.Endpoints = map[string]func(Sender, *http.Request, *access.Identity) Receiver{"/chat": func(c Sender, _ *http.Request, _ *access.Identity) Receiver { return shouter{c, make(chan struct{})} }}
		o.Metrics = func(*access.Identity) any { return nil }
	})
	for _, path := range []string{"/", "/sensors/indoor", "/chat", "/echo", "/relay", "/metrics", "/nope"} {
		c := s.connect(path, websocket.Dialer{Subprotocols: []string{"mqtt", wire.ReadingsJSON, wire.ReadingsV2}})
		if c.Subprotocol() != wire.ReadingsJSON {
			t.Errorf("%s: subprotocol %q is confirmed, want %s", path, c.Subprotocol(), wire.ReadingsJSON)
		}
	}
	c := &client{s.connect("/chat", websocket.Dialer{Subprotocols: []string{wire.ReadingsV2}}), t}
	if got := c.ask("hi"); got != "HI" { // and no hello before it
		t.Errorf("%q", got)
	}
}

// A million frames without payload in one message are found by their bytes.
func TestEmptyContinuations(t *testing.T) {
	s := start(t)
	c := s.raw()
	c.open(masked(0x01, "")...)
	flood := bytes.Repeat(masked(0x00, ""), 1000)
	go func() {
		for range 1000 {
			if _, err := c.Write(flood); err != nil {
				return
			}
		}
	}()
	for {
		op, payload, err := c.frame()
		if err != nil {
			t.Fatal(err)
		}
		if op == conn.OpClose {
			if string(payload[:2]) != "\x03\xf0" {
				t.Errorf("closed with %q, want 1008", payload)
			}
			return
		}
	}
}

func TestPingFlood(t *testing.T) {
	s := start(t)
	c := s.raw()
	c.open(bytes.Repeat(masked(0x89, "x"), 21)...)
	for pongs := 0; ; pongs++ {
		op, payload, err := c.frame()
		if err != nil {
			t.Fatal(err)
		}
		if op == conn.OpClose {
			if string(payload[:2]) != "\x03\xf0" || pongs != 20 {
				t.Errorf("closed with %q after %d pongs, want 1008 after 20", payload, pongs)
			}
			return
		}
	}
}
