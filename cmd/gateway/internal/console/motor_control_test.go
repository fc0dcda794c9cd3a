package console

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"sensorgateway/wire"
)

func TestControlMessage(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"request motor_1", `{"action":"request","target":"motor_1"}`},
		{"request motor_1 --timeout 30s --allow-takeover", `{"action":"request","target":"motor_1","timeout_ms":30000,"allow_takeover":true}`},
		{"grant motor_1", `{"action":"grant","target":"motor_1"}`},
		{"deny motor_1", `{"action":"deny","target":"motor_1"}`},
		{"release all", `{"action":"release","target":"all"}`},
	} {
		if got, err := parseControl(t, tt.args); err != nil || got != tt.want {
			t.Errorf("%s: %s, %v, want %s", tt.args, got, err, tt.want)
		}
	}
	for _, tt := range []struct{ args, want string }{
		{"", "control takes an action, request, grant, deny or release, and a motor"},
		{"request", "and a motor"},
		{"request a b", "and a motor"},
		{"reqest motor_1", `unknown action "reqest" of control: did you mean "request"?`},
		{"take motor_1", `unknown action "take" of control: write request, grant, deny or release`},
		{"request all", "one motor at a time"},
		{"request motor_1 --timeout 1s", "timeout_ms must be"},
		{"grant motor_1 --timeout 5s", "go with control request"},
		{"release motor_1 --allow-takeover", "go with control request"},
		{"request motor_1 --speed 1", "--speed goes with start"},
	} {
		if got, err := parseControl(t, tt.args); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %s, %v, want %q", tt.args, got, err, tt.want)
		}
	}
	for _, args := range [][]string{{"pi", "control"}, {"pi", "control", "request"}, {"pi", "control", "take", "motor_1"}, {"pi", "start", "motor_1", "--timeout", "5s"}} {
		if err := startClient(t, Motor, nil, args...).end(); !isUsage(err) {
			t.Errorf("%v: %v, want a usage error", args, err)
		}
	}
}

// parseControl returns the payload of a command line after "control".
func parseControl(t *testing.T, line string) (string, error) {
	t.Helper()
	var f controlFlags
	cmd := Motor(Env{})
	cmd.ResetFlags()
	new(motorFlags).flags(cmd)
	f.flags(cmd)
	if err := cmd.ParseFlags(strings.Fields(line)); err != nil {
		t.Fatal(err)
	}
	f.given = cmd.Flags().Changed
	m, err := f.message(cmd.Flags().Args())
	text, jsonErr := json.Marshal(m)
	if jsonErr != nil {
		t.Fatal(jsonErr)
	}
	return string(text), err
}

// control waits for the client's next control message.
func (m motorServer) control(action string) envelope {
	e := m.envelope()
	c, err := wire.ParseControl(e.Payload)
	if e.Type != "control" || err != nil || c.Action != action || c.Target != "motor_1" {
		m.t.Errorf("%s %s, %v, want %s", e.Type, e.Payload, err, action)
	}
	return e
}

func (m motorServer) granted(e envelope, action string, by string, pending ...string) {
	s := motorRest
	if by != "" {
		s.Control = &wire.Control{By: by, Since: 5}
	}
	m.say(wire.Envelope{Type: "ack", ID: e.ID, Payload: wire.Ack{Action: action, Target: "motor_1", Status: "ok", State: &s, Pending: pending}})
}

func (m motorServer) event(e wire.Event) {
	e.Kind, e.Target = wire.EventControl, "motor_1"
	m.say(wire.Envelope{Type: "event", Payload: e})
}

// A session requests control, waits, keeps it, is asked for it and grants it.
func TestControlSession(t *testing.T) {
	asked := make(chan struct{})
	url := motorGateway(t, func(m motorServer) {
		e := m.control("request")
		m.event(wire.Event{Action: "request", By: "me", Holder: "ben", TimeoutMS: 10000})
		m.granted(e, "request", "ben", "motor_1")
		m.event(wire.Event{Action: "grant", By: "ben", From: "ben", To: "ben", Holder: "ben", Reason: "command"}) // to a phone of ben's
		m.event(wire.Event{Action: "grant", By: "ben", From: "ben", To: "me", Holder: "me", Reason: "command"})
		m.event(wire.Event{Action: "request", By: "carl", Holder: "me", TimeoutMS: 5000})
		<-asked
		e = m.control("grant")
		m.granted(e, "grant", "carl")
		m.event(wire.Event{Action: "grant", By: "me", From: "me", To: "carl", Holder: "carl", Reason: "command"})
	})
	input, typed := io.Pipe()
	c := startClient(t, Motor, input, url, "control", "request", "motor_1")
	c.stderr.await(t, "write grant or deny within 5s")
	if _, err := io.WriteString(typed, "gant\n"); err != nil {
		t.Fatal(err)
	}
	c.stderr.await(t, "write grant, deny or release")
	close(asked)
	if _, err := io.WriteString(typed, "grant\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.end(); err != nil {
		t.Error(err)
	}
	const want = `"control":{"by":"ben","since":5}` + ` "to":"me" "by":"carl" "to":"carl"`
	got := c.stdout.String()
	for text := range strings.SplitSeq(want, " ") {
		_, after, found := strings.Cut(got, text)
		if !found {
			t.Errorf("%s is not in its place in\n%s", text, c.stdout)
		}
		got = after
	}
	if got := c.stderr.String(); !strings.Contains(got, "ben is asked for control of motor_1: an answer comes within 10s\nyou have control of motor_1 until you press Ctrl-C\n") {
		t.Errorf("%s", got)
	}
}

