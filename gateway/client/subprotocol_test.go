package client

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// A server that knows no subprotocol, as in many a tutorial: its binary messages
// are readings.v1, its texts are messages.
func TestServerWithoutSubprotocols(t *testing.T) {
	bubble(t, Options{URL: "ws://gateway.test/sensors/attic", Subprotocol: "readings.v9"}, func(p *serverConn) {
		_ = p.WriteMessage(websocket.BinaryMessage, wire.Failed(wire.NoAck, 5).Append(nil))
		p.say(map[string]string{"type": "hello"})
		p.wait()
	}, func(c *run) {
		if connected := next[Connected](c); connected.Subprotocol != "" || connected.Hello.Server != "" {
			t.Errorf("%+v", connected)
		}
		if r := next[Records](c); len(r) != 1 || r[0].Name != "attic" || r[0].UnixMilli != 5 {
			t.Errorf("%+v", r)
		}
		if m := next[Message](c); m.Type != "hello" {
			t.Errorf("%+v", m)
		}
	})
}

// Such a server may know neither topics nor pings nor ids, and write readings as
// text without their time.
func TestStrangeServer(t *testing.T) {
	o := Options{Subprotocol: "readings.v9", Subscribe: []string{"motors"}, PingEvery: time.Second}
	bubble(t, o, func(p *serverConn) {
		p.say(map[string]any{"type": "sensor", "payload": map[string]any{"temp": 42.5, "unit": "C"}})
		p.say(map[string]any{"type": "sensor", "payload": map[string]any{"speed": 7}})
		if e := p.next(); e.Type != "command" {
			t.Errorf("%+v, want the command only", e)
		}
		p.say(map[string]any{"type": "ack", "payload": map[string]any{"action": "stop"}})
		p.wait()
	}, func(c *run) {
		next[Connected](c)
		if r := next[Records](c); len(r) != 1 || r[0].Name != "primary" || r[0].Values[0] != 42.5 || r[0].UnixMilli != time.Now().UnixMilli() {
			t.Errorf("%+v", r)
		}
		if m := next[Message](c); m.Type != "sensor" {
			t.Errorf("%+v", m)
		}
		time.Sleep(3 * time.Second) // of the bubble: pings would be sent
		if m, err := c.Request(context.Background(), "command", map[string]string{"action": "stop"}); err != nil || m.Type != "ack" {
			t.Errorf("%+v, %v", m, err)
		}
		next[Message](c)
	})
}

// A server that refuses what it is offered, or takes any and then speaks something
// else, is asked for nothing the next time.
func TestFallsBackToNoSubprotocol(t *testing.T) {
	reading := wire.Failed(wire.NoAck, 5).Append(nil)
	for name, upgrade := range map[string]func(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error){
		"refuses": func(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error) {
			if r.Header.Get("Sec-WebSocket-Protocol") != "" {
				http.Error(w, "no subprotocols supported", http.StatusBadRequest)
				return nil, errRefused
			}
			return new(websocket.Upgrader).Upgrade(w, r, nil)
		},
		"takes any": func(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error) {
			return (&websocket.Upgrader{Subprotocols: websocket.Subprotocols(r)}).Upgrade(w, r, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
				server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if ws, err := upgrade(w, r); err == nil {
						_ = ws.WriteMessage(websocket.BinaryMessage, reading)
						_, _, _ = ws.ReadMessage() // until the client leaves
						_ = ws.Close()
					}
				})}
				go func() { _ = server.Serve(p) }()
				defer server.Close()
				start(t, Options{Subprotocol: wire.ReadingsV2}, p.dial, func(c *run) {
					event := <-c.events
					if lost, ok := event.(Disconnected); ok {
						if !strings.Contains(lost.Err.Error(), "hello") {
							t.Error(lost.Err)
						}
						event = <-c.events
					}
					if connected, ok := event.(Connected); !ok || connected.Subprotocol != "" {
						t.Errorf("%+v", event)
					}
					if r := next[Records](c); len(r) != 1 || r[0].UnixMilli != 5 {
						t.Errorf("%+v", r)
					}
				})
			})
		})
	}
}

func TestTakesNoOtherSubprotocol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var upgrader websocket.Upgrader
			if ws, err := upgrader.Upgrade(w, r, http.Header{"Sec-Websocket-Protocol": {wire.ReadingsV1}}); err != nil {
				t.Error(err)
			} else {
				_ = ws.Close()
			}
		})}
		go func() { _ = server.Serve(p) }()
		defer server.Close()
		start(t, Options{Subprotocol: wire.ReadingsV2}, p.dial, func(c *run) {
			if err := c.end(); err == nil || !strings.Contains(err.Error(), `chose subprotocol "readings.v1"`) {
				t.Errorf("%v", err)
			}
		})
	})
}
