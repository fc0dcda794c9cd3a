package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFleetScript: scripts/fleet, which measures a fleet, finds that each hub and each
// dashboard has each reading once, and prints what a gateway costs.
func TestFleetScript(t *testing.T) {
	t.Parallel()
	long(t, "it is a fleet of five gateways for a minute")
	findTool(t, "mosquitto", "mosquitto")
	own := []string{"--net", "--map-root-user", "true"}
	if os.Getuid() == 0 {
		own = []string{"--net", "true"}
	}
	if out, err := exec.Command("unshare", own...).CombinedOutput(); err != nil {
		t.Skipf("no network of its own can be made here: %v: %s", err, out)
	}
	out, err := runScript(t, ".", nil, filepath.Join(projectRoot, "scripts", "fleet"), "--gateways", "5", "--dashboards", "4", "--minutes", "0.3", "--mosquitto")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"of which each hub has each once", "KiB RSS", "to the dashboard, live", "GB |"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	t.Log(out)
}
