package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestHILTools tries the commands for people at a machine that gives no readings, with the
// faults that the virtual machine can make; and the Debian package: installed, upgraded
// while a motor runs, downgraded, upgraded to a version that does not start, removed,
// purged. A recording that is made there is replayed here.
func TestHILTools(t *testing.T) {
	hil := virtualMachine(t)
	payload, updated := t.TempDir(), buildPackage(t, "v1.1.0")
	hil.run(t, payload, map[string]string{
		"run":         "testdata/hiltools/run",
		"gateway":     buildGateway(t, "GOOS=linux", "GOARCH=amd64"),
		"old.deb":     buildPackage(t, "v1.0.0"),
		"new.deb":     updated,
		"bad.deb":     repackage(t, updated, "1.0.5", "exec sleep 1000"),
		"motors.yaml": "testdata/hiltools/motors.yaml",
	})
	out, err := exec.Command(buildGateway(t), "replay", filepath.Join(payload, "out/bus.trace")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), " 0 end otherwise now") || strings.Contains(string(out), " 0 of them failed") {
		t.Errorf("%v\n%s", err, out)
	}
}
