package console

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// motorServer is a gateway whose motors do as a test says.
type motorServer struct{ *fakePeer }

func (m motorServer) command() (e envelope, p wire.Command) {
	for {
		e = m.envelope()
		if e.Type == "command" {
			break
		}
		if e.Type != "subscribe" || string(e.Payload) != `{"topic":"motors"}` {
			m.t.Errorf("%s %s", e.Type, e.Payload)
			return e, p
		}
	}
	p, err := wire.ParseCommand(e.Payload)
	if err != nil {
		m.t.Error(err)
	}
	return e, p
}

func (m motorServer) ack(e envelope, action string, s ...wire.MotorState) {
	ack := wire.Ack{Action: action, Target: "all", Status: "ok", Motors: s}
	if len(s) == 1 {
		ack = wire.Ack{Action: action, Target: s[0].Target, Status: "ok", State: &s[0]}
	}
	m.say(wire.Envelope{Type: "ack", ID: e.ID, Payload: ack})
}

func (m motorServer) state(s wire.MotorState) { m.say(wire.Envelope{Type: "state", Payload: s}) }

func (m motorServer) refuse(e envelope, code int, message string) {
	m.say(wire.Envelope{Type: "error", ID: e.ID, Payload: wire.Error{Code: code, Message: message}})
}

// motorGateway runs endpoint after hello, and expects the client to close with 1000.
func motorGateway(t *testing.T, endpoint func(motorServer)) string {
	return fakeGateway(t, false, func(p *fakePeer) {
		if p.n > 0 {
			t.Error("the operator came back: nothing may be started a second time")
		}
		p.hello()
		endpoint(motorServer{p})
		if code := p.wait(); !p.closed && code != wire.CloseNormal {
			t.Errorf("close code %d", code)
		}
	}).URL
}

var (
	motorRuns = wire.MotorState{Target: "motor_1", Running: true, Speed: 0.5, Direction: "forward", Reason: "command", By: "me", TS: 5}
	motorRest = wire.MotorState{Target: "motor_1", Direction: "forward", Reason: "command", By: "me", TS: 6}
)

func because(reason, by string) wire.MotorState {
	s := motorRest
	s.Reason, s.By = reason, by
	return s
}

func stateLines(t *testing.T, states ...wire.MotorState) string {
	t.Helper()
	var text strings.Builder
	for _, s := range states {
		line, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(append(line, '\n'))
	}
	return text.String()
}

// One command, one answer.
func TestMotorOnce(t *testing.T) {
	other := wire.MotorState{Target: "motor_2", Direction: "forward", Reason: "boot"}
	for _, tt := range []struct {
		args   []string
		action string
		states []wire.MotorState
	}{
		{[]string{"stop", "motor_1"}, wire.Stop, []wire.MotorState{motorRest}},
		{[]string{"set", "motor_1", "--speed", "0.5"}, wire.Set, []wire.MotorState{motorRuns}},
		{[]string{"status"}, wire.Status, []wire.MotorState{motorRuns, other}},
		{[]string{"estop"}, wire.EStop, []wire.MotorState{because("estop", "me"), other}},
		{[]string{"reset"}, wire.Reset, []wire.MotorState{motorRest, other}},
	} {
		url := motorGateway(t, func(m motorServer) {
			e, cmd := m.command()
			if cmd.Action != tt.action || len(e.ID) < 10 {
				t.Errorf("%s with id %s, want %s", e.Payload, e.ID, tt.action)
			}
			m.state(because("estop", "somebody else"))
			m.ack(e, tt.action, tt.states...)
		})
		c := startClient(t, Motor, nil, append([]string{url}, tt.args...)...)
		if err := c.end(); err != nil {
			t.Errorf("%v: %v", tt.args, err)
		}
		if got, want := c.stdout.String(), stateLines(t, tt.states...); got != want {
			t.Errorf("%v: got\n%swant\n%s", tt.args, got, want)
		}
	}
}

