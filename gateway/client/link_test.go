package client

import (
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// What the protocol does not have is answered with the close code for it, and a
// new try.
func TestViolations(t *testing.T) {
	good := string(record(0, 1).Append(nil))
	for _, tt := range []struct {
		name, protocol string
		hello          bool
		kind           int
		data           string
		code           int
	}{
		{"half a record", wire.ReadingsV2, true, websocket.BinaryMessage, good[:23], 1002},
		{"an empty message", wire.ReadingsV2, true, websocket.BinaryMessage, "", 1002},
		{"a record on v1", wire.ReadingsV1, false, websocket.BinaryMessage, good, 1002},
		{"binary as JSON", wire.ReadingsJSON, true, websocket.BinaryMessage, good, 1003},
		{"a sensor without a value", wire.ReadingsJSON, true, websocket.TextMessage, `{"type":"sensor","payload":{"sensor":"a"}}`, 1002},
		{"not UTF-8", wire.ReadingsV2, true, websocket.TextMessage, "{\"type\":\"\xff\"}", 1007},
		{"too big", wire.ReadingsV2, true, websocket.BinaryMessage, strings.Repeat("x", readLimit+1), 1009},
		{"no hello", wire.ReadingsV2, false, websocket.BinaryMessage, good, 1002},
		{"a hello that is none", wire.ReadingsV2, false, websocket.TextMessage, `{"type":"hello","payload":[]}`, 1002},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code := make(chan int, 1)
			bubble(t, Options{Subprotocol: tt.protocol}, func(p *serverConn) {
				if tt.hello {
					p.hello()
				}
				_ = p.WriteMessage(tt.kind, []byte(tt.data)) // a client may end it in the middle
				got := p.wait()
				select {
				case code <- got:
				default: // a later try
				}
			}, func(c *run) {
				for {
					event := <-c.events
					if lost, ok := event.(Disconnected); ok {
						if lost.Wait <= 0 {
							t.Errorf("%+v", lost)
						}
						break
					} else if _, ok := event.(Connected); !ok {
						t.Errorf("%T %+v", event, event)
					}
				}
				if got := <-code; got != tt.code {
					t.Errorf("close code %d, want %d", got, tt.code)
				}
			})
		})
	}
}

// A room without hello: its first message, or the server's ping, is the success.
func TestSuccessWithoutHello(t *testing.T) {
	for name, sign := range map[string]func(*serverConn){
		"a message": func(p *serverConn) { p.say(map[string]string{"type": "join", "nick": "a", "text": ""}) },
		"a ping":    func(p *serverConn) { _ = p.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)) },
		"nothing":   func(*serverConn) {},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Options{}, func(p *serverConn) { sign(p); p.bye(1000, "") }, func(c *run) {
				var waits []time.Duration
				for len(waits) < 3 {
					if lost, ok := (<-c.events).(Disconnected); ok {
						waits = append(waits, lost.Wait)
					}
				}
				if reset := waits[2] <= 2*time.Second; reset != (name != "nothing") {
					t.Errorf("waits %v", waits)
				}
			})
		})
	}
}
