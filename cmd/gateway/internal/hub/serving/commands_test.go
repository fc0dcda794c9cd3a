package serving

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"sensorgateway/gateway"
	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/limit"
	"sensorgateway/wire"
)

// obey has the device answer commands with what answer returns of them, which may wait.
func (h *testHub) obey(came chan<- string, answer func(by string, cmd wire.Ack) wire.Envelope) {
	h.t.Helper()
	if _, err := h.device.Subscribe(context.Background(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: pi.Topic(fleet.Cmd), QoS: 1}}}); err != nil {
		h.t.Fatal(err)
	}
	h.device.AddOnPublishReceived(func(p paho.PublishReceived) (bool, error) {
		_, text, _ := bytes.Cut(p.Packet.Payload, []byte("\n"))
		var o struct {
			By   string
			Body struct {
				Type    string
				ID      json.RawMessage
				Payload wire.Ack
			}
		}
		if err := json.Unmarshal(text, &o); err != nil {
			h.t.Error(err)
		}
		if o.Body.Type != wire.TypeCommand {
			return true, nil
		}
		came <- fmt.Sprintf("%s %s %s", o.By, o.Body.Payload.Action, o.Body.Payload.Target)
		go func() {
			e := answer(o.By, o.Body.Payload)
			e.ID = o.Body.ID
			_, _ = h.device.Publish(context.Background(), &paho.Publish{Topic: pi.AnswerTopic("hub-a"), QoS: 1, Payload: wire.JSON(e),
				Properties: &paho.PublishProperties{CorrelationData: p.Packet.Properties.CorrelationData}})
		}()
		return true, nil
	})
}

const (
	startFan = `{"action":"start","target":"fan","speed":0.5}`
	stopFan  = `{"action":"stop","target":"fan"}`
	stopAll  = `{"action":"estop"}`
)

// command sends a command, and returns the answer to it.
func (c *client) command(command string) string {
	c.t.Helper()
	c.send(command)
	return c.answer()
}

func (c *client) send(command string) {
	c.t.Helper()
	if err := c.WriteJSON(map[string]any{"type": "command", "id": 1, "payload": json.RawMessage(command)}); err != nil {
		c.t.Fatal(err)
	}
}

// answer returns the next answer.
func (c *client) answer() (text string) {
	c.t.Helper()
	seen := len(c.texts)
	c.until(func() bool {
		for ; seen < len(c.texts); seen++ {
			if text = c.texts[seen]; strings.Contains(text, `"id":`) {
				return true
			}
		}
		return false
	})
	return text
}

// TestCommands holds that a gateway is given what a client commands, and the client its
// answer; and that the gateway learns when the client has left.
func TestCommands(t *testing.T) {
	h := startHub(t)
	bodies := make(chan string, 10)
	h.obey(bodies, func(by string, cmd wire.Ack) wire.Envelope {
		if cmd.Action == wire.Set {
			return wire.Envelope{Type: wire.TypeError, Payload: wire.Errorf(http.StatusConflict, "ahmet holds it")}
		}
		return wire.Envelope{Type: wire.TypeAck, Payload: wire.Ack{Action: cmd.Action, Target: cmd.Target, Status: "ok", State: &wire.MotorState{Target: "fan", Running: true, By: by}}}
	})
	h.publish(fleet.Here, []byte("online 1"))
	h.hello("e1", 1, sensors)
	h.await("/gateways/pi-7/api/v1/motors", "anna", `"fan"`)
	c := h.dial("/gateways/pi-7/", "anna")
	for _, x := range []struct{ command, sent, want string }{
		{startFan, "anna start fan", `"running":true`},
		{`{"action":"set","target":"fan","speed":1}`, "anna set fan", `"code":409,"message":"ahmet holds it"`},
		{stopAll, "anna estop", `"type":"ack"`},
	} {
		if got := c.command(x.command); !strings.Contains(got, x.want) {
			t.Errorf("%s: %s, want %s", x.command, got, x.want)
		}
		if got := <-bodies; !strings.HasPrefix(got, x.sent) {
			t.Errorf("the gateway was given %s, want %s", got, x.sent)
		}
	}
}

