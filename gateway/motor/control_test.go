package motor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sensorgateway/wire"
)

// baton is a rig whose events of control are noted.
type baton struct {
	*rig
	events []string
}

func controlled(t *testing.T, motors []Config, f func(*baton)) {
	t.Helper()
	b := &baton{}
	bubbleWith(t, motors, func(c *Controller) {
		c.OnControl(func(e wire.Event) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.events = append(b.events, strings.Join([]string{e.Target, e.Action, e.By, e.From, e.To, e.Reason, e.Holder}, ","))
		})
	}, func(r *rig) { b.rig = r; f(b) })
}

// ask sends a control message, `request "timeout_ms":3000`, for m1 unless it has a target.
func (b *baton) ask(cl Client, text string) (wire.Ack, error) {
	b.Helper()
	action, members, _ := strings.Cut(text, " ")
	if !strings.Contains(members, `"target"`) {
		members = strings.TrimSuffix(`"target":"m1",`+members, ",")
	}
	cmd, err := wire.ParseControl([]byte(fmt.Sprintf(`{"action":%q,%s}`, action, members)))
	if err != nil {
		b.Fatal(err)
	}
	return b.Command(cl, cmd)
}

// asks sends a control message that must succeed, and checks who has control of m1 then.
func (b *baton) asks(who, text, want string) wire.Ack {
	b.Helper()
	ack, err := b.ask(client(who), text)
	if err != nil {
		b.Fatalf("%s: %s: %v", who, text, err)
	}
	b.has(want)
	return ack
}

func (b *baton) has(want string) {
	b.Helper()
	got, s := "", b.States()[0]
	if s.Control != nil {
		got = s.Control.By
	}
	if s.ControlRequest != nil {
		got += " < " + s.ControlRequest.By
	}
	if got != want {
		b.Fatalf("control: %q, want %q", got, want)
	}
}

// wantEvents checks which events came since the last call.
func (b *baton) wantEvents(want ...string) {
	b.Helper()
	b.pass(0)
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.events, want) {
		b.Errorf("events\n%q, want\n%q", b.events, want)
	}
	b.events = nil
}

// TestControl: only the client with control may start and set; everybody may stop.
func TestControl(t *testing.T) {
	controlled(t, m1(nil), func(b *baton) {
		const held = `m1 is under the control of anna: ask for it with a control message, action "request"`
		if ack := b.asks(anna, "request", anna); ack.State == nil || ack.State.Control == nil || ack.State.Control.By != anna || ack.Pending != nil || ack.Status != "ok" {
			t.Errorf("%+v", ack)
		}
		b.wantEvents("m1,grant,anna,,anna,command,anna")
		b.refused(ben, "start", 409, held)
		b.refused(ben, `start "lease_ms":500`, 409, held)
		b.do(anna, "start")
		b.refused(ben, `set "speed":0.5`, 409, held)
		b.refused(ben, "keepalive", 409, "m1 has no lease to keep alive: start or set it with lease_ms")
		b.do(ben, "status")
		b.do(ben, "stop")
		b.stopped("command", ben)
		b.do(anna, "start")
		b.do(ben, "estop")
		b.stopped("estop", ben)
		b.refused(ben, "reset", 409, "a reset is for all motors, and "+held)
		b.do(anna, "reset")
		b.has(anna)
		b.asks(anna, "release", "")
		b.wantEvents("m1,release,anna,anna,,command,")
		b.do(ben, "start")
	})
}

