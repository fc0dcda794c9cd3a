package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// behindMuxes has chips with one address on a bus: behind three channels of two
// multiplexers, one of which has a BME280's address.
const behindMuxes = `sensors:
  - {name: hall, chip: bme280, address: 0x77}
  - {name: freezer, chip: sht3x, mux: {address: 0x70, channel: 0}}
  - {name: fridge, chip: sht3x, mux: {address: 0x70, channel: 7}}
  - {name: cellar, chip: sht3x, mux: {address: 0x76, channel: 3}}
`

// The lines that scan prints for chips behind multiplexers are a valid configuration, whose
// sensors can be read.
func TestScanBehindMultiplexers(t *testing.T) {
	t.Parallel()
	bin, cfg := buildGateway(t), writeFile(t, "gateway.yaml", behindMuxes)
	out, err := exec.Command(bin, "scan", "--simulate", "--config", cfg).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	form := regexp.MustCompile(`^bus 1, emulated
  0x70  TCA9548A, 8 channels
  0x76  TCA9548A, 8 channels
  0x77  BME280, id 0x60
  channel 0 of multiplexer 0x70
    0x44  SHT3x, status .*
  channel 7 of multiplexer 0x70
    0x44  SHT3x, status .*
  channel 3 of multiplexer 0x76
    0x44  SHT3x, status .*
  took [0-9]+ ms
`)
	_, yaml, _ := strings.Cut(string(out), "For the configuration, with names of your own:\n\n")
	if !form.Match(out) || !strings.Contains(yaml, "    bus: 1\n    mux: {address: 0x76, channel: 3}\n    address: 0x44\n") {
		t.Errorf("%s", out)
	}
	out, err = exec.Command(bin, "read", "--simulate", "--json", "--config", writeFile(t, "scan.yaml", yaml)).CombinedOutput()
	for _, want := range []string{
		`"sensor":"bme280","chip":"bme280","bus":"1","address":"0x77"`,
		`"sensor":"sht3x","chip":"sht3x","bus":"1","mux":{"address":112,"channel":0},"address":"0x44"`,
		`"sensor":"sht3x_2","chip":"sht3x","bus":"1","mux":{"address":112,"channel":7},"address":"0x44"`,
		`"sensor":"sht3x_3","chip":"sht3x","bus":"1","mux":{"address":118,"channel":3},"address":"0x44"`,
	} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%v, no %s in\n%s", err, want, out)
		}
	}
	out, err = exec.Command(bin, "scan", "--simulate", "--json", "--config", cfg).CombinedOutput()
	for _, want := range []string{
		`{"address":"0x76","model":"TCA9548A","channels":8,"seen":"8 channels",`,
		`{"mux":{"address":118,"channel":3},"address":"0x44","model":"SHT3x","chip":"sht3x",`,
	} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%v, no %s in\n%s", err, want, out)
		}
	}
}

// A running gateway switches its multiplexers itself: scan lists its sensors, and does not
// use the bus.
func TestScanLeavesAlone(t *testing.T) {
	t.Parallel()
	bin, address := buildGateway(t), freeAddress(t)
	cfg := writeFile(t, "gateway.yaml", "listen: "+address+"\n"+behindMuxes)
	p := startGateway(t, bin, "--simulate", "--config", cfg)
	want := `bus 1
  0x77  the gateway that runs has it, as hall
  channel 0 of multiplexer 0x70
    0x44  the gateway that runs has it, as freezer
  channel 7 of multiplexer 0x70
    0x44  the gateway that runs has it, as fridge
  channel 3 of multiplexer 0x76
    0x44  the gateway that runs has it, as cellar
  FAIL: the gateway that runs switches the multiplexer at 0x76: who answers now may be behind any channel
  stop it to scan this bus: sudo systemctl stop gateway
`
	if _, err := os.Stat("/dev/i2c-1"); err == nil {
		t.Skip("this machine has a bus 1, with a name")
	}
	out, err := exec.Command(bin, "scan", "--config", cfg, "1").CombinedOutput()
	if exitCode(err) != 1 || !strings.HasPrefix(string(out), want) {
		t.Errorf("%v\n%s", err, out)
	}
	if err := p.Stop(t); err != nil {
		t.Fatal(err)
	}
}
