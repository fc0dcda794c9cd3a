//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/audit"
)

// second returns another hub of the fleet, with copies of the files that hubs share.
func (h *hubProcess) second(name string, args ...string) *hubProcess {
	h.t.Helper()
	b := &hubProcess{t: h.t, program: h.program, state: h.t.TempDir(), more: append(args, "--name", name)}
	for _, file := range []string{"ca.crt", "ca.key", "members.json", "hubs.keys", "tokens.json"} {
		if err := os.WriteFile(filepath.Join(b.state, file), []byte(mustRead(h.t, filepath.Join(h.state, file))), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	b.start()
	return b
}

// keyOf returns the fingerprint of a hub's key, its line, and how many gateways have it, as
// a hub lists them.
func (h *hubProcess) keyOf(hub string) (fingerprint, line, on string) {
	h.t.Helper()
	for row := range strings.Lines(h.want("FINGERPRINT", "hub", "key", "list", "--state", h.state)) {
		if words := strings.Fields(row); len(words) > 5 && words[5] == hub {
			return words[0], words[4] + " " + words[5], words[1]
		}
	}
	return "", "", ""
}

// command sends a command as a client of the hub to a gateway, and returns the answer.
func (h *hubProcess) command(token, gateway, payload string) string {
	h.t.Helper()
	c := h.dial("/gateways/"+gateway+"/", token)
	defer c.Close()
	if err := c.WriteMessage(websocket.TextMessage, []byte(`{"type":"command","id":1,"payload":`+payload+`}`)); err != nil {
		h.t.Fatal(err)
	}
	for {
		kind, message, err := c.ReadMessage()
		if err != nil {
			h.t.Fatalf("%s: %v", payload, err)
		}
		if kind == websocket.TextMessage && strings.Contains(string(message), `"id":1,"payload"`) {
			return string(message)
		}
	}
}

// TestHubKeysByOrder: a hub that a gateway knows adds the key of another hub, which then
// commands and removes the first one's key. This works also for a gateway that was away,
// and for one that was killed as soon as it had answered.
func TestHubKeysByOrder(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, "allow_anonymous true")
	a := startHub(t, "--broker", "mqtt://"+m.Address, "--site", "lab")
	a.await(t, "connected to the broker")
	device := t.TempDir()
	a.want("pi-1", a.enroll(device, "pi-1", a.code("--site", "lab"))...)
	anna := a.want("gwt_", "token", "add", "anna", "--gateways", "pi-1", "--role", "operator", "--state", a.state)
	b := a.second("hub-b", "--broker", "mqtt://"+m.Address, "--site", "lab")
	config := writeFile(t, "gateway.yaml", string(simulatedWithoutInterlocks(t))+"uplink: {}\n")
	start := func() *gatewayProcess {
		t.Helper()
		return startGateway(t, a.program, "--simulate", "--config", config, "--listen", "127.0.0.1:0", "--state", device)
	}
	p := start()
	a.awaitAnswer("/gateways/pi-1/api/v1/motors", anna, `"motor_1"`)
	b.awaitAnswer("/gateways/pi-1/api/v1/motors", anna, `"motor_1"`)
	const run = `{"action":"start","target":"motor_1","lease_ms":5000}`
	if answer := b.command(anna, "pi-1", run); !strings.Contains(answer, "does not know the key of this hub") {
		t.Errorf("a hub that the gateway does not know commands it: %s", answer)
	}

	keyA, _, _ := a.keyOf("hub-a")
	keyB, line, _ := b.keyOf("hub-b")
	eventually(t, patience, func() (string, bool) {
		out := b.want(keyB, "hub", "key", "list", "--state", b.state)
		return out, strings.Contains(out, "\n"+keyB+" is not on pi-1\n")
	})
	if _, errs, err := b.run("hub", "key", "remove", strings.Repeat("0", 16), "--state", b.state); err != nil || !strings.Contains(errs, "not yet from pi-1: ") {
		t.Errorf("%v: %s", err, errs)
	}
	known := func() string { return mustRead(t, filepath.Join(device, "fleet-hubs.keys")) }
	a.refuse("gateway hub key list shows them", "hub", "key", "add", "nonsense", "hub-b", "--state", a.state)
	a.refuse("own key", "hub", "key", "remove", keyA, "--state", a.state)
	a.refuse("16 hexadecimal digits", "hub", "key", "remove", "hub-a", "--state", a.state)
	a.want(keyB, "hub", "key", "add", line, "--state", a.state)
	p.await(t, "a hub's key was added")
	a.await(t, "a gateway has changed a hub's key")
	p.Kill(t) // the change is durable, although there was no time for an orderly end
	if !strings.Contains(known(), line) {
		t.Fatalf("the keys are %q", known())
	}
	p = start()
	eventually(t, patience, func() (string, bool) {
		answer := b.command(anna, "pi-1", run)
		return answer, strings.Contains(answer, `"running":true`)
	})
	eventually(t, patience, func() (string, bool) {
		_, _, on := a.keyOf("hub-b")
		return "it is on " + on, on == "1"
	})

	// Changes made while the gateway is away are sent when it connects.
	p.Kill(t)
	b.want(keyA, "hub", "key", "remove", keyA, "--state", b.state)
	b.want(keyA+" is still on pi-1\n", "hub", "key", "list", "--state", b.state)
	p = start()
	p.await(t, "a hub's key was removed")
	eventually(t, patience, func() (string, bool) {
		return known(), strings.Contains(known(), line) && strings.Count(known(), "\n") == 1
	})
	eventually(t, patience, func() (string, bool) {
		answer := a.command(anna, "pi-1", run)
		return answer, strings.Contains(answer, "does not know the key of this hub")
	})
	if answer := b.command(anna, "pi-1", `{"action":"stop","target":"motor_1"}`); !strings.Contains(answer, `"running":false`) {
		t.Error(answer)
	}
	eventually(t, patience, func() (string, bool) {
		out := a.want("", "audit", "--json", "--limit", "1000", "--state", device)
		return out, strings.Contains(out, `"`+audit.KindHubKey+`"`) && strings.Contains(out, keyA) && strings.Contains(out, keyB) &&
			strings.Contains(out, `"result":"begun"`) // a gateway that is killed in between leaves that
	})
	if err := p.Stop(t); err != nil {
		t.Error(err)
	}
}

// TestKeysOfADevice: a device that enrolls while the hub runs gets the hubs' present keys, and
// no removed one, also if the hub's command was killed before it had rewritten the list.
func TestKeysOfADevice(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	given := func(name string) string {
		t.Helper()
		device := t.TempDir()
		h.want(name, h.enroll(device, name, h.code("--site", "lab"))...)
		return mustRead(t, filepath.Join(device, "fleet-hubs.keys"))
	}
	list := filepath.Join(h.state, "hubs.keys")
	own := mustRead(t, list)
	if got := given("pi-1"); got != own {
		t.Errorf("the first device has %q, want %q", got, own)
	}
	const other = "7ffhKohnwKI8XvG0+IDQXDGRYLxe20+gXdfKEV2a450= hub-b"
	h.want("hub-b", "hub", "key", "add", other, "--state", h.state)
	both := mustRead(t, list)
	if got := given("pi-2"); got != both || !strings.Contains(got, other) {
		t.Errorf("after a key was added a device has %q, want %q", got, both)
	}
	fingerprint, _, _ := h.keyOf("hub-b")
	h.want(fingerprint, "hub", "key", "remove", fingerprint, "--state", h.state)
	if err := os.WriteFile(list, []byte(both), 0o600); err != nil { // as it was when the command was killed
		t.Fatal(err)
	}
	if got := given("pi-3"); got != own {
		t.Errorf("after a key was removed a device has %q, want %q", got, own)
	}
}
