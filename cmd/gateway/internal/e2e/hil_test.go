package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
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
	hil.buildMuxDriver(t, payload)
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

// virtualMachine skips the test if there is no virtual machine, or nobody asked for it.
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

// buildMuxDriver puts the kernel's driver of multiplexers, which Debian's kernel lacks, into
// the payload, if its source and headers are here; otherwise its scenario is skipped.
func (hil machineHIL) buildMuxDriver(t *testing.T, payload string) {
	t.Helper()
	if out, err := exec.Command(string(hil), "prepare").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cache := os.Getenv("HIL_CACHE")
	if cache == "" {
		cache = filepath.Join(os.Getenv("HOME"), ".cache/gateway-hil")
	}
	core, err := filepath.Glob(cache + "/kernel/lib/modules/*/kernel/drivers/i2c/i2c-mux.ko")
	if err != nil || len(core) == 0 {
		t.Log("no module i2c-mux.ko: the kernel's multiplexers are not tried")
		return
	}
	version := strings.Split(strings.TrimPrefix(core[0], cache+"/kernel/lib/modules/"), "/")[0]
	headers, source := "/usr/src/linux-headers-"+version, cache+"/linux-source-6.1/drivers/i2c/muxes/i2c-mux-pca954x.c"
	for _, needed := range []string{headers, source} {
		if _, err := os.Stat(needed); err != nil {
			t.Logf("%v: the kernel's multiplexers are not tried", err)
			return
		}
	}
	dir := t.TempDir()
	build := exec.Command("make", "-C", headers, "M="+dir, "modules")
	for to, from := range map[string]string{
		filepath.Join(dir, "i2c-mux-pca954x.c"): source,
		filepath.Join(payload, "i2c-mux.ko"):    core[0],
	} {
		if err := copyFile(to, from); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "Kbuild"), []byte("obj-m := i2c-mux-pca954x.o\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build.Args, err, out)
	}
	if err := copyFile(filepath.Join(payload, "i2c-mux-pca954x.ko"), filepath.Join(dir, "i2c-mux-pca954x.ko")); err != nil {
		t.Fatal(err)
	}
}
