package gateway

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

func TestEvents(t *testing.T) {
	s := start(t)
	c := s.dial("/", wire.ReadingsV1)
	c.ask(`{"type":"unsubscribe"}`)
	c.ask(`{"type":"subscribe","payload":{"topic":"events"}}`)
	s.Event(wire.Event{Kind: wire.EventSensorLost, Sensor: "indoor", Fault: wire.Absent.String(), TS: 1.4})
	s.Event(wire.Event{Kind: wire.EventSensorBack, Sensor: "indoor", TS: 2})
	for _, want := range []string{
		`{"type":"event","payload":{"kind":"sensor_lost","sensor":"indoor","fault":"absent","ts":1.4}}`,
		`{"type":"event","payload":{"kind":"sensor_back","sensor":"indoor","ts":2}}`,
	} {
		if got := string(c.read(websocket.TextMessage)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestRateLimit(t *testing.T) {
	m := &motors{}
	s := start(t, m.options)
	send := func(c *client, n int, message string) {
		for range n {
			if err := c.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := s.dial("/")
	send(c, 20, `{"type":"ping"}`)
	for range 20 { // the 20th is answered
		if got := string(c.read(websocket.TextMessage)); !strings.Contains(got, "pong") {
			t.Fatal(got)
		}
	}
	send(c, 1, `{"type":"ping"}`)
	c.wantClose(wire.ClosePolicy, "Rate limit exceeded")

	c = s.dial("/")
	send(c, 20, `{"type":"ping"}`)
	send(c, 1, `{"type":"command","payload":{"action":"stop","target":"motor_1"}}`)
	for range 20 {
		c.read(websocket.TextMessage)
	}
	if got := string(c.read(websocket.TextMessage)); !strings.Contains(got, `"ack"`) {
		t.Errorf("a stop in the message too many: %s", got)
	}
	c.wantClose(wire.ClosePolicy, "Rate limit exceeded")

	c = s.dial("/")
	send(c, 20, `{"type":"ping"}`)
	send(c, 1, `{"type":"command","payload":{"action":"start","target":"motor_1"}}`)
	c.wantClose(wire.ClosePolicy, "Rate limit exceeded")
	s.wantClients(0)
	if want := "[stop motor_1 ]"; fmt.Sprint(m.commands) != want {
		t.Errorf("the motors saw %v, want %s", m.commands, want)
	}
}

// A stop that comes behind the message that exceeds the rate is carried out and
// answered before the connection is closed.
func TestStopBehindTheRate(t *testing.T) {
	const ping = `{"type":"ping"}`
	m := &motors{}
	withAndWithoutTLS(t, func(t *testing.T, s *testServer) {
		for _, tt := range []struct {
			name    string
			before  []byte
			answers int    // to that
			end     []byte // what follows the stop
		}{
			{"21st", bytes.Repeat(masked(0x81, ping), 20), 20, nil},
			{"22nd", bytes.Repeat(masked(0x81, ping), 21), 20, nil},
			{"200th", bytes.Repeat(masked(0x81, ping), 200), 20, masked(0x81, ping)},
			{"before an incomplete message", bytes.Repeat(masked(0x81, ping), 30), 20, masked(0x81, ping)[:9]},
			{"behind ping frames", bytes.Repeat(masked(0x89, ""), 100), 0, masked(0x89, "")},
			{"behind pong frames", bytes.Repeat(masked(0x8A, ""), 100), 0, nil},
		} {
			c := s.dial("/")
			burst := append(tt.before, masked(0x81, `{"type":"command","id":null,"payload":{"action":"estop"}}`)...)
			if _, err := c.NetConn().Write(append(burst, tt.end...)); err != nil {
				t.Fatal(err)
			}
			wantLastStop(t, c, m, tt.name, tt.answers, wire.ClosePolicy, "Rate limit exceeded")
		}
	}, m.options)
}

// wantLastStop wants an e-stop to be answered after so many other answers, before the
// connection is closed, and to be the only command that the motors see.
func wantLastStop(t *testing.T, c *client, m *motors, name string, answers, code int, reason string) {
	t.Helper()
	for range answers {
		c.read(websocket.TextMessage)
	}
	if got := string(c.read(websocket.TextMessage)); !strings.Contains(got, `{"type":"ack","payload":{"action":"estop"`) {
		t.Errorf("%s: the e-stop is answered %s", name, got)
	}
	c.wantClose(code, reason)
	m.mu.Lock()
	defer m.mu.Unlock()
	if want := "[estop all ]"; fmt.Sprint(m.commands) != want {
		t.Errorf("%s: the motors saw %v, want %s", name, m.commands, want)
	}
	m.commands = nil
}

// A stop that comes in what ends the connection for another reason, or behind that, is
// carried out and answered too.
func TestStopBehindWhatIsRefused(t *testing.T) {
	const estop = `{"type":"command","payload":{"action":"estop"}}`
	burst := bytes.Repeat(masked(0x81, "{}"), 21)
	long := strings.Repeat("x", 5000)
	m := &motors{}
	withAndWithoutTLS(t, func(t *testing.T, s *testServer) {
		for _, tt := range []struct {
			name    string
			sent    []byte
			answers int // before that to the stop
			code    int
		}{
			{"in a binary message", masked(0x82, estop), 0, wire.CloseUnsupported},
			{"behind one", append(masked(0x82, "x"), masked(0x81, estop)...), 0, wire.CloseUnsupported},
			{"behind the begin of one", append(masked(0x02, "x"), append(masked(0x80, "y"), masked(0x81, estop)...)...), 0, wire.CloseUnsupported},
			{"behind what is not UTF-8", append(masked(0x81, "\xff"), masked(0x81, estop)...), 0, wire.CloseInvalidText},
			{"in what is not UTF-8", masked(0x81, estop[:len(estop)-2]+`,"by":"M`+"\xfc"+`ller"}}`), 0, wire.CloseInvalidText},
			{"behind what is too long", append(masked(0x81, long), masked(0x81, estop)...), 0, wire.CloseTooBig},
			{"in what is too long", masked(0x81, estop[:len(estop)-1]+`,"note":"`+long+`"}`), 0, wire.CloseTooBig},
			{"in fragments behind it", append(masked(0x81, long), append(masked(0x01, estop[:9]), masked(0x80, estop[9:])...)...), 0, wire.CloseTooBig},
			{"behind a binary message behind the rate", slices.Concat(burst, masked(0x82, "x"), masked(0x81, estop)), 20, wire.ClosePolicy},
			{"behind one that is too long behind the rate", slices.Concat(burst, masked(0x81, long), masked(0x81, estop)), 20, wire.ClosePolicy},
			{"in a binary message behind the rate", append(burst, masked(0x82, estop)...), 20, wire.ClosePolicy},
		} {
			c := s.dial("/")
			if _, err := c.NetConn().Write(tt.sent); err != nil {
				t.Fatal(err)
			}
			wantLastStop(t, c, m, tt.name, tt.answers, tt.code, "")
		}
	}, m.options)
}
