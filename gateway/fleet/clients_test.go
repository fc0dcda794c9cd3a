package fleet

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"sensorgateway/wire"
)

func clients(names ...string) json.RawMessage {
	return wire.JSON(wire.Envelope{Type: TypeClients, Payload: Connected{names}})
}

func TestConnected(t *testing.T) {
	c := newCase(Cmd, clients("c1", "c2"))
	c.order.By, c.order.Client = "", ""
	m := c.message(t)
	golden(t, "clients.txt", m.Payload)
	o, warning, err := c.verifier().Verify(m)
	if err != nil || warning != "" {
		t.Fatalf("%q, %v", warning, err)
	}
	if got, is, err := o.Connected(); !is || err != nil || !reflect.DeepEqual(got.Clients, []string{"c1", "c2"}) {
		t.Errorf("%+v, %v, %v", got, is, err)
	}
	for body, is := range map[string]bool{
		string(start): false, string(stop): false, `7`: false, `{"type":"clients"}`: true, `{"type":"clients","payload":{"clients":1}}`: true,
		`{"type":"clients","payload":{"clients":[],"more":1}}`:                     true,
		string(clients(strings.Split(strings.Repeat("c ", MaxClients+1), " ")...)): true,
	} {
		got, was, err := Order{Body: json.RawMessage(body)}.Connected()
		if was != is || (err != nil) != is || got.Clients != nil && err == nil {
			t.Errorf("%.60s: %+v, %v, %v", body, got, was, err)
		}
	}
}

// A list of connected clients stops some motors and keeps others running, so a list that is
// late or a copy is ignored.
func TestConnectedOfAnotherTime(t *testing.T) {
	for name, d := range defects {
		c := newCase(Cmd, clients("c1"))
		d.make(c)
		_, _, err := c.verifier().Verify(c.message(t))
		var e *wire.Error
		if !errors.As(err, &e) || e.Code != d.code {
			t.Errorf("%s: %v, want %d", name, err, d.code)
		}
	}
	c := newCase(Cmd, clients("c1"))
	v, m := c.verifier(), c.message(t)
	if _, _, err := v.Verify(m); err != nil {
		t.Fatal(err)
	}
	if _, _, err := v.Verify(m); wire.AsError(err).Code != 409 {
		t.Errorf("a copy: %v", err)
	}
}
