package uplink

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// Commands of hubs are carried out and answered in order. A stop is carried out at once, even
// if something other than its signature is wrong.
func TestCommands(t *testing.T) {
	r := newRig(t)
	started, release := make(chan struct{}, 1), make(chan struct{})
	r.answer = func(_ Operator, c wire.Command) (any, error) {
		if c.Action == wire.Set {
			started <- struct{}{}
			<-release
		}
		if c.Action == wire.Reset {
			return nil, wire.Errorf(409, "not now")
		}
		if c.Overtaken != nil && c.Overtaken() {
			return nil, wire.Overtaken()
		}
		return wire.Ack{Action: c.Action, Target: c.Target, Status: "ok", Warning: c.Warning}, nil
	}
	h := r.newHub("hub-a")
	r.run(r.Uplink)
	h.greet()

	h.send(h.order(fleet.Cmd, body(wire.Start)))
	r.command("hub-a/c1 start")
	if got := h.answered(); got != `{"type":"ack","id":7,"payload":{"action":"start","target":"fan","status":"ok"}}` {
		t.Error(got)
	}
	h.send(h.order(fleet.Cmd, `{"type":"command","id":"r","payload":{"action":"reset"}}`))
	r.command("hub-a/c1 reset")
	if got := h.answered(); got != `{"type":"error","id":"r","payload":{"code":409,"message":"not now"}}` {
		t.Error(got)
	}
	for text, want := range map[string]string{
		`{"type":"weather","id":1}`:                            `{"type":"error","id":1,"payload":{"code":404,"message":"Unknown type: weather"}}`,
		`{"type":"command","id":2}`:                            `{"type":"error","id":2,"payload":{"code":422,"message":"payload is missing"}}`,
		`{"type":"command","id":3,"payload":{"action":"fly"}}`: `{"type":"error","id":3,"payload":{"code":404,"message":"Unknown command"}}`,
		`7`: `{"type":"error","payload":{"code":400,"message":"Invalid JSON"}}`,
	} {
		h.send(h.order(fleet.Cmd, text))
		if got := h.answered(); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}

	h.send(h.order(fleet.Cmd, `{"type":"command","id":8,"payload":{"action":"set","target":"fan","speed":1}}`)) // it hangs
	r.command("hub-a/c1 set")
	<-started
	h.send(h.order(fleet.Cmd, body(wire.Start))) // it waits
	late := h.order(fleet.Cmd, body(wire.Stop))
	late.Expires, late.Client = 1, "c2"
	h.send(late)
	r.command("hub-a/c2 stop")
	if got := h.answered(); !strings.Contains(got, `"action":"stop"`) || !strings.Contains(got, `"warning":"it is late`) {
		t.Error(got)
	}
	release <- struct{}{}
	h.answered()
	r.command("hub-a/c1 start")
	if got := h.answered(); !strings.Contains(got, `"id":7,"payload":{"code":409,"message":"a stop came`) {
		t.Errorf("a start that the stop has overtaken: %s", got)
	}
	h.send(h.order(fleet.Cmd, `{"type":"command","id":9,"payload":{"action":"set","target":"fan","speed":1}}`)) // it hangs
	r.command("hub-a/c1 set")
	<-started
	h.send(h.order(fleet.Cmd, body(wire.Start))) // it waits
	h.send(h.order(fleet.Cmd, body(wire.Stop)))
	r.command("hub-a/c1 stop")
	h.answered()
	h.send(h.order(fleet.Cmd, body(wire.Start))) // after that stop, but a stop on another way comes
	h.send(h.order(fleet.Ask, `{"ask":"machine"}`))
	h.answered() // orders come one after the other
	r.Stopped()
	release <- struct{}{}
	h.answered()
	for range 2 {
		r.command("hub-a/c1 start")
		if got := h.answered(); !strings.Contains(got, `"code":409,"message":"a stop came`) {
			t.Errorf("a start that a stop has overtaken: %s", got)
		}
	}
	h.send(h.order(fleet.Cmd, body(wire.Start)))
	r.command("hub-a/c1 start")
	if got := h.answered(); !strings.Contains(got, `"type":"ack"`) {
		t.Errorf("a start after the stop: %s", got)
	}
}