// Ctrl-C gives control back, and withdraws a request.
func TestControlSessionIsInterrupted(t *testing.T) {
	for _, pending := range [][]string{nil, {"motor_1"}} {
		url := motorGateway(t, func(m motorServer) {
			e := m.control("request")
			m.granted(e, "request", "me", pending...)
			e = m.control("release")
			m.granted(e, "release", "")
		})
		c := startClient(t, Motor, strings.NewReader(""), url, "control", "request", "motor_1")
		c.stdout.await(t, `"control"`)
		c.interrupt()
		if err := c.end(); err != nil {
			t.Error(err)
		}
	}
}

func TestControlSessionEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(motorServer)
		want string // of the error, "" for none
	}{
		{"denied", func(m motorServer) {
			m.event(wire.Event{Action: "deny", By: "ben", To: "me", Holder: "ben", Reason: "command"})
		}, "ben denied you control of motor_1"},
		{"nobody answers", func(m motorServer) {
			m.event(wire.Event{Action: "deny", To: "me", Holder: "ben", Reason: "timeout"})
		}, "nobody answered in time: ben still has control of motor_1"},
		{"withdrawn", func(m motorServer) {
			m.event(wire.Event{Action: "release", By: "me", Holder: "ben", Reason: "command"})
		}, "withdrawn"},
		{"cut while it waits", func(m motorServer) { m.closed = true; _ = m.Close() }, "EOF"},
		{"cut while it has control", func(m motorServer) {
			m.event(wire.Event{Action: "grant", From: "ben", To: "me", Holder: "me", Reason: "timeout"})
			m.closed = true
			_ = m.Close()
		}, "the connection is lost, and with it control of motor_1"},
		{"taken over", func(m motorServer) {
			m.event(wire.Event{Action: "grant", From: "ben", To: "me", Holder: "me", Reason: "timeout"})
			m.event(wire.Event{Action: "grant", From: "me", To: "ben", Holder: "ben", Reason: "timeout"})
		}, ""},
	} {
		url := motorGateway(t, func(m motorServer) {
			e := m.control("request")
			m.event(wire.Event{Action: "request", By: "me", Holder: "ben", TimeoutMS: 10000})
			m.granted(e, "request", "ben", "motor_1")
			tt.then(m)
		})
		err := startClient(t, Motor, strings.NewReader(""), url, "control", "request", "motor_1").end()
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || isUsage(err)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// The others are one message each.
func TestControlAnswers(t *testing.T) {
	for _, action := range []string{"grant", "deny", "release"} {
		url := motorGateway(t, func(m motorServer) { m.granted(m.control(action), action, "ben") })
		c := startClient(t, Motor, nil, url, "control", action, "motor_1")
		if err := c.end(); err != nil || !strings.Contains(c.stdout.String(), `"control":{"by":"ben","since":5}`) {
			t.Errorf("%s: %v, %s", action, err, c.stdout)
		}
	}
	url := motorGateway(t, func(m motorServer) {
		m.refuse(m.control("grant"), 409, "nobody requests control of motor_1")
	})
	if err := startClient(t, Motor, nil, url, "control", "grant", "motor_1").end(); err == nil || err.Error() != "nobody requests control of motor_1" {
		t.Error(err)
	}
	url = motorGateway(t, func(m motorServer) { m.refuse(m.control("request"), 404, "Unknown type: control") })
	var usage UsageError
	if err := startClient(t, Motor, nil, url, "control", "request", "motor_1").end(); err == nil || !strings.Contains(err.Error(), "too old") || errors.As(err, &usage) {
		t.Error(err)
	}
}

func TestDescribeControl(t *testing.T) {
	for _, tt := range []struct {
		e    wire.Event
		want string
	}{
		{wire.Event{Action: "request", By: "ben", Holder: "anna"}, "m: ben requests control of it from anna"},
		{wire.Event{Action: "grant", From: "anna", To: "ben", Reason: "timeout"}, "m: ben has control of it now (timeout)"},
		{wire.Event{Action: "deny", By: "anna", To: "ben", Reason: "command"}, "m: ben was denied control of it (command)"},
		{wire.Event{Action: "release", By: "anna", From: "anna", Reason: "disconnect"}, "m: anna has released it (disconnect)"},
		{wire.Event{Action: "release", By: "ben", Reason: "command"}, "m: ben no longer requests control of it (command)"},
		{wire.Event{Action: "dance"}, "m: control: dance"},
	} {
		tt.e.Target = "m"
		if got := describeControl(tt.e); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	s := wire.MotorState{Target: "m", Reason: "boot", Control: &wire.Control{By: "anna"}, ControlRequest: &wire.ControlRequest{By: "ben"}}
	if got := describeMotor(s); got != "m: stopped (boot), under the control of anna, which ben requests" {
		t.Error(got)
	}
}
