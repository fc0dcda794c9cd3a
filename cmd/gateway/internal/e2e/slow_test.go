package e2e

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A sensor that is read once an hour has a reading from the start on, for clients and for
// the motors that need it.
func TestSlowSensorAtTheStart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	config := `
sensors:
  - {name: slow, chip: sht3x, interval: 1h}
motors:
  - {name: fan, kind: on_off, pin: GPIO17, needs: [slow.age < 2h]}
`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startGateway(t, buildGateway(t), "--simulate", "--config", file, "--listen", "127.0.0.1:0")
	answer, err := http.Get(strings.Replace(p.URL, "ws", "http", 1) + "sensors/slow")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(body), `"temp":`) {
		t.Errorf("/sensors/slow: %s %s %v", answer.Status, body, err)
	}
	o := newMotorClient(t, p.URL)
	if a := o.ask("command", `{"action":"start","target":"fan"}`); a.Type != "ack" || !a.Payload.State.Running {
		t.Errorf("start: %+v", a)
	}
	p.await(t, "next=")
}
