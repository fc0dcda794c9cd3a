//go:build unix

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sensorgateway/wire"
)

// fleetKnown is a hub's file about a gateway.
type fleetKnown struct {
	Hello struct {
		Nonce   string
		Sensors []struct{ Name string }
	}
	Presence struct{ State string }
	Stored   int64
	Head     struct{ Seq int }
}

// known waits until a hub's file about a gateway is as it should be.
func (h *hubProcess) known(gateway string, is func(fleetKnown) bool) (k fleetKnown) {
	h.t.Helper()
	eventually(h.t, 3*time.Minute, func() (string, bool) {
		text, _ := os.ReadFile(filepath.Join(h.state, "gateways", gateway, "gateway.json"))
		return fmt.Sprintf("what is known of %s: %s", gateway, text), json.Unmarshal(text, &k) == nil && is(k)
	})
	return k
}

// awaitStored waits until readings from a time on are durable at the hub.
func (h *hubProcess) awaitStored(token string, from time.Time) {
	h.t.Helper()
	eventually(h.t, 5*time.Minute, func() (string, bool) {
		_, body := h.get("/api/v1/gateways", token)
		var all struct{ Gateways []fleetKnown }
		return "the overview: " + body, json.Unmarshal([]byte(body), &all) == nil && len(all.Gateways) == 1 && all.Gateways[0].Stored > from.UnixMilli()
	})
}

// TestFleet: an enrolled gateway and its hub find each other over a broker without further
// configuration. The hub knows the gateway's hello and whether it is connected, and has its
// readings record for record, although both are killed meanwhile.
func TestFleet(t *testing.T) {
	t.Parallel()
	long(t, "it takes some minutes, for readings go up by the minute")
	m := startMosquitto(t, "allow_anonymous true")
	h := startHub(t, "--broker", "mqtt://"+m.Address, "--site", "lab")
	device := t.TempDir()
	h.want("pi-1", h.enroll(device, "pi-1", h.code("--site", "lab"))...)
	config := writeFile(t, "gateway.yaml", string(simulatedWithoutInterlocks(t))+"uplink: {}\n")
	start := func() *gatewayProcess {
		t.Helper()
		return startGateway(t, h.program, "--simulate", "--config", config, "--state", device, "--listen", "127.0.0.1:0")
	}
	p := start()
	first := h.known("pi-1", func(k fleetKnown) bool { return k.Presence.State == "here" && len(k.Hello.Sensors) > 1 })
	p.Kill(t)
	p = start()
	second := h.known("pi-1", func(k fleetKnown) bool { return k.Presence.State == "here" && k.Hello.Nonce != first.Hello.Nonce })
	h.Kill(t)
	h.start()
	if again := h.known("pi-1", func(fleetKnown) bool { return true }); again.Hello.Nonce != second.Hello.Nonce {
		t.Errorf("a hub that was killed knows %+v, and knew %+v", again, second)
	}

	token := h.want("gwt_", "token", "add", "root", "--role", "admin", "--state", h.state)
	h.awaitStored(token, time.Now())
	p.Kill(t)
	p = start()
	h.awaitStored(token, time.Now())
	if err := p.Stop(t); err != nil {
		t.Fatal(err)
	}
	h.known("pi-1", func(k fleetKnown) bool { return k.Presence.State == "away" })
	if err := h.Stop(t); err != nil {
		t.Fatal(err)
	}
	for _, sensor := range first.Hello.Sensors {
		want, got := recordsIn(t, filepath.Join(device, "log"), sensor.Name), h.stored("pi-1", sensor.Name)
		if len(got) < 600 || len(got) > len(want) {
			t.Errorf("%s: the hub has %d records of the gateway's %d", sensor.Name, len(got), len(want))
			continue
		}
		for i, r := range got {
			if x := want[i]; !bytes.Equal(r.Append(nil), x.Append(nil)) { // also what is no number
				t.Errorf("%s: the hub's record %d of %d is %+v, the gateway's %+v", sensor.Name, i, len(got), r, x)
				break
			}
		}
	}
	if strings.Contains(h.Output(), "panic") {
		t.Error(h.Output())
	}
}

// BenchmarkStopThroughHub measures how long a client of a hub waits until a motor of a gateway
// is stopped: the hub signs the order, the broker passes it on, the gateway checks it and answers.
func BenchmarkStopThroughHub(b *testing.B) {
	m := startMosquitto(b, "allow_anonymous true", "set_tcp_nodelay true") // as configs/mosquitto.conf
	h := startHub(b, "--broker", "mqtt://"+m.Address, "--site", "lab")
	device := b.TempDir()
	h.want("pi-1", h.enroll(device, "pi-1", h.code("--site", "lab"))...)
	config := writeFile(b, "gateway.yaml", string(simulatedWithoutInterlocks(b))+"uplink: {}\n")
	startGateway(b, h.program, "--simulate", "--config", config, "--state", device, "--listen", "127.0.0.1:0")
	h.known("pi-1", func(k fleetKnown) bool { return k.Presence.State == "here" && len(k.Hello.Sensors) > 1 })
	token := h.want("gwt_", "token", "add", "root", "--role", "admin", "--state", h.state)
	h.awaitAnswer("/api/v1/audit", token, "records") // the hub has seen the token
	h.awaitAnswer("/gateways/pi-1/api/v1/motors", token, "motor_1")
	c := h.dial("/gateways/pi-1/", token)
	_ = c.SetReadDeadline(time.Time{})
	o := motorClientOf(b, c)
	pace := time.NewTicker(200 * time.Millisecond) // a client may send 20 messages a second
	defer pace.Stop()
	var took []time.Duration
	for b.Loop() {
		if a := o.ask("command", `{"action":"start","target":"motor_1","speed":1,"lease_ms":20000}`); !a.Payload.State.Running {
			b.Fatalf("start: %+v", a)
		}
		begin := time.Now()
		a := o.ask("command", `{"action":"stop","target":"motor_1"}`)
		took = append(took, time.Since(begin))
		if a.Type != wire.TypeAck || a.Payload.State.Running {
			b.Fatalf("stop: %+v", a)
		}
		<-pace.C
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
}