// An order that is late or a copy, of no hub, or for another gateway is refused and reported;
// a hub with an old hello gets a new one.
func TestRefusedOrders(t *testing.T) {
	r := newRig(t)
	h := r.newHub("hub-a")
	r.run(r.Uplink)
	h.greet()
	refused := func(want string) {
		t.Helper()
		if got := wait(t, r.refusals, want); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	late := h.order(fleet.Cmd, body(wire.Start))
	late.Expires = time.Now().Add(-time.Second).UnixMilli()
	h.send(late)
	refused("hub-a: it is late")
	if got := h.answered(); !strings.HasPrefix(got, `{"type":"error","id":7,"payload":{"code":408,`) {
		t.Error(got)
	}
	h.greet() // again

	good := h.order(fleet.Cmd, body(wire.Start))
	h.send(good)
	r.command("hub-a/c1 start")
	h.answered()
	h.send(good)
	refused("hub-a: its counter")
	h.answered()

	another := h.order(fleet.Cmd, body(wire.Start))
	another.Nonce = "00"
	h.send(another)
	refused("hub-a: it was made for another start")
	h.answered()

	forged, err := fleet.Sign(hubKey, h.order(fleet.Cmd, body(wire.Start)))
	if err != nil {
		t.Fatal(err)
	}
	forged[len(forged)-3]++
	h.publish(pi.Topic(fleet.Cmd), forged, false)
	refused(": it is not signed with a key")

	elsewhere := h.order(fleet.Cmd, body(wire.Start))
	elsewhere.Gateway = "pi-8"
	payload, err := fleet.Sign(hubKey, elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	h.publish(pi.Topic(fleet.Cmd), payload, false)
	refused("it is for another gateway")

	retained := h.order(fleet.Cmd, body(wire.Start))
	if payload, err = fleet.Sign(hubKey, retained); err != nil {
		t.Fatal(err)
	}
	h.publish(pi.Topic(fleet.Cmd), payload, true)
	refused("hub-a: the message is retained")
	h.answered()

	r.synced.Store(false)
	h.send(h.order(fleet.Cmd, body(wire.Start)))
	refused("the gateway's clock is not synchronised")
	h.answered()
	byUptime := h.order(fleet.Cmd, body(wire.Start))
	byUptime.Expires, byUptime.UptimeMS = 0, h.uptime+time.Since(h.since).Milliseconds()+20_000
	h.send(byUptime)
	r.command("hub-a/c1 start")
	h.send(h.order(fleet.Cmd, body(wire.Stop))) // a stop is carried out all the same
	r.command("hub-a/c1 stop")
}

// An operator is lost when its hub no longer names it, and with the line.
func TestLost(t *testing.T) {
	r := newRig(t)
	h := r.newHub("hub-a")
	stop := r.run(r.Uplink)
	h.greet()
	start := func(client string) {
		t.Helper()
		o := h.order(fleet.Cmd, body(wire.Start))
		o.Client = client
		h.send(o)
		r.command("hub-a/" + client + " start")
	}
	start("c1")
	start("c2")
	h.send(h.order(fleet.Cmd, `{"type":"clients","payload":{"clients":["c2","c9"]}}`))
	r.command("lost hub-a/c1")
	start("c3")
	stop()
	got := []string{wait(t, r.commands, "lost"), wait(t, r.commands, "lost")}
	slices.Sort(got)
	if want := []string{"lost hub-a/c2", "lost hub-a/c3"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// An operator of which nothing is heard is lost after a while: its hub was killed, or the
// line is cut. Each operator's commands are counted separately.
func TestOperators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var mu sync.Mutex
		lost := map[string]time.Duration{}
		o := newOperators(func(id string) {
			mu.Lock()
			defer mu.Unlock()
			lost[id] = time.Since(begin)
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- o.run(ctx) }()
		command := func(hub, client string, want int) {
			t.Helper()
			code := 0
			if err := o.commands(hub, client, time.Now()); err != nil {
				code = wire.AsError(err).Code
			}
			if code != want {
				t.Errorf("%s/%s: %d, want %d", hub, client, code, want)
			}
		}
		command("a", "1", 0)
		command("a", "2", 0)
		command("b", "1", 0)
		for range fleet.MaxCommands - 1 {
			command("b", "1", 0)
		}
		command("b", "1", 429)
		time.Sleep(4 * time.Second)
		o.named("a", []string{"2"}, time.Now()) // 1 is lost
		time.Sleep(time.Minute)
		cancel()
		<-done
		if !o.connected("a", "1") && len(lost) == 3 && lost["a/1"] == 4*time.Second && lost["b/1"] > fleet.ClientsTime-time.Second && lost["b/1"] < fleet.ClientsTime+2*time.Second && lost["a/2"] > 10*time.Second-time.Second && lost["a/2"] < 12*time.Second {
			return
		}
		t.Errorf("lost %v", lost)
	})
}
