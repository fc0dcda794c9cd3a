package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// When a command cannot write because the disk is full, it reports an error with the fix.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	for _, args := range []string{"version", "config example", "config schema", "read --simulate", "scan --simulate", "doctor --simulate"} {
		var stderr bytes.Buffer
		cmd := exec.CommandContext(t.Context(), buildGateway(t), strings.Fields(args)...)
		cmd.Stdout, cmd.Stderr = full, &stderr
		err := cmd.Run()
		if code := exitCode(err); code != 1 || !strings.Contains(stderr.String(), "no space left on device; fix: make room on that disk") {
			t.Errorf("%s: exit %d\n%s", args, code, &stderr)
		}
	}
}

// A user who may not read the state is told which user may.
func TestStateOfAnother(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("another user needs root")
	}
	dir, err := os.MkdirTemp("", "gateway-test-state-") // that this user may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program, state := filepath.Join(dir, "gateway"), filepath.Join(dir, "state")
	if err := errors.Join(os.Chmod(dir, 0o755), copyFile(program, buildGateway(t)), os.Chmod(program, 0o755), os.Mkdir(state, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"token list", "token add x --role viewer", "backup x", "export", "audit", "hub list"} {
		cmd := exec.CommandContext(t.Context(), program, append(strings.Fields(args), "--state", state)...)
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, err := cmd.CombinedOutput()
		if code := exitCode(err); code != 1 || !strings.Contains(string(out), "permission denied; fix: run this as the ") {
			t.Errorf("%s: exit %d\n%s", args, code, out)
		}
	}
}
