package hil

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sensorgateway/sensors/sim"
)

// tca9546A is a bus whose multiplexer at 0x76 has four channels, which are scanned in half
// the time of eight.
type tca9546A struct{ *sim.Bus }

func (b tca9546A) Tx(addr uint16, w, r []byte) error {
	if addr == 0x76 && len(w) > 0 {
		w = []byte{w[len(w)-1] & 0x0F}
	}
	return b.Bus.Tx(addr, w, r)
}

// TestMultiplexers reads chips behind a multiplexer with a BME280's address, on a bus of the
// kernel: scan finds them and prints a valid configuration, doctor and the gateway read
// them, and the multiplexer is left as it was.
func TestMultiplexers(t *testing.T) {
	loadUSB(t)
	systemctl(t, "stop")
	t.Cleanup(func() { systemctl(t, "start") })
	chips := tca9546A{sim.NewBus("usb", sim.NewEnvironment(1), 1)}
	type wires interface {
		Add(string, uint16, sim.Place) error
	}
	add := func(on wires, chip string, addr uint16) {
		t.Helper()
		if err := on.Add(chip, addr, sim.Indoor); err != nil {
			t.Fatal(err)
		}
	}
	if err := chips.AddMux(0x76); err != nil {
		t.Fatal(err)
	}
	if err := chips.Tx(0x76, []byte{0x05}, nil); err != nil {
		t.Fatal(err)
	}
	add(chips, "bme280", 0x77)
	add(chips.Channel(0x76, 0), "sht3x", 0x44)
	add(chips.Channel(0x76, 2), "sht4x", 0x44)
	add(chips.Channel(0x76, 3), "sht3x", 0x44)
	adapter := plugUSBWith(t, 0, chips)
	within(t, 10*time.Second, "a bus", func() bool { return adapter.bus() != "" })
	number := strings.TrimPrefix(adapter.bus(), "i2c-")

	said := run(t, 0, "scan", number)
	form := regexp.MustCompile(`(?s)  0x76  TCA9546A, 4 channels
  0x77  BME280, id 0x60
  channel 0 of multiplexer 0x76
    0x44  SHT3x, status [^\n]*
  channel 2 of multiplexer 0x76
    0x44  SHT4x, serial number [^\n]*
  channel 3 of multiplexer 0x76
    0x44  SHT3x, status [^\n]*
  took [0-9]+ ms
.*  - name: sht3x_2
    chip: sht3x
    bus: i2c-tiny-usb
    mux: {address: 0x76, channel: 3}
    address: 0x44
`)
	if !form.MatchString(said) {
		t.Fatalf("%s", said)
	}
	var connects [1]byte
	if err := chips.Tx(0x76, nil, connects[:]); err != nil || connects[0] != 0x05 {
		t.Errorf("the multiplexer connects 0x%02x, %v; it was 0x05", connects[0], err)
	}

	_, yaml, _ := strings.Cut(said, "names of your own:\n\n")
	file := filepath.Join(t.TempDir(), "scan.yaml")
	if err := os.WriteFile(file, []byte("listen: 127.0.0.1:8766\n"+yaml), 0o644); err != nil {
		t.Fatal(err)
	}
	said = run(t, -1, "doctor", "--config", file, "--reads", "2") // other checks may fail here
	for _, want := range []string{
		"PASS  bme280       BME280 at 0x77 of bus i2c-tiny-usb: ",
		"PASS  sht3x        SHT3x at 0x44 of bus i2c-tiny-usb, channel 0 of multiplexer 0x76: ",
		"PASS  sht3x_2      SHT3x at 0x44 of bus i2c-tiny-usb, channel 3 of multiplexer 0x76: ",
		"PASS  sht4x        SHT4x at 0x44 of bus i2c-tiny-usb, channel 2 of multiplexer 0x76: ",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}

	ask := startGateway(t, yaml)
	within(t, time.Minute, "readings", func() bool {
		for _, sensor := range []string{"bme280", "sht3x", "sht3x_2", "sht4x"} {
			if !strings.Contains(ask("/sensors/"+sensor), `"temp":`) {
				return false
			}
		}
		return true
	})
	said = run(t, 1, "scan", "--config", file, number)
	if !strings.Contains(said, "    0x44  the gateway that runs has it, as sht3x_2\n") || !strings.Contains(said, "  FAIL: the gateway that runs switches the multiplexer at 0x76") {
		t.Errorf("%s", said)
	}
	adapter.pull()
	within(t, 10*time.Second, "it is pulled", func() bool { return !adapter.there() })
}

// run runs a command of the gateway, which must end with a status; -1 allows any. It returns
// the command's output.
func run(t *testing.T, status int, args ...string) string {
	t.Helper()
	cmd := exec.Command("/hil/gateway", args...)
	said, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); status >= 0 && got != status {
		t.Fatalf("gateway %v ends with %d, %v, not %d:\n%s", args, got, err, status, said)
	}
	return string(said)
}