// TestControlIsPassed: a request is granted, denied or withdrawn, or its time is up.
func TestControlIsPassed(t *testing.T) {
	controlled(t, m1(nil), func(b *baton) {
		b.asks(anna, "request", anna)
		b.wantEvents("m1,grant,anna,,anna,command,anna")
		if ack := b.asks(anna, "request", anna); !ack.Repeat {
			t.Errorf("%+v", ack)
		}
		if ack := b.asks(ben, `request "timeout_ms":3000`, "anna < ben"); ack.Repeat || fmt.Sprint(ack.Pending) != "[m1]" || ack.State.ControlRequest.Until != ack.State.TS+3 {
			t.Errorf("%+v %+v", ack, ack.State)
		}
		b.wantEvents("m1,request,ben,,,,anna")
		if ack := b.asks(ben, `request "timeout_ms":60000`, "anna < ben"); !ack.Repeat || fmt.Sprint(ack.Pending) != "[m1]" {
			t.Errorf("%+v", ack)
		}
		b.pass(3*time.Second - 1)
		b.has("anna < ben")
		b.pass(1)
		b.has(anna)
		b.wantEvents("m1,deny,,,ben,timeout,anna")

		b.asks(ben, "request", "anna < ben")
		b.pass(10*time.Second - 1)
		b.has("anna < ben")
		b.asks(anna, "grant", ben)
		b.wantEvents("m1,request,ben,,,,anna", "m1,grant,anna,anna,ben,command,ben")
		b.asks(ben, `request "allow_takeover":true`, ben)
		b.asks(anna, "request", "ben < anna")
		b.pass(10 * time.Second)
		b.has(anna)
		b.wantEvents("m1,request,anna,,,,ben", "m1,grant,,ben,anna,timeout,anna")
		if _, err := b.ask(client(ben), "release"); err == nil || err.Error() != "anna has control of m1, and not you" {
			t.Error(err)
		}
	})
}

// TestControlOfWhoIsLost: a client that is gone neither has control nor waits for it.
func TestControlOfWhoIsLost(t *testing.T) {
	controlled(t, m1(func(c *Config) { c.KeepOnLoss = true }), func(b *baton) {
		b.asks(anna, "request", anna)
		b.do(anna, "start")
		if b.Running(client(ben).ID) || !b.Running(client(anna).ID) {
			t.Error("who runs it")
		}
		b.do(anna, "stop")
		b.asks(ben, "request", "anna < ben")
		if !b.Running(client(anna).ID) {
			t.Error("who is asked must be noticed soon if it is gone")
		}
		b.Lost(client(anna).ID, wire.ReasonDisconnect)
		b.has(ben)
		if b.Running(client(anna).ID) || b.Running(client(ben).ID) {
			t.Error("nobody is asked any more")
		}
		b.asks(anna, "request", "ben < anna")
		b.Lost(client(anna).ID, wire.ReasonRevoked)
		b.has(ben)
		b.Lost(client(ben).ID, wire.ReasonRevoked)
		b.has("")
		b.wantEvents("m1,grant,anna,,anna,command,anna", "m1,request,ben,,,,anna", "m1,grant,anna,anna,ben,disconnect,ben",
			"m1,request,anna,,,,ben", "m1,release,anna,,,revoked,ben", "m1,release,ben,ben,,revoked,")
		b.do(carl, "start")
	})
}

const carl = "carl"

// TestControlAndLease: a request is for the client that holds the motor by a lease. The
// client that then gets control takes the motor over.
func TestControlAndLease(t *testing.T) {
	controlled(t, m1(nil), func(b *baton) {
		b.do(anna, `start "speed":0.5,"lease_ms":1000`)
		b.asks(ben, "request", " < ben")
		b.wantEvents("m1,request,ben,,,,anna")
		b.refused(ben, `set "speed":1`, 409, "m1 is held by anna")
		b.asks(anna, "grant", ben)
		b.pass(900 * ms)
		b.do(anna, "keepalive") // until ben takes it over, anna keeps it running
		b.refused(anna, `set "speed":1`, 409, `m1 is under the control of ben: ask for it with a control message, action "request"`)
		b.refused(ben, "keepalive", 409, "m1 is held by anna")
		b.pass(900 * ms)
		b.runs(0.5)
		if s := b.do(ben, `set "speed":0.75,"lease_ms":2000`); s.Holder != ben {
			t.Errorf("%+v", s)
		}
		b.refused(anna, "keepalive", 409, "m1 is held by ben")
		b.Lost(client(anna).ID, wire.ReasonDisconnect)
		b.pass(2*time.Second - 1)
		b.runs(0.75)
		b.pass(1)
		b.stopped("lease", "")
		b.has(ben)
		b.asks(ben, "release", "")

		b.do(anna, `start "lease_ms":1000`) // nobody has control: the lease decides, and then its end
		b.asks(ben, "request", " < ben")
		b.pass(999 * ms)
		b.has(" < ben")
		b.pass(ms)
		b.has(ben)
		b.asks(ben, "release", "")
		b.do(anna, `start "lease_ms":1000`)
		b.asks(ben, "request", " < ben")
		b.do(carl, "stop")
		b.pass(0)
		b.has(ben)
	})
}

