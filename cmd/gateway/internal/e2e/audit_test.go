package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sensorgateway/gateway/audit"
	"sensorgateway/wire"
)

// auditRecords returns what "gateway audit --json" shows.
func auditRecords(t *testing.T, state string) (records []audit.Record) {
	t.Helper()
	out, err := exec.Command(buildGateway(t), "audit", "--json", "--state", state).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		var r audit.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		records = append(records, r)
	}
	return records
}

func auditVerify(t *testing.T, state string) (out string, err error) {
	t.Helper()
	b, err := exec.Command(buildGateway(t), "audit", "verify", "--state", state).CombinedOutput()
	return string(b), err
}

// The audit log has who did what, also after the process was killed; a change of it is
// found.
func TestAudit(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	argv := []string{buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0", "--state", state}
	acknowledged := 0
	for range 3 {
		p := startGateway(t, argv...)
		readV2(t, p.URL, func(wire.Record) bool { return true }) // audit records name the newest reading
		for i := range 10 {
			o := newMotorClient(t, p.URL) // a client may send 20 messages a second
			for _, action := range []string{fmt.Sprintf(`{"action":"start","target":"motor_1","run_ms":%d}`, 10_000+i), `{"action":"stop","target":"motor_1"}`} {
				a := o.ask("command", action)
				if a.Type != "ack" {
					t.Fatalf("%s: %+v", action, a)
				}
				if a.Payload.Audited == nil {
					acknowledged++
				}
			}
		}
		o := newMotorClient(t, p.URL)
		for range 5 { // moves nothing
			o.ask("command", `{"action":"stop","target":"motor_1"}`)
			o.ask("command", `{"action":"start","target":"motor_9"}`)
		}
		p.Kill(t)
	}
	commands, counted := 0, 0
	for _, r := range auditRecords(t, state) {
		switch {
		case r.Kind == audit.KindCommand && r.Chain == audit.Done:
			commands++
			if r.Name == "" || r.Result != "ok" || r.Epoch == "" || r.Newest == nil || !strings.Contains(string(r.What), `"target":"motor_1"`) {
				t.Errorf("%+v", r)
			}
		case r.Chain == audit.Counted:
			counted++
		}
	}
	if commands < acknowledged || acknowledged == 0 {
		t.Errorf("%d commands are recorded of %d acknowledged", commands, acknowledged)
	}
	if counted == 0 || counted > 20 {
		t.Errorf("%d records of what moved nothing", counted)
	}
	if out, err := auditVerify(t, state); err != nil || !strings.Contains(out, "as they were written") {
		t.Fatalf("%v: %s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(state, "audit", "done-*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%q %v", files, err)
	}
	text := mustRead(t, files[0])
	if err := os.WriteFile(files[0], []byte(strings.Replace(text, `"action":"stop"`, `"action":"halt"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := auditVerify(t, state); err == nil || !strings.Contains(out, "from record 3 on") {
		t.Errorf("%v: %s", err, out)
	}
}
