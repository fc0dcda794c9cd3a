package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/spf13/cobra"

	"sensorgateway/wire"
)

// remotePatience is how long a test of a client waits for what must come.
const remotePatience = time.Minute

// fakePeer is the gateway's end of a connection, as a test plays it.
type fakePeer struct {
	*websocket.Conn
	t        testing.TB
	n        int // of the connection, from 0
	request  *http.Request
	received chan string // text messages; closed with the connection
	ended    error       // valid then
	closed   bool        // sent its close first
}

// fakeGateway runs endpoint for each connection. It has a certificate if secure.
func fakeGateway(t testing.TB, secure bool, endpoint func(*fakePeer)) *httptest.Server {
	t.Helper()
	var mu sync.Mutex
	n := 0
	var running sync.WaitGroup
	upgrader := websocket.Upgrader{Subprotocols: []string{wire.ReadingsV1, wire.ReadingsV2, wire.ReadingsJSON}}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.Close()
		mu.Lock()
		p := &fakePeer{Conn: ws, t: t, n: n, request: r, received: make(chan string, 256)}
		n++
		running.Add(1)
		mu.Unlock()
		defer running.Done()
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
		endpoint(p)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() {
		s.Close()
		mu.Lock() // no connection is new any more
		defer mu.Unlock()
		running.Wait()
	})
	return s
}

// strangeServer returns the URL of a server that knows no subprotocol.
func strangeServer(t testing.TB, endpoint func(*websocket.Conn)) string {
	var upgrader websocket.Upgrader
	var running sync.WaitGroup
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1) // the server waits for no connection that was upgraded
		defer running.Done()
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.Close()
		endpoint(ws)
	}))
	t.Cleanup(func() { s.Close(); running.Wait() })
	return s.URL
}

func (p *fakePeer) say(v any) {
	if err := p.WriteJSON(v); err != nil {
		p.t.Errorf("connection %d: %v", p.n, err)
	}
}

func (p *fakePeer) hello() {
	p.say(wire.Envelope{Type: "hello", Payload: wire.Hello{
		Server: "gateway", Version: "1.2.3", Epoch: "e1", Simulated: true, ClockSynced: true,
		Sensors: []wire.SensorInfo{{ID: 0, Name: "indoor", IntervalMS: 100}, {ID: 1, Name: "outdoor", IntervalMS: 100}},
	}})
}

func (p *fakePeer) records(records ...wire.Record) {
	var b []byte
	for _, r := range records {
		b = r.Append(b)
	}
	if err := p.WriteMessage(websocket.BinaryMessage, b); err != nil {
		p.t.Errorf("connection %d: %v", p.n, err)
	}
}

// next is the next message of the client, "" if there is none.
func (p *fakePeer) next() string {
	select {
	case text := <-p.received:
		return text
	case <-time.After(remotePatience):
		p.t.Errorf("connection %d: no message", p.n)
		return ""
	}
}

// wait reads until the client leaves, and returns its close code.
func (p *fakePeer) wait() int {
	for range p.received {
	}
	var closed *websocket.CloseError
	if errors.As(p.ended, &closed) {
		return closed.Code
	}
	return 0
}

func (p *fakePeer) bye(code int, reason string) {
	p.closed = true
	_ = p.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(remotePatience))
	p.wait()
}

// envelope is a message of the client's, read.
type envelope struct {
	Type    string
	ID      json.RawMessage
	Payload json.RawMessage
}

func (p *fakePeer) envelope() (e envelope) {
	text := p.next()
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		p.t.Errorf("connection %d: %v: %s", p.n, err, text)
	}
	return e
}

// syncBuffer is a buffer that two can use, one of whom waits for what the other writes.
type syncBuffer struct {
	mu  sync.Mutex
	b   bytes.Buffer
	new chan struct{} // room for one: something was written
}

func newSyncBuffer() *syncBuffer { return &syncBuffer{new: make(chan struct{}, 1)} }

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.new <- struct{}{}:
	default:
	}
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// await waits until text was written.
func (s *syncBuffer) await(t testing.TB, text string) {
	t.Helper()
	late := time.After(remotePatience)
	for !strings.Contains(s.String(), text) {
		select {
		case <-s.new:
		case <-late:
			t.Fatalf("%q was not written, but\n%s", text, s)
		}
	}
}

// clientCommand is a subcommand that runs.
type clientCommand struct {
	t              testing.TB
	stdout, stderr *syncBuffer
	interrupt      context.CancelFunc
	ended          chan error
}

func startClient(t testing.TB, construct func(Env) *cobra.Command, stdin io.Reader, args ...string) *clientCommand {
	t.Helper()
	c := &clientCommand{t: t, stdout: newSyncBuffer(), stderr: newSyncBuffer(), ended: make(chan error, 1)}
	var ctx context.Context
	ctx, c.interrupt = context.WithCancel(t.Context())
	cmd := construct(Env{Stdin: stdin, Stdout: c.stdout, Stderr: c.stderr, Getenv: func(string) string { return "" }})
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	done := make(chan struct{})
	go func() { defer close(done); c.ended <- cmd.ExecuteContext(ctx) }()
	t.Cleanup(func() { c.interrupt(); <-done })
	return c
}

func (c *clientCommand) end() error {
	c.t.Helper()
	select {
	case err := <-c.ended:
		return err
	case <-time.After(remotePatience):
		c.t.Fatalf("the command does not end; it said\n%s%s", c.stdout, c.stderr)
		return nil
	}
}

// isUsage reports whether err is about the command line.
func isUsage(err error) bool {
	var usage UsageError
	return errors.As(err, &usage)
}
