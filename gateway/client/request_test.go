package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/wire"
)

type answer struct {
	Type    string          `json:"type"`
	ID      json.RawMessage `json:"id,omitempty"`
	Payload any             `json:"payload"`
}

func quoted(s string) json.RawMessage { return json.RawMessage(fmt.Sprintf("%q", s)) }

// Answers in the other order find their requests.
func TestRequestsAreCorrelated(t *testing.T) {
	bubble(t, Options{Subprotocol: wire.ReadingsV2}, func(p *serverConn) {
		p.hello()
		first, second := p.next(), p.next()
		if first.ID == second.ID || first.ID == "" {
			t.Errorf("ids %q and %q", first.ID, second.ID)
		}
		p.say(answer{"pong", quoted("nobody's"), nil})
		p.say(answer{"state", nil, nil})
		p.say(answer{"pong", json.RawMessage("17"), nil})
		p.say(answer{"ack", quoted(second.ID), second.Payload})
		p.say(answer{"ack", quoted(first.ID), first.Payload})
		p.say(answer{"ack", quoted(first.ID), "twice"})
		p.wait()
	}, func(c *run) {
		next[Connected](c)
		results := make(chan error, 2)
		for i := range 2 {
			go func() {
				m, err := c.Request(c.t.Context(), "command", i)
				if err == nil && (m.Type != "ack" || string(m.Payload) != fmt.Sprint(i)) {
					err = fmt.Errorf("request %d: %+v", i, m)
				}
				results <- err
			}()
		}
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		for _, want := range []string{"nobody's", "", "17"} { // events, as all answers
			if m := next[Message](c); m.ID != want {
				t.Errorf("%+v, want id %q", m, want)
			}
		}
		for range 3 {
			if m := next[Message](c); m.Type != "ack" {
				t.Errorf("%+v, want an ack", m)
			}
		}
	})
}

func TestRequestErrors(t *testing.T) {
	bubble(t, Options{Subprotocol: wire.ReadingsV2}, func(p *serverConn) {
		if p.n > 0 {
			p.wait()
			return
		}
		p.hello()
		p.say(answer{"error", quoted(p.next().ID), wire.Error{Code: 409, Message: "held by ahmet"}})
		p.say(answer{"error", quoted(p.next().ID), "odd"})
		p.next() // no answer
		p.next()
		p.bye(wire.CloseNormal, "")
	}, func(c *run) {
		next[Connected](c)
		var refused *wire.Error
		if _, err := c.Request(c.t.Context(), "command", nil); !errors.As(err, &refused) || refused.Code != 409 || refused.Message != "held by ahmet" {
			t.Errorf("%v, want the server's error", err)
		}
		if _, err := c.Request(c.t.Context(), "command", nil); err == nil || errors.As(err, &refused) && refused.Message != "held by ahmet" {
			t.Errorf("an unreadable error: %v", err)
		}
		ctx, cancel := context.WithTimeout(c.t.Context(), 3*time.Second)
		defer cancel()
		if _, err := c.Request(ctx, "command", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no answer: %v", err)
		}
		if _, err := c.Request(c.t.Context(), "command", nil); !errors.Is(err, ErrNotConnected) {
			t.Errorf("lost: %v", err)
		}
		synctest.Wait()
		if _, err := c.Request(c.t.Context(), "command", nil); !errors.Is(err, ErrNotConnected) {
			t.Errorf("not connected: %v", err)
		}
	})
}

func TestRoundTrip(t *testing.T) {
	o := Options{Subprotocol: wire.ReadingsV2, PingEvery: 5 * time.Second}
	bubble(t, o, func(p *serverConn) {
		p.hello()
		for i := range 3 {
			e := p.next()
			if e.Type != "ping" || string(e.Payload) != "{}" {
				t.Errorf("%+v", e)
			}
			time.Sleep(time.Duration(i+1) * 10 * time.Millisecond)
			p.say(answer{"pong", quoted(e.ID), nil})
		}
		p.wait()
	}, func(c *run) {
		next[Connected](c)
		begin := time.Now()
		for i := range 3 {
			next[Message](c)
			took := time.Duration(next[RoundTrip](c))
			want := time.Duration(i+1) * 10 * time.Millisecond
			if at := time.Since(begin); took != want || at != time.Duration(i)*o.PingEvery+want {
				t.Errorf("%v at %v, want %v", took, at, want)
			}
		}
	})
}