// A server that knows no subprotocol, no ids, no leases and no states, as in many a
// tutorial: its acknowledgement is shown, and the command itself stops after --for.
func TestMotorOfStrangeServer(t *testing.T) {
	received := make(chan string, 16)
	s := strangeServer(t, func(ws *websocket.Conn) {
		for {
			var e envelope
			var cmd wire.Command
			if _, text, err := ws.ReadMessage(); err != nil {
				return
			} else if json.Unmarshal(text, &e) != nil || e.Type != "command" {
				t.Errorf("%s", text)
			} else if cmd, err = wire.ParseCommand(e.Payload); err != nil {
				t.Error(err)
			}
			received <- cmd.Action + " " + cmd.Target
			_ = ws.WriteJSON(map[string]any{"type": "ack", "payload": map[string]any{"action": cmd.Action, "target": cmd.Target, "status": "ok"}})
		}
	})
	c := startClient(t, Motor, nil, s, "start", "motor_1", "--for", "20ms", "--lease", "100ms")
	if err := c.end(); err != nil {
		t.Error(err)
	}
	if got := <-received + ", " + <-received; got != "start motor_1, stop motor_1" || len(received) > 0 {
		t.Errorf("%s, and %d more", got, len(received))
	}
	const acks = `{"action":"start","target":"motor_1","status":"ok"}` + "\n" + `{"action":"stop","target":"motor_1","status":"ok"}` + "\n"
	if got := c.stdout.String(); got != acks {
		t.Errorf("got\n%swant\n%s", got, acks)
	}
	if got := c.stderr.String(); !strings.HasPrefix(got, "the server does not know the subprotocol readings.v2: ") {
		t.Errorf("%q", got)
	}
	c = startClient(t, Motor, nil, s, "start", "motor_1") // until Ctrl-C
	c.stdout.await(t, "start")
	c.interrupt()
	if err := c.end(); err != nil {
		t.Error(err)
	}
	if got := <-received + ", " + <-received; got != "start motor_1, stop motor_1" {
		t.Error(got)
	}
}

// What a gateway says steers no terminal, not even as JSON.
func TestMotorJSONIsPrintable(t *testing.T) {
	url := motorGateway(t, func(m motorServer) {
		e, _ := m.command()
		m.ack(e, wire.Stop, because("command", "be\u202en \u009b2J"))
	})
	c := startClient(t, Motor, nil, url, "stop", "motor_1", "--json")
	if err := c.end(); err != nil {
		t.Error(err)
	}
	if got := c.stdout.String(); !strings.Contains(got, `"by":"be\u202en \u009b2J"`) {
		t.Errorf("%q", got)
	}
}

// The server's words, and exit status 1.
func TestMotorRefused(t *testing.T) {
	for _, args := range [][]string{{"start", "motor_1"}, {"set", "motor_1", "--speed", "1"}} {
		url := motorGateway(t, func(m motorServer) {
			e, _ := m.command()
			m.refuse(e, 409, "motor_1 is held by \x1b[1mben")
		})
		c := startClient(t, Motor, nil, append([]string{url}, args...)...)
		err := c.end()
		if err == nil || err.Error() != "motor_1 is held by �[1mben" || isUsage(err) {
			t.Errorf("%v: %v", args, err)
		}
		if got := c.stdout.String(); got != "" {
			t.Errorf("%v: printed %s", args, got)
		}
	}
}

