package uplink

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// keyList is a list of hubs' keys in memory.
type keyList struct {
	mu   sync.Mutex
	text []byte
}

func (l *keyList) keys() []ed25519.PublicKey {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, _ := fleet.ParseKeys(l.text) // the test makes good ones
	return all
}

func (l *keyList) change(signer string, c fleet.KeyChange, begin func(fleet.HubKey)) (bool, error) {
	l.mu.Lock()
	next, key, changed, err := c.Apply(l.text, signer)
	l.mu.Unlock()
	if err == nil && changed {
		begin(key)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.text = next
	}
	return changed, err
}

// A hub makes another one known, which then commands, and removes the first. The changes are
// events and in hello. An order that is recorded, forged, or removes the hub's own key is refused.
func TestHubKeys(t *testing.T) {
	r := newRig(t)
	first := fleet.HubKey{Key: hubKey.Public().(ed25519.PublicKey), Name: "hub-a"}
	otherKey := ed25519.NewKeyFromSeed([]byte(strings.Repeat("b", ed25519.SeedSize)))
	other := fleet.HubKey{Key: otherKey.Public().(ed25519.PublicKey), Name: "hub-b"}
	list := &keyList{text: []byte(first.Entry() + "\n")}
	r.Uplink.o.ChangeKeys = list.change
	begun := make(chan string, 10) // what is about to change, and how many keys there are then
	r.Uplink.o.KeysChange = func(e wire.Event) { begun <- fmt.Sprintln(e.Action, e.Hub, e.By, len(list.keys())) }
	identity := r.Uplink.o.Identity
	r.Uplink.o.Identity = func() (*Identity, error) {
		id, err := identity()
		id.Keys = list.keys
		return id, err
	}
	h := r.newHub("hub-a")
	r.run(r.Uplink)
	if got := h.greet().HubKeys; !slices.Equal(got, []string{first.Fingerprint()}) {
		t.Errorf("hello has the keys %q", got)
	}
	refused := func(want string) {
		t.Helper()
		if got := wait(t, r.refusals, want); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	send := func(key ed25519.PrivateKey, body, want string) {
		t.Helper()
		payload, err := fleet.Sign(key, h.order(fleet.Keys, body))
		if err != nil {
			t.Fatal(err)
		}
		h.publish(pi.Topic(fleet.Keys), payload, false)
		if want != "" {
			if got := h.answered(); !strings.Contains(got, want) {
				t.Errorf("%s: %s, want %s", body, got, want)
			}
		}
	}
	add := `{"add":"` + other.Entry() + `"}`
	send(otherKey, add, "")
	refused(": it is not signed with a key")
	order := h.order(fleet.Keys, add)
	h.send(order)
	if got := h.answered(); !strings.HasPrefix(got, `{"type":"ack","payload":{"add":`) || !strings.Contains(got, `"changed":true,"keys":["`+first.Fingerprint()+`","`+other.Fingerprint()+`"]`) {
		t.Error(got)
	}
	if e := r.event(wire.EventHubKeys); e.Action != wire.KeyAdded || e.Hub != "hub-b" || e.Key != other.Fingerprint() || e.By != "ahmet" || e.From != "hub-a" {
		t.Errorf("%+v", e)
	}
	if got := <-begun; got != "added hub-b ahmet 1\n" {
		t.Errorf("before the change: %s", got)
	}
	h.next(fleet.News, func(b []byte) bool {
		n, err := fleet.ParseNews(b)
		return err == nil && n.Hello != nil && slices.Equal(n.Hello.HubKeys, []string{first.Fingerprint(), other.Fingerprint()})
	})
	h.send(order)
	refused("hub-a: its counter")
	h.answered()
	send(hubKey, add, `"changed":false`)
	send(hubKey, `{"remove":"`+first.Fingerprint()+`"}`, `"code":403`)
	refused("a hub does not remove its own key")
	send(hubKey, `{"add":"nonsense"}`, `"code":422`)
	refused("not a key")

	// What a hub signs for a client is always a command, and never an order of this kind.
	h.send(h.order(fleet.Cmd, `{"type":"keys","id":1,"payload":{"remove":"`+other.Fingerprint()+`"}}`))
	if got := h.answered(); !strings.Contains(got, `"code":404`) {
		t.Error(got)
	}
	if len(list.keys()) != 2 {
		t.Errorf("a command has changed the keys: %q", list.text)
	}

	if len(begun) > 0 {
		t.Errorf("nothing changes, and it began: %s", <-begun)
	}
	send(otherKey, `{"remove":"`+first.Fingerprint()+`"}`, `"changed":true,"keys":["`+other.Fingerprint()+`"]`)
	if got := <-begun; !strings.HasPrefix(got, "removed hub-a ") || !strings.HasSuffix(got, " 2\n") {
		t.Errorf("before the change: %s", got)
	}
	if e := r.event(wire.EventHubKeys); e.Action != wire.KeyRemoved || e.Hub != "hub-a" || e.Key != first.Fingerprint() {
		t.Errorf("%+v", e)
	}
	h.send(h.order(fleet.Cmd, body(wire.Start)))
	refused(": it is not signed with a key")
	send(hubKey, add, "")
	refused(": it is not signed with a key")
	send(otherKey, `{"remove":"`+other.Fingerprint()+`"}`, `"code":403`)
	if text := string(list.text); text != other.Entry()+"\n" {
		t.Errorf("the list is %q", text)
	}
}
