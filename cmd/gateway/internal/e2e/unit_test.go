package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const unitFile = projectRoot + "/systemd/gateway.service"

// hubUnitFile is the hub's unit; a hub usually runs on another machine.
const hubUnitFile = projectRoot + "/systemd/gateway-hub.service"

// rebindUnitFile is the unit of the helper, which runs as root for a moment.
const rebindUnitFile = projectRoot + "/systemd/gateway-rebind.service"

// eachUnit runs a test for each unit.
func eachUnit(t *testing.T, test func(t *testing.T, file string)) {
	for _, file := range []string{unitFile, hubUnitFile, rebindUnitFile} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			test(t, file)
		})
	}
}

// maxExposure limits the unit's exposure by systemd-analyze, from 0 (nothing can be
// harmed) to 10; a service without hardening has 9.2.
const maxExposure = 2.0

// maxRootExposure is that of the helper, which writes to /sys as root.
const maxRootExposure = 3.0

func TestUnitIsValid(t *testing.T) { eachUnit(t, unitIsValid) }

func unitIsValid(t *testing.T, unitFile string) {
	analyze := findTool(t, "systemd-analyze", "systemd")
	unit, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	// systemd-analyze verify needs the program at the unit's path.
	const installed = "/usr/bin/gateway"
	if !strings.Contains(string(unit), "\nExecStart="+installed+" ") {
		t.Fatalf("%s does not start %s", unitFile, installed)
	}
	staged := filepath.Join(t.TempDir(), filepath.Base(unitFile))
	if err := os.WriteFile(staged, []byte(strings.ReplaceAll(string(unit), installed, buildGateway(t))), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", staged).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

func TestUnitIsHardened(t *testing.T) { eachUnit(t, unitIsHardened) }

func unitIsHardened(t *testing.T, unitFile string) {
	analyze := findTool(t, "systemd-analyze", "systemd")
	cmd := exec.Command(analyze, "security", "--offline=true", "--no-pager", unitFile)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		if strings.Contains(string(out), "unrecognized option") {
			unavailable(t, "systemd-analyze here is older than 250 and has no --offline")
		}
		t.Fatalf("systemd-analyze security: %v\n%s", err, out)
	}
	m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("systemd-analyze security names no overall exposure:\n%s", out)
	}
	exposure, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	limit := maxExposure
	if unitFile == rebindUnitFile {
		limit = maxRootExposure
	}
	if exposure > limit {
		t.Errorf("exposure %.1f, want at most %.1f:\n%s", exposure, limit, out)
	}
}