// The command stays while the motor runs, and ends when the motor's time is up. States
// from before the acknowledgement, or of other motors, do not end it.
func TestMotorFor(t *testing.T) {
	slower, known := motorRuns, motorRuns
	slower.Speed = 0.25
	known.Interlocks = []wire.Interlock{{Condition: "indoor.age < 1s"}} // as a broadcast had it, a moment later
	url := motorGateway(t, func(m motorServer) {
		e, cmd := m.command()
		if cmd.Action != wire.Start || cmd.RunMS == nil || *cmd.RunMS != 5000 || cmd.LeaseMS != nil {
			t.Errorf("%s", e.Payload)
		}
		m.state(because("command", "ben"))
		m.ack(e, wire.Start, motorRuns)
		m.state(known) // to all, of the change that was acknowledged
		m.state(wire.MotorState{Target: "motor_2", Reason: "estop"})
		m.state(slower)
		m.state(slower)
		m.state(because("run_ms", ""))
	})
	c := startClient(t, Motor, nil, url, "start", "motor_1", "--for", "5s", "--json")
	if err := c.end(); err != nil {
		t.Error(err)
	}
	if got, want := c.stdout.String(), stateLines(t, motorRuns, slower, because("run_ms", "")); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// Ctrl-C stops the motor, waits for the acknowledgement and leaves; until then
// the lease is kept alive.
func TestMotorUntilInterrupted(t *testing.T) {
	alive := make(chan struct{})
	url := motorGateway(t, func(m motorServer) {
		e, cmd := m.command()
		if cmd.Action != wire.Start || cmd.LeaseMS == nil || *cmd.LeaseMS != 300 {
			t.Errorf("%s", e.Payload)
		}
		begin := time.Now()
		m.ack(e, wire.Start, motorRuns)
		for range 3 {
			e, cmd := m.command()
			if cmd.Action != wire.Keepalive || cmd.Target != "motor_1" {
				t.Errorf("%s, want a keepalive", e.Payload)
			}
			m.ack(e, wire.Keepalive, motorRuns)
		}
		if took := time.Since(begin); took < 200*time.Millisecond {
			t.Errorf("three keepalives within %v", took)
		}
		close(alive)
		for cmd.Action != wire.Stop {
			e, cmd = m.command()
		}
		m.state(motorRest)
		m.ack(e, wire.Stop, motorRest)
	})
	c := startClient(t, Motor, nil, url, "start", "motor_1", "--lease", "300ms")
	<-alive
	c.interrupt()
	if err := c.end(); err != nil {
		t.Error(err)
	}
	if got, want := c.stdout.String(), stateLines(t, motorRuns, motorRest); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// Ctrl-C while the answer to the start is under way: it may have been carried
// out, so it is waited for, and then stopped.
func TestMotorInterruptedAtStart(t *testing.T) {
	began, interrupted := make(chan struct{}), make(chan struct{})
	url := motorGateway(t, func(m motorServer) {
		e, _ := m.command()
		close(began)
		<-interrupted
		m.ack(e, wire.Start, motorRuns)
		e, cmd := m.command()
		if cmd.Action != wire.Stop {
			t.Errorf("%s, want a stop", e.Payload)
		}
		m.ack(e, wire.Stop, motorRest)
	})
	c := startClient(t, Motor, nil, url, "start", "motor_1", "--for", "5s")
	<-began
	c.interrupt()
	close(interrupted)
	if err := c.end(); err != nil {
		t.Error(err)
	}
}

// A refused start stops nothing, whoever interrupts: the motor may be another's.
func TestMotorInterruptedAndRefused(t *testing.T) {
	began, interrupted := make(chan struct{}), make(chan struct{})
	url := motorGateway(t, func(m motorServer) {
		e, _ := m.command()
		close(began)
		<-interrupted
		m.refuse(e, 409, "motor_1 is held by ben")
		for text := range m.received {
			t.Errorf("after the refusal: %s", text)
		}
	})
	c := startClient(t, Motor, nil, url, "start", "motor_1")
	<-began
	c.interrupt()
	close(interrupted)
	if err := c.end(); err == nil || !strings.Contains(err.Error(), "held by ben") {
		t.Errorf("%v", err)
	}
}

// What ends the run before its time ends the command with exit status 1.
func TestMotorIsStopped(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(motorServer)
		want string
	}{
		{"by another", func(m motorServer) { m.state(because("command", "ben")) }, "motor_1 was stopped: command by ben"},
		{"by an e-stop", func(m motorServer) { m.state(because("estop", "ben")) }, "motor_1 was stopped: estop by ben"},
		{"by an interlock", func(m motorServer) { m.state(because("interlock:indoor.age < 500ms", "")) }, "motor_1 was stopped: interlock:indoor.age < 500ms"},
		{"a refused keepalive", func(m motorServer) {
			e, _ := m.command()
			m.refuse(e, 409, "motor_1 is not running")
		}, "motor_1 is not running"},
		{"a restart", func(m motorServer) { m.bye(wire.CloseServiceRestart, "Service restart; retry_ms=0") }, "so the gateway stops motor_1"},
		{"a lost connection", func(m motorServer) { m.closed = true; _ = m.Close() }, "so the gateway stops motor_1"},
		{"a token that is revoked", func(m motorServer) { m.bye(wire.ClosePolicy, "token revoked") }, "token revoked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url := motorGateway(t, func(m motorServer) {
				e, _ := m.command()
				m.ack(e, wire.Start, motorRuns)
				tt.end(m)
			})
			err := startClient(t, Motor, nil, url, "start", "motor_1", "--lease", "300ms").end()
			if err == nil || !strings.Contains(err.Error(), tt.want) || isUsage(err) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// A command is given once, or not at all: it does not wait for a gateway that is
// not there.
func TestMotorWithoutGateway(t *testing.T) {
	gone := fakeGateway(t, false, func(*fakePeer) {})
	gone.Close()
	err := startClient(t, Motor, nil, gone.URL, "estop").end()
	if err == nil || !strings.Contains(err.Error(), "connect to ") || isUsage(err) {
		t.Errorf("%v", err)
	}
	url := motorGateway(t, func(m motorServer) { m.command(); m.closed = true; _ = m.Close() })
	err = startClient(t, Motor, nil, url, "estop").end()
	if err == nil || !strings.Contains(err.Error(), "lost before the answer") {
		t.Errorf("%v", err)
	}
}
