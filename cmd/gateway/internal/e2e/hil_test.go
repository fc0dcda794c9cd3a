package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// TestHIL installs the gateway in a virtual machine whose /dev/i2c-1 answers as
// real chips do and whose GPIO lines are the kernel's, under its own unit and a
// real systemd; what happens there is in testdata/hil. It runs when scripts/test
// asks.
func TestHIL(t *testing.T) {
	hil := virtualMachine(t)
	payload := t.TempDir()
	guest := []string{"GOOS=linux", "GOARCH=amd64"}
	scenarios := exec.Command("go", "test", "-c", "-o", filepath.Join(payload, "scenarios"), "./testdata/hil")
	scenarios.Env = append(append(os.Environ(), "CGO_ENABLED=0"), guest...)
	if out, err := scenarios.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	hil.run(t, payload, map[string]string{
		"gateway":                        buildGateway(t, guest...),
		"run":                            "testdata/hil/run",
		"gateway.yaml":                   "testdata/hil/gateway.yaml",
		"scripts/install":                projectRoot + "/scripts/install",
		"systemd/gateway.service":        unitFile,
		"systemd/gateway-rebind.service": rebindUnitFile,
		"systemd/gateway-rebind.path":    projectRoot + "/systemd/gateway-rebind.path",
		"systemd/update.sh":              projectRoot + "/systemd/update.sh",
		"configs/gateway.yaml":           projectRoot + "/configs/gateway.yaml",
	})
}

// machineHIL is the command that starts the virtual machine.
type machineHIL string

// virtualMachine skips the test where there is none, or nobody asked for it.
func virtualMachine(t *testing.T) machineHIL {
	t.Helper()
	if testing.Short() || os.Getenv("GATEWAY_TEST_HIL") == "" {
		t.Skip("the virtual machine is started by scripts/test (GATEWAY_TEST_HIL=1) only")
	}
	hil, err := filepath.Abs(filepath.Join(projectRoot, "../shared/hil/hil"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(hil); err != nil {
		t.Skipf("no virtual machine here: %v", err)
	}
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("the virtual machine needs root on Linux")
	}
	t.Parallel() // most of its time it waits for the machine
	return machineHIL(hil)
}

// run copies files into the payload and runs its file run in the machine.
func (hil machineHIL) run(t *testing.T, payload string, files map[string]string) {
	t.Helper()
	for to, from := range files {
		to = filepath.Join(payload, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := copyFile(to, from); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 14*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, string(hil), "run", payload)
	run.Env = append(os.Environ(), "LIMIT=800")
	run.WaitDelay = 30 * time.Second
	out, err := run.CombinedOutput()
	t.Logf("output of the machine:\n%s", out)
	if err != nil {
		lines, _ := os.ReadFile(filepath.Join(payload, "out", "gateway.log"))
		t.Fatalf("%v; the gateway's log lines:\n%s", err, lines)
	}
}
