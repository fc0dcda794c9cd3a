package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// patience is how long a test waits for what must come; nothing waits for it to pass.
const patience = time.Minute

type testServer struct {
	*Server
	checks chan<- time.Time // lets the broadcaster check its sessions; in benchmarks it does so by itself
	t      testing.TB
	addr   string
	seq    uint32
	trust  *tls.Config // its clients'; nil without TLS
}

func start(t testing.TB, change ...func(*Options)) *testServer {
	t.Helper()
	return startChecked(t, checksASecond, change...)
}

// startChecked starts a server whose checks come so often by themselves.
func startChecked(t testing.TB, aSecond int, change ...func(*Options)) *testServer {
	t.Helper()
	opts := Options{
		Version: "1.2.3", Epoch: "e1", Simulated: true, Primary: 1,
		Sensors: []wire.SensorInfo{
			{ID: 0, Name: "indoor", Model: "SHT3x", IntervalMS: 100, NextSeq: 7},
			{ID: 1, Name: "outdoor", Model: "BME280", IntervalMS: 100, NextSeq: 7, Primary: true},
		},
		ClockSynced: func() bool { return true },
		Alive:       func() error { return nil },
		Page:        http.NotFoundHandler(),
		Log:         slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&opts)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	checks := make(chan time.Time)
	server := newServer(opts, checks, aSecond)
	if _, measured := t.(*testing.B); measured {
		server = New(opts)
	}
	s := &testServer{Server: server, checks: checks, t: t, addr: l.Addr().String(), seq: 7}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if s.stopping.Load() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-served); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return s
}

// tick publishes a record of every sensor, and returns them when they are broadcast.
func (s *testServer) tick() (records []wire.Record) {
	for i := range s.opts.Sensors {
		records = append(records, wire.Record{Sensor: uint16(i), Flags: wire.Simulated, Seq: s.seq,
			Reading: wire.Reading{Values: [2]float32{20.5 + float32(i), 40}, UnixMilli: int64(s.seq) * 100}})
	}
	s.seq++
	s.Publish(records)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); runtime.Gosched() {
		if r, ok := s.broadcaster.Newest(0); ok && r.Seq == records[0].Seq {
			return records
		}
	}
	s.t.Fatal("the broadcaster is stuck")
	return nil
}

type client struct {
	*websocket.Conn
	t testing.TB
}

func (s *testServer) dial(path string, protocols ...string) *client {
	s.t.Helper()
	c := s.connect(path, websocket.Dialer{Subprotocols: protocols})
	_ = c.SetReadDeadline(time.Now().Add(patience))
	cl := &client{c, s.t}
	if c.Subprotocol() == wire.ReadingsV2 || c.Subprotocol() == wire.ReadingsJSON {
		return cl // its hello says that it is subscribed
	}
	s.joined()
	return cl
}

// connect connects a client, which need not be subscribed when it returns.
func (s *testServer) connect(path string, d websocket.Dialer) *websocket.Conn {
	s.t.Helper()
	scheme := "ws://"
	if d.TLSClientConfig = s.trust; s.trust != nil {
		scheme = "wss://"
	}
	c, _, err := d.Dial(scheme+s.addr+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// dialSmall subscribes a client for which the kernel keeps little that it has not
// read.
func (s *testServer) dialSmall(protocol string) *websocket.Conn {
	s.t.Helper()
	c := s.connect("/", websocket.Dialer{Subprotocols: []string{protocol}, NetDial: func(network, addr string) (net.Conn, error) {
		c, err := net.Dial(network, addr)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		return c, err
	}})
	s.joined()
	return c
}

// withAndWithoutTLS tests both kinds of server.
func withAndWithoutTLS(t *testing.T, test func(*testing.T, *testServer), change ...func(*Options)) {
	t.Run("plain", func(t *testing.T) { test(t, start(t, change...)) })
	t.Run("TLS", func(t *testing.T) {
		borrowed := httptest.NewTLSServer(nil) // its certificate
		defer borrowed.Close()
		s := start(t, append(change, func(o *Options) { o.TLS = &tls.Config{Certificates: borrowed.TLS.Certificates} })...)
		s.trust = borrowed.Client().Transport.(*http.Transport).TLSClientConfig
		test(t, s)
	})
}

// joined waits until every upgraded client is subscribed or sent away.
func (s *testServer) joined() {
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		n := 0
		s.broadcaster.each(func(*session) { n++ })
		if n >= s.Clients() || time.Now().After(deadline) {
			return
		}
	}
}

func (c *client) read(kind int) []byte {
	c.t.Helper()
	k, b, err := c.ReadMessage()
	if err != nil || k != kind {
		c.t.Fatalf("message of kind %d, %v, want kind %d", k, err, kind)
	}
	return b
}

func (c *client) wantClose(code int, reason string) *websocket.CloseError {
	c.t.Helper()
	for {
		_, _, err := c.ReadMessage()
		if err == nil {
			continue
		}
		var closed *websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != code || !strings.Contains(closed.Text, reason) {
			c.t.Fatalf("%v, want close %d %q", err, code, reason)
		}
		return closed
	}
}
