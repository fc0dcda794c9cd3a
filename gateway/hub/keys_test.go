package hub

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// helloWith is a hello that says which hubs' keys the gateway knows.
func helloWith(nonce string, connection uint64, keys ...string) []byte {
	n, _ := fleet.ParseNews(helloOf(nonce, connection)) // made here
	n.Hello.HubKeys = append([]string{}, keys...)
	return wire.JSON(wire.Envelope{Type: wire.TypeHello, Payload: n.Hello})
}

// Gateways are sent the changes that their keys need: connected ones at once, others when they
// connect; once for each connection if they answer, again if they do not.
func TestKeysAreSent(t *testing.T) {
	broker := startBroker(t)
	h := newHub(t, t.TempDir())
	h.run(broker)
	own := fleet.Fingerprint(hubKey.Public().(ed25519.PublicKey))
	other := fleet.HubKey{Key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize)).Public().(ed25519.PublicKey), Name: "hub-b"}
	d := h.startDevice(broker, "n1", func(d *device, o fleet.Order, err error, p *paho.Publish) {
		if o.Kind == fleet.Keys {
			d.reply(p, wire.JSON(wire.Envelope{Type: wire.TypeAck, Payload: fleet.KeyChanged{}}))
		}
	})
	change := func() fleet.KeyChange {
		t.Helper()
		c, err := d.next(fleet.Keys).KeyChange()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	d.here(1) // an old gateway, which does not say
	d.send(fleet.News, helloWith("n1", 1, own))
	h.await("hello", func() bool { hello, _ := h.remote().Hello(); return hello.HubKeys != nil })
	h.g.SetKeys(fleet.HubKeys{Known: []fleet.HubKey{{Key: hubKey.Public().(ed25519.PublicKey), Name: "hub-a"}, other}, Removed: []string{"00112233aabbccdd"}})
	if c := change(); c.Add != other.Entry() {
		t.Errorf("%+v", c)
	}
	tried := func() bool {
		r := h.remote()
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.keysTried) > 0
	}
	h.await("the answer", tried)
	h.g.compareKeys(h.remote()) // it has answered: whatever its hello says, it is not sent again on this connection
	if changes := h.remote().keyChanges(); len(changes) > 0 {
		t.Errorf("again: %+v", changes)
	}
	d.send(fleet.News, helloWith("n1", 2, own, "00112233aabbccdd")) // on another one
	for _, want := range []fleet.KeyChange{{Add: other.Entry()}, {Remove: "00112233aabbccdd"}} {
		if c := change(); c != want {
			t.Errorf("%+v, want %+v", c, want)
		}
	}
	h.g.SetKeys(fleet.HubKeys{Known: []fleet.HubKey{other}, Removed: []string{own}}) // no hub removes its own key
	d.send(fleet.News, helloWith("n1", 3, own, other.Fingerprint()))
	h.await("hello", func() bool { hello, _ := h.remote().Hello(); return hello.Connection == 3 })
	if changes := h.remote().keyChanges(); len(changes) > 0 {
		t.Errorf("%+v", changes)
	}

	// A gateway that does not know this hub's key is sent nothing, and its clients are told why.
	d.send(fleet.News, helloWith("n1", 4, other.Fingerprint()))
	h.await("hello", func() bool { hello, _ := h.remote().Hello(); return hello.Connection == 4 })
	if changes := h.remote().keyChanges(); len(changes) > 0 {
		t.Errorf("%+v", changes)
	}
	_, err := h.remote().Command(context.Background(), "anna", "c1", json.RawMessage(`{"type":"command","payload":{"action":"start","target":"fan"}}`))
	if wire.AsError(err).Code != 503 || !strings.Contains(err.Error(), own) {
		t.Error(err)
	}
}

// A change that was not answered is sent again.
func TestKeysUnanswered(t *testing.T) {
	broker := startBroker(t)
	h := newHub(t, t.TempDir())
	h.run(broker)
	own := fleet.Fingerprint(hubKey.Public().(ed25519.PublicKey))
	other := fleet.HubKey{Key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize)).Public().(ed25519.PublicKey), Name: "hub-b"}
	d := h.startDevice(broker, "n1", nil)
	d.send(fleet.News, helloWith("n1", 1, own))
	r := h.remote()
	h.await("hello", func() bool { hello, _ := r.Hello(); return hello.HubKeys != nil })
	h.g.keys.Store(&fleet.HubKeys{Known: []fleet.HubKey{other}}) // wakes no sender: the test itself sends
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if refused, err := r.changeKey(ctx, fleet.KeyChange{Add: other.Entry()}); err == nil {
		t.Errorf("without an answer: %v", refused)
	}
	if changes := r.keyChanges(); len(changes) != 1 {
		t.Errorf("%+v", changes)
	}
	d.answerWith(func(d *device, o fleet.Order, err error, p *paho.Publish) {
		d.reply(p, wire.JSON(wire.Envelope{Type: wire.TypeError, Payload: wire.Errorf(500, "the disk is read-only")}))
	})
	if refused, err := r.changeKey(context.Background(), fleet.KeyChange{Add: other.Entry()}); err != nil || refused == nil || !strings.Contains(refused.Error(), "read-only") {
		t.Errorf("%v, %v", refused, err)
	}
}
