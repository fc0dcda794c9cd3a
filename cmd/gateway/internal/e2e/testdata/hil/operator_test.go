package hil

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// operator is a client that commands motors.
type operator struct {
	ws      *websocket.Conn
	asked   int
	answers chan answer // closed when the connection has ended; if it is full, the connection ends
}

// answer is an ack or an error.
type answer struct {
	Type    string
	ID      int
	Payload struct {
		wire.Error
		State wire.MotorState
	}
}

func operate(t *testing.T) *operator {
	t.Helper()
	o := &operator{ws: dial(t), answers: make(chan answer, 16)}
	go o.read()
	return o
}

// read passes the answers on, and answers the gateway's pings.
func (o *operator) read() {
	defer close(o.answers)
	for {
		kind, msg, err := o.ws.ReadMessage()
		if err != nil {
			return
		}
		var a answer
		if kind != websocket.TextMessage || json.Unmarshal(msg, &a) != nil || a.ID == 0 {
			continue
		}
		select {
		case o.answers <- a:
		default:
			return
		}
	}
}

// command gives a command and returns the answer to it.
func (o *operator) command(t *testing.T, action, motor string, parameters ...string) answer {
	t.Helper()
	o.asked++
	payload := append([]string{fmt.Sprintf(`"action":%q`, action)}, parameters...)
	if motor != "" {
		payload = append(payload, fmt.Sprintf(`"target":%q`, motor))
	}
	msg := fmt.Sprintf(`{"type":"command","id":%d,"payload":{%s}}`, o.asked, strings.Join(payload, ","))
	if err := o.ws.WriteMessage(websocket.TextMessage, []byte(msg)); err != nil {
		t.Fatalf("%s: %v", msg, err)
	}
	select {
	case a, open := <-o.answers:
		if !open || a.ID != o.asked {
			t.Fatalf("%s: answer %+v", msg, a)
		}
		return a
	case <-time.After(limit):
		t.Fatalf("%s: no answer within %v", msg, limit)
	}
	panic("not reached")
}

// do gives a command that is carried out.
func (o *operator) do(t *testing.T, action, motor string, parameters ...string) wire.MotorState {
	t.Helper()
	a := o.command(t, action, motor, parameters...)
	if a.Type != "ack" {
		t.Fatalf("%s %s %v: %+v, want an ack", action, motor, parameters, a.Payload.Error)
	}
	return a.Payload.State
}

// refused gives a command that is refused, with a code and a reason.
func (o *operator) refused(t *testing.T, code int, reason, action, motor string) {
	t.Helper()
	a := o.command(t, action, motor)
	if a.Type != "error" || a.Payload.Code != code || !strings.Contains(a.Payload.Message, reason) {
		t.Fatalf("%s %s: %s %+v, want error %d %q", action, motor, a.Type, a.Payload, code, reason)
	}
}

// start starts a motor at full speed and checks the answer.
func (o *operator) start(t *testing.T, motor string, parameters ...string) {
	t.Helper()
	if s := o.do(t, "start", motor, parameters...); !s.Running || s.Target != motor {
		t.Fatalf("start %s: acknowledged with %+v", motor, s)
	}
}

// wantStopped checks that a motor is off, and the reason.
func (o *operator) wantStopped(t *testing.T, motor, reason string) {
	t.Helper()
	if s := o.do(t, "status", motor); s.Running || s.Speed != 0 || s.Reason != reason {
		t.Fatalf("%s: %+v, want it off because of %s", motor, s, reason)
	}
}

// release closes the e-stop's contact and resets its latch.
func (o *operator) release(t *testing.T) {
	t.Helper()
	contact(t, "closed")
	retry(t, "reset", func() error { // the gateway polls the contact
		if a := o.command(t, "reset", ""); a.Type != "ack" {
			return fmt.Errorf("%+v", a.Payload.Error)
		}
		return nil
	})
}