// TestTakeoverWithoutLease: a client that takes a motor over is its operator from then on.
func TestTakeoverWithoutLease(t *testing.T) {
	controlled(t, m1(nil), func(b *baton) {
		b.do(anna, `start "lease_ms":1000`)
		b.asks(ben, "request", " < ben")
		b.asks(anna, "grant", ben)
		b.do(ben, `set "speed":0.5`)
		b.Lost(client(anna).ID, wire.ReasonDisconnect)
		b.pass(5 * time.Second)
		b.runs(0.5)
		b.Lost(client(ben).ID, wire.ReasonDisconnect)
		b.stopped("disconnect", ben)
	})
}

// TestControlOfOneToken: its connections share control, which ends with the one that got it.
func TestControlOfOneToken(t *testing.T) {
	page, phone := Client{ID: "1", Token: "a", Name: anna}, Client{ID: "2", Token: "a", Name: anna}
	start := command(t, `{"action":"start","target":"m1","lease_ms":1000}`)
	controlled(t, m1(nil), func(b *baton) {
		for _, cl := range []Client{page, phone} {
			if _, err := b.ask(cl, "request"); err != nil {
				t.Fatal(err)
			}
		}
		b.wantEvents("m1,grant,anna,,anna,command,anna", "m1,grant,anna,anna,anna,command,anna")
		for _, cl := range []Client{page, phone, page} { // also while the other's lease runs
			if ack, err := b.Command(cl, start); err != nil || ack.State.Holder != anna {
				t.Errorf("%+v, %v", ack, err)
			}
		}
		b.asks(ben, "request", "anna < ben")
		if _, err := b.ask(page, "deny"); err != nil {
			t.Error(err)
		}
		b.Lost(page.ID, wire.ReasonDisconnect)
		b.has(anna)
		b.Lost(phone.ID, wire.ReasonDisconnect)
		b.has("")
	})
}

// TestControlOfSeveral: a message is refused if it is refused for each target.
func TestControlOfSeveral(t *testing.T) {
	controlled(t, append(m1(nil), Config{Name: "m2"}, Config{Name: "m3"}), func(b *baton) {
		all := func(text, pending string) {
			t.Helper()
			who, text, _ := strings.Cut(text, " ")
			ack, err := b.ask(client(who), text)
			got := ""
			for _, s := range ack.Motors {
				by := "-"
				if s.Control != nil {
					by = s.Control.By
				}
				got += by + " "
			}
			if got += fmt.Sprint(ack.Pending); err != nil || got != pending {
				t.Errorf("%s %s: %s, %v, want %s", who, text, got, err, pending)
			}
		}
		all(`anna request "target":["m1","m2"]`, "anna anna []")
		all(`ben request "target":"all"`, "anna anna ben [m1 m2]")
		all(`anna grant "target":["m2"]`, "ben []")
		all(`anna deny "target":"all"`, "anna ben ben []")
		all(`ben release "target":"all"`, "anna - - []")
		for text, want := range map[string]string{
			`release "target":"all"`:       "409 anna has control of m1, and not you",
			`grant "target":["m3","m1"]`:   "409 nobody requests control of m3",
			`request "target":["m9"]`:      "404 Unknown target: m9",
			`request "target":["m1","m9"]`: "404 Unknown target: m9",
		} {
			_, err := b.ask(client(ben), text)
			var e *wire.Error
			if !errors.As(err, &e) || fmt.Sprint(e.Code, " ", e.Message) != want {
				t.Errorf("%s: %v, want %s", text, err, want)
			}
		}
	})
}