// TestTooManyCommands holds that commands which a gateway would refuse are refused at once, with
// the reason, and not sent to it, which answers only some of those; and that stops are sent all the same.
func TestTooManyCommands(t *testing.T) {
	h := startHub(t)
	h.gateways.o.Clients = fleet.MaxUnanswered + 1
	came, release := make(chan string, 100), make(chan struct{})
	h.obey(came, func(_ string, cmd wire.Ack) wire.Envelope {
		if cmd.Action == wire.Start {
			<-release
		}
		return wire.Envelope{Type: wire.TypeAck, Payload: wire.Ack{Action: cmd.Action, Target: "fan", Status: "ok"}}
	})
	h.publish(fleet.Here, []byte("online 1"))
	h.hello("e1", 1, sensors)
	h.await("/gateways/pi-7/api/v1/motors", "anna", `"fan"`)
	var all []*client
	for range fleet.MaxUnanswered {
		c := h.dial("/gateways/pi-7/", "anna")
		c.send(startFan)
		if got := <-came; got != "anna start fan" {
			t.Fatalf("the gateway was given %s", got)
		}
		all = append(all, c)
	}
	c := h.dial("/gateways/pi-7/", "anna")
	if got := c.command(startFan); !strings.Contains(got, fmt.Sprintf(`"code":%d`, http.StatusTooManyRequests)) || !strings.Contains(got, "24 commands wait for the answer of pi-7 already") {
		t.Errorf("one too many: %s", got)
	}
	for stop, sent := range map[string]string{stopFan: "anna stop fan", stopAll: "anna estop all"} {
		if got := c.command(stop); !strings.Contains(got, `"type":"ack"`) {
			t.Errorf("a stop beside them: %s", got)
		}
		if got := <-came; got != sent {
			t.Errorf("the gateway was given %q, want %q", got, sent)
		}
	}
	close(release)
	for _, c := range all {
		if got := c.answer(); !strings.Contains(got, `"type":"ack"`) {
			t.Errorf("%s", got)
		}
	}
	if got := c.command(startFan); !strings.Contains(got, `"type":"ack"`) {
		t.Errorf("when there is room again: %s", got)
	}
}

// TestCommandsInASecond holds that of each client a gateway is sent no more commands in a second
// than it carries out, also of those that had to wait for an answer before them.
func TestCommandsInASecond(t *testing.T) {
	c := &clients{s: &served{name: "pi-7"}}
	now := time.Now()
	take := func(client string, at time.Duration) int {
		_, err := c.take(gateway.Client{ID: client}, wire.Set, now.Add(at))
		if err != nil {
			return wire.AsError(err).Code
		}
		c.answered()
		return 0
	}
	for range limit.PerSecond {
		if code := take("1", 0); code != 0 {
			t.Fatal(code)
		}
	}
	for _, x := range []struct {
		client string
		at     time.Duration
		want   int
	}{{"1", 999 * time.Millisecond, http.StatusTooManyRequests}, {"2", 999 * time.Millisecond, 0}, {"1", time.Second, 0}} {
		if code := take(x.client, x.at); code != x.want {
			t.Errorf("client %s after %v: %d, want %d", x.client, x.at, code, x.want)
		}
	}
	if limit.PerSecond >= fleet.MaxCommands || fleet.MaxUnanswered >= fleet.MaxWaiting {
		t.Error("a hub lets as much through as a gateway takes")
	}
}

// TestRunning holds that a client may have a motor running, so that its loss is noticed within two
// seconds, only if it has commanded one to run, and only while one runs.
func TestRunning(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.publish(fleet.Here, []byte("online 1"))
	h.hello("e1", 1, sensors)
	h.await("/gateways/pi-7/api/v1/motors", "anna", `"fan"`)
	remote, _ := h.gateways.o.Gateway("pi-7")
	c := &clients{s: &served{name: "pi-7", remote: remote}}
	for _, action := range []string{wire.Start, wire.Set, wire.Keepalive, wire.Status} {
		if _, err := c.take(gateway.Client{ID: action}, action, time.Now()); err != nil {
			t.Fatal(err)
		}
		c.answered()
	}
	for _, runs := range []bool{true, false, true} {
		h.publish(fleet.News, wire.JSON(wire.Envelope{Type: wire.TypeState, Payload: wire.MotorState{Target: "fan", Running: runs, Direction: wire.Forward, Reason: wire.ReasonCommand, TS: 1}}))
		h.eventually(func() (string, bool) { return "the motor's state has not come", remote.Motors()[0].Running == runs })
		for client, commanded := range map[string]bool{wire.Start: true, wire.Set: true, wire.Keepalive: true, wire.Status: false, "other": false} {
			if got := c.Running(client); got != (commanded && runs) {
				t.Errorf("the fan runs: %v; the client of %s: %v", runs, client, got)
			}
		}
	}
}

