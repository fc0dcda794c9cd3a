package e2e

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestControlFromTerminals: one terminal keeps control while another one, with the same token,
// commands. A client with another token is told whom to ask, and gets control when the first ends.
func TestControlFromTerminals(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0", "--state", state)
	tokens := map[string]string{}
	for _, name := range []string{"anna", "ben"} {
		out, err := exec.Command(buildGateway(t), "token", "add", "--state", state, name, "--role", "operator").Output()
		if err != nil {
			t.Fatal(err)
		}
		tokens[name] = strings.TrimSpace(string(out))
	}
	awaitToken(t, routeTo(p), tokens["ben"])
	motor := func(who string, args ...string) *exec.Cmd {
		cmd := exec.Command(buildGateway(t), append([]string{"motor", p.URL}, args...)...)
		cmd.Env = append(cmd.Environ(), "GATEWAY_TOKEN="+tokens[who])
		return cmd
	}
	request := func(who, until string, more ...string) (cmd *exec.Cmd, output *bytes.Buffer) {
		t.Helper()
		cmd = motor(who, append([]string{"control", "request", "motor_1"}, more...)...)
		r, w := io.Pipe()
		cmd.Stdout, cmd.Stderr = w, w
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		output = new(bytes.Buffer)
		said, read := make(chan struct{}), make(chan struct{})
		ready := said
		go func() {
			defer close(read)
			for lines := bufio.NewScanner(r); lines.Scan(); {
				if output.WriteString(lines.Text() + "\n"); strings.Contains(lines.Text(), until) && said != nil {
					close(said)
					said = nil
				}
			}
		}()
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); w.Close(); <-read })
		select {
		case <-ready:
		case <-time.After(patience):
			t.Fatalf("%s: no %q", who, until)
		}
		return cmd, output
	}
	first, _ := request("anna", "you have control of motor_1")
	if out, err := motor("ben", "start", "motor_1", "--for", "1s").CombinedOutput(); err == nil || !strings.Contains(string(out), `motor_1 is under the control of anna: ask for it with a control message, action "request"`) {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := motor("anna", "start", "motor_1", "--for", "100ms").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	second, _ := request("ben", "anna is asked for control of motor_1", "--timeout", "60s")
	if out, err := motor("ben", "control", "grant", "motor_1").CombinedOutput(); err == nil || !strings.Contains(string(out), "ben requests control of motor_1 from anna, and not from you") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := motor("anna", "control", "grant", "motor_1").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if err := first.Wait(); err != nil { // control has passed to another
		t.Error(err)
	}
	if out, err := motor("anna", "status").CombinedOutput(); err != nil || !strings.Contains(string(out), `"control":{"by":"ben"`) {
		t.Errorf("%v: %s", err, out)
	}
	if err := second.Process.Kill(); err != nil {
		t.Error(err)
	}
	third, _ := request("anna", "you have control of motor_1")
	if err := third.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := third.Wait(); err != nil {
		t.Error(err)
	}
	if out, err := motor("anna", "status").CombinedOutput(); err != nil || strings.Contains(string(out), `"control"`) {
		t.Errorf("%v: %s", err, out)
	}
}
