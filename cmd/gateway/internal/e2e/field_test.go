package e2e

import (
	"os/exec"
	"strings"
	"testing"
)

// On a machine whose gateway runs, read and scan ask it, and leave its bus alone.
func TestReadAsksTheRunningGateway(t *testing.T) {
	t.Parallel()
	bin, address := buildGateway(t), freeAddress(t)
	cfg := writeFile(t, "gateway.yaml", "listen: "+address+"\nsensors:\n  - {name: indoor, chip: sht3x}\n  - {name: greenhouse, chip: aht20}\n")
	p := startGateway(t, bin, "--simulate", "--config", cfg)
	out, err := exec.Command(bin, "read", "--config", cfg).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "indoor  2") || !strings.Contains(string(out), " ms ago") ||
		strings.Count(string(out), "  from the gateway that runs at http://"+address) != 2 {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = exec.Command(bin, "scan", "--config", cfg, "1").CombinedOutput()
	if exitCode(err) != 1 || !strings.Contains(string(out), "0x38  the gateway that runs has it, as greenhouse\n") &&
		!strings.Contains(string(out), "open /dev/i2c-1") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = exec.Command(bin, "doctor", "--json", "--config", cfg).CombinedOutput()
	for _, s := range []string{`"check":"users","verdict":"PASS","evidence":"the gateway that runs at http://` + address, `°C, `, ` ms ago, says the gateway"`} {
		if !strings.Contains(string(out), s) {
			t.Errorf("doctor does not say %q: %v\n%s", s, err, out)
		}
	}
	if err := p.Stop(t); err != nil {
		t.Fatal(err)
	}
	// Without one they use the bus, which is not there.
	out, err = exec.Command(bin, "read", "--config", cfg).CombinedOutput()
	if exitCode(err) != 1 || !strings.Contains(string(out), "FAIL: ") || strings.Contains(string(out), "the gateway that runs") {
		t.Errorf("%v\n%s", err, out)
	}
}