// TestRevoked holds that what a client has running is stopped when its token is revoked, whatever
// the gateway does when an operator is lost, also what is under way then; but not what another
// client has started. The motor's name begins with the gateway's.
func TestRevoked(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	came, release := make(chan string, 10), make(chan struct{})
	h.obey(came, func(_ string, cmd wire.Ack) wire.Envelope {
		if cmd.Action == wire.Set {
			<-release
		}
		return wire.Envelope{Type: wire.TypeAck, Payload: wire.Ack{Action: cmd.Action, Target: cmd.Target, Status: "ok"}}
	})
	h.publish(fleet.Here, []byte("online 1"))
	hello := fleet.Hello{Hello: wire.Hello{Server: "gateway", Epoch: "e1", Sensors: sensors, Motors: []wire.MotorState{{Target: "fan"}, {Target: "pi-7fan"}}}, Nonce: "ne1", Connection: 1, Alarms: []wire.Alarm{}}
	h.publish(fleet.News, wire.JSON(wire.Envelope{Type: wire.TypeHello, Payload: hello}))
	h.await("/gateways/pi-7/api/v1/motors", "anna", `"fan"`)
	remote, _ := h.gateways.o.Gateway("pi-7")
	c := &clients{s: &served{name: "pi-7", remote: remote, g: h.gateways}}
	anna := gateway.Client{ID: "1", Name: "anna"}
	speed := 0.5
	drive := func(action, motor string) {
		if _, err := c.command(t.Context(), anna, wire.Command{Action: action, Target: "pi-7/" + motor, Speed: &speed}); err != nil {
			t.Error(err)
		}
	}
	next := func(want string) {
		t.Helper()
		select {
		case got := <-came:
			if got != want {
				t.Errorf("the gateway was sent %q, want %q", got, want)
			}
		case <-time.After(patience):
			t.Errorf("the gateway was not sent %q", want)
		}
	}
	for i, x := range []struct{ motor, by, reason string }{{"fan", "ben", wire.ReasonRevoked}, {"pi-7fan", "anna", wire.ReasonDisconnect}, {"pi-7fan", "anna", wire.ReasonRevoked}} {
		drive(wire.Start, x.motor)
		next("anna start " + x.motor)
		state := wire.MotorState{Target: x.motor, Running: true, By: x.by, Direction: wire.Forward, Reason: wire.ReasonCommand, TS: float64(i + 1)}
		h.publish(fleet.News, wire.JSON(wire.Envelope{Type: wire.TypeState, Payload: state}))
		h.eventually(func() (string, bool) {
			return "the motor's state has not come", slices.ContainsFunc(remote.Motors(), func(m wire.MotorState) bool { return m.TS == state.TS })
		})
		c.Lost(anna.ID, x.reason)
	}
	next("anna (revoked) stop pi-7fan")
	done := make(chan struct{})
	go func() { drive(wire.Set, "pi-7fan"); close(done) }()
	next("anna set pi-7fan")
	c.Lost(anna.ID, wire.ReasonRevoked)
	close(release)
	next("anna (revoked) stop pi-7fan")
	<-done
	if len(came) > 0 {
		t.Errorf("it was sent %q too", <-came)
	}
	by := &commander{name: "anna", started: map[string]bool{}}
	for _, motor := range []string{"pi-7/fan", "pi-7/unknown", "fan"} {
		c.started(by, motor)
	}
	if len(by.started) != 1 {
		t.Errorf("noted %v, want the motor that there is only", by.started)
	}
}
