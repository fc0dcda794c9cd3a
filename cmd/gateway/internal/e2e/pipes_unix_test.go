//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pipes makes named pipes in place of files.
func pipes(t *testing.T, state string, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(state, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Skip(err)
		}
	}
}

// wantEnd waits until a process has refused to start, and says why.
func (p *gatewayProcess) wantEnd(t *testing.T, why string) {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatalf("it waits, after %v", patience)
	}
	if !strings.Contains(p.Output(), why) || p.err == nil {
		t.Errorf("it ends with %v, want %q", p.err, why)
	}
}

// TestPipesOfAGateway: neither a start nor a stop waits for a named pipe in place of a file:
// the gateway says so and runs without the file, or does not start.
func TestPipesOfAGateway(t *testing.T) {
	t.Parallel()
	program, secret := buildGateway(t), filepath.Join(t.TempDir(), "secret")
	pipes(t, filepath.Dir(secret), "secret")
	config := writeFile(t, "gateway.yaml", string(simulatedWithoutInterlocks(t))+
		"webhook: {url: 'http://127.0.0.1:9/', secret_file: "+secret+"}\nuplink: {}\n")
	start := func(state string) *gatewayProcess {
		return launchGateway(t, program, "--simulate", "--config", config, "--listen", "127.0.0.1:0", "--state", state)
	}
	for _, tt := range []struct {
		broker string // of the fleet
		names  []string
	}{
		{"mqtts://127.0.0.1:9", []string{"state.json", "estop", "tokens.json", "tokens-used.json", "tokens-known.json", "alarms.json", "audit.key", "fleet.json"}},
		{"mqtts://127.0.0.1:9", []string{"log/sensors.json", "audit.anchor", "fleet-ca.crt", "fleet.key"}},
		{"mqtt://127.0.0.1:9", []string{"fleet-hubs.keys", "fleet.crt"}},
	} {
		state := t.TempDir()
		for name, text := range map[string]string{"fleet.json": `{"hub":"https://127.0.0.1:9","site":"lab","name":"pi-1","brokers":["` + tt.broker + `"]}`, "fleet.crt": "x"} {
			if err := os.WriteFile(filepath.Join(state, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		pipes(t, state, append(tt.names, "alarms.json.quick")...)
		p := start(state)
		p.await(t, "msg=ready")
		for _, name := range tt.names {
			p.await(t, filepath.Join(state, name)+" is no file but a pipe")
		}
		if err := p.Stop(t); err != nil {
			t.Errorf("%v: the gateway ends with %v", tt.names, err)
		}
	}
	state := t.TempDir()
	pipes(t, state, "uplink.json")
	start(state).wantEnd(t, "/uplink.json is no file but a pipe")
}

// TestPipesOfAHub does the same with a hub.
func TestPipesOfAHub(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	if err := h.Stop(t); err != nil {
		t.Fatal(err)
	}
	names := []string{"tokens.json", "audit.key", "hubs.removed", "gateways/pi-1/gateway.json"}
	pipes(t, h.state, names...)
	h.start()
	for _, name := range names {
		h.await(t, filepath.Join(h.state, name)+" is no file but a pipe")
	}
	if err := h.Stop(t); err != nil {
		t.Errorf("the hub ends with %v", err)
	}
	pipes(t, h.state, "members.json")
	h.refuse("/members.json is no file but a pipe", "hub", "code", "--site", "lab", "--state", h.state)
	for _, name := range []string{"members.json", "hubs.keys", "hub.key", "ca.key", "ca.crt"} { // each is read before the one before it
		pipes(t, h.state, name)
		launchGateway(t, h.program, "hub", "--state", h.state, "--listen", "127.0.0.1:0").wantEnd(t, "/"+name+" is no file but a pipe")
	}
}
