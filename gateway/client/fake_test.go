package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// A fake gateway whose sockets are pipes, so that it lives on fake time, inside
// the bubble of synctest.

var errRefused = errors.New("connection refused")

// pipes is a network of one listener.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.done:
		return nil, errRefused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serverConn is the server's end of a connection.
type serverConn struct {
	*websocket.Conn
	t        *testing.T
	n        int         // of the connection, from 0
	received chan string // text messages; closed with the connection
	ended    error       // valid then
	pongs    chan string
	rude     atomic.Bool // answers no close frame
}

func (p *serverConn) say(v any) {
	if err := p.WriteJSON(v); err != nil {
		p.t.Errorf("connection %d: %v", p.n, err)
	}
}

func (p *serverConn) hello() { p.helloOf("e1") }

func (p *serverConn) helloOf(epoch string) {
	p.say(wire.Envelope{Type: "hello", Payload: wire.Hello{Server: "gateway", Epoch: epoch, Sensors: []wire.SensorInfo{
		{ID: 0, Name: "indoor"}, {ID: 1, Name: "outdoor"},
	}}})
}

// resumption takes the request to replay, which must be as it is said, and
// returns what answers it.
func (p *serverConn) resumption(want string) (answer func(kind, payload string)) {
	e := p.next()
	if e.Type != "subscribe" || string(e.Payload) != want || e.ID == "" {
		p.t.Errorf("connection %d: %s %s %s, want subscribe with an id and %s", p.n, e.Type, e.ID, e.Payload, want)
	}
	return func(kind, payload string) {
		p.say(wire.Envelope{Type: kind, ID: json.RawMessage(`"` + e.ID + `"`), Payload: json.RawMessage(payload)})
	}
}

func (p *serverConn) records(records ...wire.Record) {
	var b []byte
	for _, r := range records {
		b = r.Append(b)
	}
	if err := p.WriteMessage(websocket.BinaryMessage, b); err != nil {
		p.t.Errorf("connection %d: %v", p.n, err)
	}
}

func (p *serverConn) bye(code int, reason string) {
	_ = p.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(time.Second))
	p.wait()
}

// wait reads until the connection ends, and returns the close code.
func (p *serverConn) wait() int {
	for range p.received {
	}
	var closed *websocket.CloseError
	if errors.As(p.ended, &closed) {
		return closed.Code
	}
	return 0
}

// next is the next message of the client.
func (p *serverConn) next() (e struct {
	Type, ID string
	Payload  json.RawMessage
}) {
	text, ok := <-p.received
	if !ok {
		p.t.Errorf("connection %d ended: %v", p.n, p.ended)
		return e
	}
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		p.t.Errorf("connection %d: %v in %s", p.n, err, text)
	}
	return e
}

// serve is a fake gateway in front of l, whose connections talk.
func serve(t *testing.T, l net.Listener, talk func(*serverConn)) {
	var mu sync.Mutex
	n := 0
	var talks sync.WaitGroup
	upgrader := websocket.Upgrader{Subprotocols: []string{wire.ReadingsV1, wire.ReadingsV2, wire.ReadingsJSON}}
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return // not hijacked
		}
		defer talks.Done()
		mu.Lock()
		p := &serverConn{Conn: ws, t: t, n: n, received: make(chan string, 64), pongs: make(chan string, 64)}
		n++
		mu.Unlock()
		defer ws.Close()
		polite := ws.CloseHandler()
		ws.SetCloseHandler(func(code int, reason string) error {
			if p.rude.Load() {
				return nil
			}
			return polite(code, reason)
		})
		ws.SetPongHandler(func(data string) error { p.pongs <- data; return nil })
		go func() {
			defer close(p.received)
			for {
				_, text, err := ws.ReadMessage()
				if err != nil {
					p.ended = err
					return
				}
				p.received <- string(text)
			}
		}()
		talk(p)
	})}
	server.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew: // told by Serve, so never after its end
			talks.Add(1)
		case http.StateClosed:
			talks.Done()
		}
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-served; talks.Wait() })
}

// bubble runs a client against talk, on fake time, and check with it. The client
// ends with check, if not before.
func bubble(t *testing.T, o Options, talk func(*serverConn), check func(c *run)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		serve(t, p, talk)
		start(t, o, p.dial, check)
	})
}

// run is a client that runs.
type run struct {
	*Client
	t      *testing.T
	events chan Event
	ended  chan error // what Run returned
	stop   context.CancelFunc
}

func start(t *testing.T, o Options, dial func(context.Context, string, string) (net.Conn, error), check func(*run)) {
	t.Helper()
	if o.URL == "" {
		o.URL = "ws://gateway.test/"
	}
	r := &run{t: t, events: make(chan Event, 1000), ended: make(chan error, 1)}
	if o.Handle == nil {
		o.Handle = func(e Event) { r.events <- e }
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(t.Context())
	r.Client = New(o)
	r.netDial = dial
	done := make(chan struct{})
	go func() { defer close(done); r.ended <- r.Run(ctx) }()
	check(r)
	r.stop()
	<-done
}

// patience is how long a test waits for an event.
const patience = time.Hour // of fake time

// next is the next event, which must be of type T.
func next[T Event](r *run) (e T) {
	r.t.Helper()
	select {
	case event := <-r.events:
		e, ok := event.(T)
		if !ok {
			r.t.Fatalf("%T %+v, want %T", event, event, e)
		}
		return e
	case <-time.After(patience):
		r.t.Fatalf("no %T within %v", e, patience)
	}
	return e
}

// end waits for the end of Run.
func (r *run) end() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(patience):
		r.t.Fatal("Run does not end")
		return nil
	}
}
