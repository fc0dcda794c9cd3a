package e2e

import "testing"

// Only a reset ends an e-stop: no SIGTERM, no SIGKILL.
func TestEStopOutlivesTheGateway(t *testing.T) {
	t.Parallel()
	bin, dir, config := buildGateway(t), t.TempDir(), withoutInterlocks(t)
	begin := func() (*gatewayProcess, *motorClient) {
		p := startGateway(t, bin, "--simulate", "--config", config, "--listen", "127.0.0.1:0", "--state", dir)
		return p, newMotorClient(t, p.URL)
	}
	p, o := begin()
	if a := o.ask("command", `{"action":"estop"}`); a.Type != "ack" {
		t.Fatalf("estop: %+v", a)
	}
	by := o.LocalAddr().String()
	if err := p.Stop(t); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p, o = begin()
		if s := o.ask("command", `{"action":"status","target":"motor_1"}`).Payload.State; !s.Latched || s.Reason != "estop" || s.By != by {
			t.Errorf("after a restart: %+v", s)
		}
		if a := o.ask("command", `{"action":"start","target":"motor_1"}`); a.Payload.Code != 409 {
			t.Errorf("a start after a restart: %+v", a)
		}
		p.Kill(t)
	}
	p, o = begin()
	if a := o.ask("command", `{"action":"reset"}`); a.Type != "ack" {
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
