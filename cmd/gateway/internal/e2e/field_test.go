package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What was recorded here is replayed anywhere: as fast as it goes and compared, or
// served at its speed.
func TestRecordAndReplay(t *testing.T) {
	t.Parallel()
	bin, file := buildGateway(t), filepath.Join(t.TempDir(), "bus.trace")
	out, err := exec.Command(bin, "record", "--simulate=flaky:7", "--for", "4s", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "failed, are in "+file) {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err = exec.Command(bin, "replay", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), " 0 end otherwise now\n") || !strings.Contains(string(out), "indoor  sht3x 0x44 on bus 1, every 100ms\n") {
		t.Errorf("%v\n%s", err, out)
	}

	p := startGateway(t, bin, "--replay", file, "--listen", "127.0.0.1:0")
	var reading struct {
		Payload struct {
			Temp  *float32
			Fault string
		}
	}
	for end := time.Now().Add(patience); reading.Payload.Temp == nil; {
		r, err := http.Get(strings.Replace(p.URL, "ws://", "http://", 1) + "sensors/outdoor")
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(r.Body).Decode(&reading)
		r.Body.Close()
		if time.Now().After(end) || err != nil {
			t.Fatalf("no reading: %+v, %v", reading, err)
		}
	}
	trace, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bits := fmt.Sprintf(`"values":"%08x `, math.Float32bits(*reading.Payload.Temp)); !strings.Contains(string(trace), bits) {
		t.Errorf("%v was served, which was not recorded", *reading.Payload.Temp)
	}

	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"record", "--simulate", file}, 1, "fix: name another file"},
		{[]string{"record", "--simulate", "--size", "5", file + "2"}, 2, "write it as 64MiB or 1GiB"},
		{[]string{"record"}, 2, "takes one file"},
		{[]string{"replay", bin}, 1, "line 1: not a trace of the gateway"},
		{[]string{"--replay", file, "--simulate"}, 2, "--replay goes without --simulate"},
		{[]string{"--replay", "/nope"}, 1, "/nope: no such file"},
	} {
		out, err := exec.Command(bin, tt.args...).CombinedOutput()
		if exitCode(err) != tt.code || !strings.Contains(string(out), tt.says) {
			t.Errorf("%v: %v\n%s", tt.args, err, out)
		}
	}
}

// On a machine whose gateway runs, read and scan ask it, and leave its bus alone.
func TestReadAsksTheRunningGateway(t *testing.T) {
	t.Parallel()
	bin, address := buildGateway(t), freeAddress(t)
	cfg := writeFile(t, "gateway.yaml", "listen: "+address+"\nsensors:\n  - {name: indoor, chip: sht3x}\n  - {name: greenhouse, chip: aht20}\n")
	p := startGateway(t, bin, "--simulate", "--config", cfg)
	// A busy machine may fail a reading, the first one above all.
	untilSays := func(args []string, texts ...string) {
		t.Helper()
		missing := func(s string) bool {
			return slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(s, text) })
		}
		for end := time.Now().Add(patience); ; {
			out, err := exec.Command(bin, args...).CombinedOutput()
			if !missing(string(out)) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%v does not say %q: %v\n%s", args, texts, err, out)
			}
		}
	}
	untilSays([]string{"read", "--config", cfg}, "indoor  2", "greenhouse  2", " ms ago", "  from the gateway that runs at http://"+address)
	out, err := exec.Command(bin, "scan", "--config", cfg, "1").CombinedOutput()
	if exitCode(err) != 1 || !strings.Contains(string(out), "0x38  the gateway that runs has it, as greenhouse\n") &&
		!strings.Contains(string(out), "open /dev/i2c-1") {
		t.Errorf("%v\n%s", err, out)
	}
	untilSays([]string{"doctor", "--json", "--config", cfg},
		`"check":"users","verdict":"PASS","evidence":"the gateway that runs at http://`+address, `°C, `, ` ms ago, says the gateway"`)
	if err := p.Stop(t); err != nil {
		t.Fatal(err)
	}
	// Without one they use the bus, which is not there.
	out, err = exec.Command(bin, "read", "--config", cfg).CombinedOutput()
	if exitCode(err) != 1 || !strings.Contains(string(out), "FAIL: ") || strings.Contains(string(out), "the gateway that runs") {
		t.Errorf("%v\n%s", err, out)
	}
}
