package e2e

import (
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sensorgateway/wire"
)

// TestAlarmsFromTerminals: an alarm is listed, a viewer may not acknowledge it, an operator
// may, and gateway watch shows each change.
func TestAlarmsFromTerminals(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	config := writeFile(t, "gateway.yaml", `
sensors:
  - {name: indoor, chip: sht3x}
motors:
  - {name: fan, kind: on_off, pin: GPIO23}
alarms:
  - {name: always, condition: indoor.temperature > -40, severity: critical}
  - {name: never, condition: indoor.temperature > 80}
`)
	p := startGateway(t, buildGateway(t), "--simulate", "--config", config, "--listen", "127.0.0.1:0", "--state", state)
	tokens := map[string]string{}
	for _, args := range [][]string{{"vera"}, {"otto", "--role", "operator"}} {
		out, err := exec.Command(buildGateway(t), append([]string{"token", "add", "--state", state}, args...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		tokens[args[0]] = strings.TrimSpace(string(out))
	}
	awaitToken(t, routeTo(p), tokens["otto"])
	command := func(who string, args ...string) *exec.Cmd {
		cmd := exec.Command(buildGateway(t), args...)
		cmd.Env = append(cmd.Environ(), "GATEWAY_TOKEN="+tokens[who])
		return cmd
	}
	listed := func() (a wire.Alarm) {
		t.Helper()
		out, err := command("vera", "alarms", p.URL).Output()
		if err != nil || len(out) > 0 && json.Unmarshal(out, &a) != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return a
	}
	await(t, "the alarm is listed", func() bool { return listed().Name == "always" })

	watch := command("vera", "watch", p.URL)
	r, w := io.Pipe()
	watch.Stdout = w
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	events := make(chan wire.Event, 1000) // more than come
	read := make(chan struct{})
	readings := make(chan struct{})
	go func() {
		defer close(read)
		first := readings
		for lines := json.NewDecoder(r); ; {
			var e wire.Event
			if lines.Decode(&e) != nil {
				return
			}
			if e.Kind == "" && first != nil {
				close(first)
				first = nil
			} else if e.Kind != "" {
				events <- e
			}
		}
	}()
	t.Cleanup(func() { _ = watch.Process.Kill(); _ = watch.Wait(); w.Close(); <-read })
	<-readings // it is connected

	for _, tt := range []struct {
		who, alarm string
		status     int
		want       string
	}{
		{"vera", "always", 1, "gateway: vera is a viewer"},
		{"otto", "never", 1, "never is not raised"},
		{"otto", "none", 1, "Unknown target: none"},
		{"otto", "always", 0, `"name":"always","state":"acknowledged","severity":"critical"`},
		{"otto", "always", 0, `"acknowledged":{"by":"otto"`}, // again: who was the first
	} {
		cmd := command(tt.who, "alarms", p.URL, "acknowledge", tt.alarm)
		out, _ := cmd.CombinedOutput()
		if status := cmd.ProcessState.ExitCode(); status != tt.status || !strings.Contains(string(out), tt.want) {
			t.Errorf("%s acknowledges %s: status %d: %s", tt.who, tt.alarm, status, out)
		}
	}
	if a := listed(); a.State != wire.AlarmAcknowledged || a.Acknowledged.By != "otto" {
		t.Errorf("listed: %+v", a)
	}
	for late := time.After(patience); ; {
		var e wire.Event
		select {
		case e = <-events:
		case <-late:
			t.Fatal("the change is not watched")
		}
		if e.Kind == wire.EventAlarm && e.Alarm == "always" { // others may occur on a busy machine
			if e.State != wire.AlarmAcknowledged || e.By != "otto" || e.Sensor != "indoor" {
				t.Errorf("watched: %+v", e)
			}
			break
		}
	}
	unknown := exec.Command(buildGateway(t), "alarms", p.URL)
	if out, err := unknown.CombinedOutput(); err == nil || !strings.Contains(string(out), "401 Unauthorized") {
		t.Errorf("without a token: %v: %s", err, out)
	}
}
