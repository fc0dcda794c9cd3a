package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sensorgateway/wire"
)

// gatewayCommand runs a subcommand, which must succeed, and returns what it wrote.
func gatewayCommand(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(buildGateway(t), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("gateway %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// refusedCommand runs a subcommand, which must fail with a reason.
func refusedCommand(t *testing.T, why string, args ...string) {
	t.Helper()
	out, err := exec.Command(buildGateway(t), args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), why) {
		t.Errorf("gateway %s: %v: %s, want %q", strings.Join(args, " "), err, out, why)
	}
}

// storedLines are all readings of a state directory, a line each.
func storedLines(t *testing.T, state string) []string {
	t.Helper()
	out, err := exec.Command(buildGateway(t), "export", "--state", state).Output()
	if err != nil {
		t.Fatalf("export of %s: %v", state, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// TestBackup: what a gateway has stored is restored elsewhere, from backups made while it
// measures at 10 Hz, while it is killed, and after its end: reading by reading, with its
// tokens, its audit log and its latched e-stop, but with other sequence numbers.
func TestBackup(t *testing.T) {
	t.Parallel()
	state, dir := t.TempDir(), t.TempDir()
	run := func(state string) *gatewayProcess {
		return startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0", "--state", state)
	}
	p := run(state)
	epoch := epochOf(t, p, "")
	token := strings.TrimSpace(gatewayCommand(t, "token", "add", "anna", "--role", "operator", "--state", state))
	awaitToken(t, routeTo(p), token)
	o := dialWith(t, p.URL, token)
	for i := range 5 {
		if got := o.command(fmt.Sprintf(`{"action":"start","target":"motor_1","run_ms":%d}`, 1000+i)); got != "ack" {
			t.Fatal(got)
		}
	}
	if got := o.command(`{"action":"estop"}`); got != "ack" {
		t.Fatal(got)
	}
	await(t, "three seconds of readings are stored", func() bool { return len(storedLines(t, state)) > 90 })

	// While it runs; and while it is killed.
	before := storedLines(t, state)
	running, killed, ended := filepath.Join(dir, "running"), filepath.Join(dir, "killed"), filepath.Join(dir, "ended")
	said := gatewayCommand(t, "backup", running, "--state", state)
	if info, err := os.Stat(running); err != nil || info.Mode().Perm() != 0o600 || !strings.Contains(said, running+": ") || !strings.Contains(said, " files, ") {
		t.Errorf("%v, %v: %s", info.Mode(), err, said)
	}
	refusedCommand(t, "is there already; fix: ", "backup", running, "--state", state)
	refusedCommand(t, "is in the state directory itself", "backup", filepath.Join(state, "x"), "--state", state)
	refusedCommand(t, "is no directory; fix: mount the disk that it is on, or mkdir -p ", "backup", filepath.Join(dir, "missing", "x"), "--state", state)
	refusedCommand(t, "no such file or directory; fix: name the gateway's state directory with --state", "backup", filepath.Join(dir, "x"), "--state", filepath.Join(dir, "missing"))
	refusedCommand(t, "takes the name of one file", "backup", "--state", state)
	refusedCommand(t, "a gateway runs with this state: ", "restore", running, "--state", state, "--force")
	inTheMiddle := exec.Command(buildGateway(t), "backup", killed, "--state", state)
	if err := inTheMiddle.Start(); err != nil {
		t.Fatal(err)
	}
	p.Kill(t)
	if err := inTheMiddle.Wait(); err != nil {
		t.Error(err)
	}
	gatewayCommand(t, "backup", ended, "--state", state)

	after := storedLines(t, state)
	for _, path := range []string{running, killed, ended} {
		restored := filepath.Join(dir, "restored from "+filepath.Base(path))
		gatewayCommand(t, "restore", path, "--state", restored)
		got := storedLines(t, restored)
		least := len(before)
		if path == ended {
			least = len(after)
		}
		wantBegin(t, path, got, after, least)
		if out, err := auditVerify(t, restored); err != nil || !strings.Contains(out, "are as they were written") {
			t.Errorf("%s: audit: %v: %s", path, err, out)
		}
		p := run(restored)
		r := routeTo(p)
		if got := answered(t, r, token); got != http.StatusOK {
			t.Errorf("%s: with the token: %d", path, got)
		}
		if got := answered(t, r, ""); got != http.StatusUnauthorized {
			t.Errorf("%s: without a token: %d", path, got)
		}
		if e := epochOf(t, p, token); e == epoch || e == "" {
			t.Errorf("%s: the epoch is still %s", path, e)
		}
		var hello wire.Hello
		c := dialWith(t, p.URL, token)
		if c.read("hello", &hello); len(hello.Motors) != 1 || !hello.Motors[0].Latched || hello.Motors[0].By != "anna" {
			t.Errorf("%s: %+v", path, hello.Motors)
		}
		if text := p.Output(); strings.Contains(text, "lost") || strings.Contains(text, "damaged") {
			t.Errorf("%s: %s", path, text)
		}
		if err := p.Stop(t); err != nil {
			t.Error(err)
		}
		wantBegin(t, path+", after a run", storedLines(t, restored), got, len(got))
		if out, err := auditVerify(t, restored); err != nil {
			t.Errorf("%s: audit after a run: %v: %s", path, err, out)
		}
		refusedCommand(t, "has a state already (", "restore", path, "--state", restored)
	}

	// An existing state is replaced with --force, but not by a damaged backup.
	restored := filepath.Join(dir, "restored from ended")
	data, err := os.ReadFile(ended)
	if err != nil {
		t.Fatal(err)
	}
	there := storedLines(t, restored)
	for what, bad := range map[string][]byte{"cut": data[:len(data)/2], "changed": append(append(bytes.Clone(data[:len(data)/2]), data[len(data)/2]^0xFF), data[len(data)/2+1:]...), "nothing": nil} {
		path := filepath.Join(dir, what)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		refusedCommand(t, "it is damaged: ", "restore", path, "--state", restored, "--force")
		wantBegin(t, what, storedLines(t, restored), there, len(there))
	}
	refusedCommand(t, "no such file", "restore", filepath.Join(dir, "missing"), "--state", restored, "--force")
	gatewayCommand(t, "restore", ended, "--state", restored, "--force")
	wantBegin(t, "replaced", storedLines(t, restored), after, len(after))
}

// wantBegin checks that readings begin as others do, and are so many at least.
func wantBegin(t *testing.T, what string, got, want []string, least int) {
	t.Helper()
	if len(got) < least {
		t.Errorf("%s: %d readings, want %d at least", what, len(got), least)
	}
	bySensor := func(lines []string) map[string][]string {
		all := map[string][]string{}
		for _, line := range lines {
			sensor := strings.Split(line, ",")[2]
			all[sensor] = append(all[sensor], line)
		}
		return all
	}
	wanted := bySensor(want)
	for sensor, lines := range bySensor(got) {
		for i := range min(len(lines), len(wanted[sensor])) {
			if lines[i] != wanted[sensor][i] {
				t.Fatalf("%s: reading %d of %s is %s, want %s", what, i, sensor, lines[i], wanted[sensor][i])
			}
		}
	}
}

func epochOf(t *testing.T, p *gatewayProcess, token string) string {
	t.Helper()
	var hello wire.Hello
	c := dialWith(t, p.URL, token)
	c.read("hello", &hello)
	c.Close()
	return hello.Epoch
}

// TestBackupIsKilled: a backup that is killed leaves the old file, or a whole new one.
func TestBackupIsKilled(t *testing.T) {
	t.Parallel()
	state, path := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0", "--state", state)
	await(t, "readings are stored", func() bool { return len(storedLines(t, state)) > 30 })
	gatewayCommand(t, "backup", path, "--state", state)
	for i := range tenth(t, 30, "backups that are killed") {
		cmd := exec.Command(buildGateway(t), "backup", path, "--force", "--state", state)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(i*7)*time.Millisecond, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // killed, or ended before
		timer.Stop()
		gatewayCommand(t, "restore", path, "--state", filepath.Join(t.TempDir(), fmt.Sprint(i)))
	}
	if err := p.Stop(t); err != nil {
		t.Error(err)
	}
}
