package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"sensorgateway/wire"
)

// Only a reset ends an e-stop: no SIGTERM, no SIGKILL. Everybody sees who pressed it
// and when, also after that.
func TestEStopOutlivesTheGateway(t *testing.T) {
	t.Parallel()
	bin, dir, config := buildGateway(t), t.TempDir(), withoutInterlocks(t)
	begin := func() (*gatewayProcess, *motorClient) {
		p := startGateway(t, bin, "--simulate", "--config", config, "--listen", "127.0.0.1:0", "--state", dir)
		return p, newMotorClient(t, p.URL)
	}
	p, o := begin()
	pressed := o.ask("command", `{"action":"estop"}`)
	if pressed.Type != "ack" || pressed.Payload.Kept != nil {
		t.Fatalf("estop: %+v", pressed)
	}
	by, at := o.LocalAddr().String(), motorsOf(t, p)[0].TS
	if err := p.Stop(t); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p, o = begin()
		hello := o.until(func(a answer) bool { return a.Type == "hello" }, nil).Payload.Motors[0]
		status := o.ask("command", `{"action":"status","target":"motor_1"}`).Payload.State
		for where, s := range map[string]wire.MotorState{"hello": hello, "status": status, "/api/v1/motors": motorsOf(t, p)[0]} {
			if !s.Latched || s.Reason != "estop" || s.By != by || s.TS != at {
				t.Errorf("%s after a restart: %+v, want by %s at %v", where, s, by, at)
			}
		}
		if a := o.ask("command", `{"action":"start","target":"motor_1"}`); a.Payload.Code != 409 {
			t.Errorf("a start after a restart: %+v", a)
		}
		p.Kill(t)
	}
	p, o = begin()
	if a := o.ask("command", `{"action":"reset"}`); a.Type != "ack" || a.Payload.Kept != nil {
		t.Fatalf("reset: %+v", a)
	}
	if err := p.Stop(t); err != nil {
		t.Fatal(err)
	}
	_, o = begin()
	if s := o.ask("command", `{"action":"status","target":"motor_1"}`).Payload.State; s.Latched || s.Reason != "boot" {
		t.Errorf("after a reset and a restart: %+v", s)
	}
}

// motorsOf returns what /api/v1/motors says.
func motorsOf(t testing.TB, p *gatewayProcess) []wire.MotorState {
	t.Helper()
	answer, err := http.Get(strings.Replace(p.URL, "ws", "http", 1) + "api/v1/motors")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var all struct{ Motors []wire.MotorState }
	if err := json.NewDecoder(answer.Body).Decode(&all); err != nil || len(all.Motors) == 0 {
		t.Fatalf("/api/v1/motors: %+v, %v", all, err)
	}
	return all.Motors
}

// An acknowledged e-stop survives, however soon the process is killed.
func TestEStopThenSIGKILL(t *testing.T) {
	t.Parallel()
	bin := buildGateway(t)
	for range tenth(t, 50, "kills right behind the acknowledgement") {
		dir := t.TempDir()
		latched := true
		for _, action := range []string{"estop", "reset"} {
			p := startGateway(t, bin, "--simulate", "--listen", "127.0.0.1:0", "--state", dir)
			a := newMotorClient(t, p.URL).ask("command", fmt.Sprintf(`{"action":%q}`, action))
			p.Kill(t)
			if a.Type != "ack" {
				t.Fatalf("%s: %+v", action, a)
			}
			p = startGateway(t, bin, "--simulate", "--listen", "127.0.0.1:0", "--state", dir)
			if now := motorsOf(t, p)[0].Latched; now != latched && a.Payload.Kept == nil {
				t.Errorf("%s, SIGKILL, start: latched is %v", action, now)
			}
			p.Kill(t)
			latched = false
		}
	}
}

// An e-stop is stored although strangers hold all descriptors.
func TestEStopWithoutDescriptors(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no ulimit")
	}
	t.Parallel()
	bin, dir := buildGateway(t), t.TempDir()
	p := startGateway(t, "sh", "-c", `ulimit -n 64; exec "$@"`, "sh", bin, "--simulate", "--listen", "127.0.0.1:0", "--state", dir)
	o := newMotorClient(t, p.URL)
	address := o.RemoteAddr().String()
	var strangers []net.Conn
	for range 100 {
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			strangers = append(strangers, c)
		}
	}
	if a := o.ask("command", `{"action":"estop"}`); a.Type != "ack" || a.Payload.Kept != nil {
		t.Errorf("estop: %+v", a)
	}
	p.Kill(t)
	for _, c := range strangers {
		c.Close()
	}
	p = startGateway(t, bin, "--simulate", "--listen", "127.0.0.1:0", "--state", dir)
	if !motorsOf(t, p)[0].Latched {
		t.Error("the e-stop was forgotten")
	}
}

// Without a state directory nothing is kept over a restart, and the answer says so.
func TestEStopWithoutState(t *testing.T) {
	t.Parallel()
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	if a := newMotorClient(t, p.URL).ask("command", `{"action":"estop"}`); a.Type != "ack" || a.Payload.Kept == nil || *a.Payload.Kept {
		t.Errorf("estop: %+v", a)
	}
}
