//go:build linux

package swarm

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// serve upgrades clients and calls take for each, on a goroutine of its own.
func serve(t *testing.T, take func(*websocket.Conn)) (addr string) {
	upgrader := websocket.Upgrader{Subprotocols: []string{"readings.v1"}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		take(c)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func dialTest(t *testing.T, addr string, clients int) *Swarm {
	t.Helper()
	s, err := Dial(Options{Addr: addr, Protocol: "readings.v1", Clients: clients, Readings: 1,
		Age: func(stamp int64) time.Duration { return time.Duration(100 - stamp) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// A tick that did not come to all clients is reported; a ping is answered; Leave sends a close frame.
func TestSwarm(t *testing.T) {
	const clients = 3
	conns, ponged, left := make(chan *websocket.Conn, clients), make(chan string, clients), make(chan error, clients)
	s := dialTest(t, serve(t, func(c *websocket.Conn) {
		c.SetPongHandler(func(payload string) error { ponged <- payload; return nil })
		conns <- c
		_, _, err := c.ReadMessage()
		left <- err
	}), clients)
	all := make([]*websocket.Conn, clients)
	for i := range all {
		all[i] = <-conns
	}
	send := func(to []*websocket.Conn, kind int, payload []byte) {
		t.Helper()
		for _, c := range to {
			if err := c.WriteMessage(kind, payload); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(all, websocket.TextMessage, []byte("hello"))
	send(all, websocket.PingMessage, []byte("there?"))
	send(all, websocket.BinaryMessage, record(0, 10)[8:])
	send(all, websocket.BinaryMessage, record(0, 30)[8:])
	send(all[1:], websocket.BinaryMessage, record(0, 40)[8:])

	seen, err := s.Read(2, time.Minute)
	if err != nil || len(seen) != 2 || seen.Delivered(clients) != nil {
		t.Fatalf("%v, %v, want two ticks that all got", seen, err)
	}
	if seen[0] != (Tick{Stamp: 10, Clients: clients, First: 90, Last: 90}) {
		t.Errorf("%+v", seen[0])
	}
	for range clients {
		if payload := <-ponged; payload != "there?" {
			t.Errorf("the pong carries %q", payload)
		}
	}
	seen, err = s.Read(1, 50*time.Millisecond)
	if err != nil || len(seen) != 1 || seen[0].Clients != clients-1 || seen.Delivered(clients) == nil {
		t.Errorf("%v, %v, want a tick that one has not got", seen, err)
	}
	if err := s.Leave(); err != nil {
		t.Error(err)
	}
	for range clients {
		if err := <-left; !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			t.Errorf("%v, want close 1000", err)
		}
	}
}

func TestSwarmNotices(t *testing.T) {
	for _, tt := range []struct {
		name string
		kind int
		send [][]byte
		want string
	}{
		{"a tick twice", websocket.BinaryMessage, [][]byte{record(0, 42)[8:], record(0, 42)[8:]}, "a tick of 42 after one of 42"},
		{"another message", websocket.BinaryMessage, [][]byte{{1, 2, 3}}, "a message of 3 bytes"},
		{"a close", websocket.CloseMessage, [][]byte{websocket.FormatCloseMessage(1012, "restart")}, "restart"},
		{"the end", 0, nil, "hung up"},
	} {
		s := dialTest(t, serve(t, func(c *websocket.Conn) {
			for _, payload := range tt.send {
				_ = c.WriteMessage(tt.kind, payload) // an error shows below
			}
		}), 1)
		if _, err := s.Read(2, time.Minute); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestDialRefused(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	_, err := Dial(Options{Addr: s.Listener.Addr().String(), Protocol: "readings.v1", Clients: 2, Readings: 1})
	if err == nil || !strings.Contains(err.Error(), "refused: HTTP/1.1 404") {
		t.Errorf("%v, want the refusal", err)
	}
}

func TestPercentiles(t *testing.T) {
	var ticks Ticks
	for i := range 100 {
		ticks.arrived(int64(i), time.Duration(i))
		ticks.arrived(int64(i), time.Duration(1000-i))
	}
	for _, tt := range []struct {
		got, want time.Duration
	}{{ticks.First(0.50), 50}, {ticks.First(1), 99}, {ticks.Last(0.50), 951}, {ticks.Last(0.99), 1000}, {Ticks{}.Last(0.5), 0}} {
		if tt.got != tt.want {
			t.Errorf("%d, want %d", tt.got, tt.want)
		}
	}
}
