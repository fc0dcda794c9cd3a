package hil

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sensorgateway/sensors/sim"
)

// TestKernelMultiplexer binds a multiplexer to the kernel's driver: each channel is a bus of
// its own, which is found by its name whatever its number is. scan, doctor and the gateway
// read the chips behind it, and all files are closed when the adapter is unplugged.
func TestKernelMultiplexer(t *testing.T) {
	if _, err := os.Stat("/hil/i2c-mux-pca954x.ko"); err != nil {
		t.Skip("there is no driver of multiplexers for this kernel")
	}
	loadUSB(t)
	for _, module := range []string{"i2c-mux", "i2c-mux-pca954x"} {
		if b, err := exec.Command("insmod", "/hil/"+module+".ko").CombinedOutput(); err != nil {
			t.Fatalf("insmod %s: %v: %s", module, err, b)
		}
	}
	systemctl(t, "stop")
	t.Cleanup(func() { systemctl(t, "start") })
	chips := sim.NewBus("usb", sim.NewEnvironment(1), 1)
	if err := chips.AddMux(0x70); err != nil {
		t.Fatal(err)
	}
	for channel, chip := range map[uint8]string{0: "sht3x", 3: "sht4x"} { // at one address
		if err := chips.Channel(0x70, channel).Add(chip, 0x44, sim.Indoor); err != nil {
			t.Fatal(err)
		}
	}
	adapter := plugUSBWith(t, 0, chips)
	within(t, 10*time.Second, "a bus", func() bool { return adapter.bus() != "" })
	number := strings.TrimPrefix(adapter.bus(), "i2c-")
	write(t, "/sys/bus/i2c/devices/i2c-"+number+"/new_device", "pca9548 0x70")
	name := func(channel int) string { return fmt.Sprintf("i2c-%s-mux (chan_id %d)", number, channel) }
	numberOf := func(channel int) string {
		names, _ := filepath.Glob(i2cClass + "/*/name")
		for _, file := range names {
			if b, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(b)) == name(channel) {
				return strings.TrimPrefix(filepath.Base(filepath.Dir(file)), "i2c-")
			}
		}
		return ""
	}
	within(t, 10*time.Second, "eight buses", func() bool {
		_, err := os.Stat("/dev/i2c-" + numberOf(7))
		return numberOf(7) != "" && err == nil
	})

	want := func(said string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !strings.Contains(said, text) {
				t.Errorf("no %q in\n%s", text, said)
			}
		}
	}
	want(run(t, -1, "scan", number), "  0x70  the kernel's driver pca954x has it\n")
	want(run(t, 0, "scan", numberOf(0)), "  0x44  SHT3x, status ", "    bus: "+name(0)+"\n")
	want(run(t, 0, "scan", numberOf(3)), "  0x44  SHT4x, serial number ", "    bus: "+name(3)+"\n")

	const form = "listen: 127.0.0.1:8766\nsensors:\n  - {name: a, chip: sht3x, bus: %s, interval: 500ms}\n  - {name: b, chip: sht4x, bus: %s, interval: 500ms}\n"
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, file, fmt.Sprintf(form, name(0), numberOf(3)))
	want(run(t, -1, "doctor", "--config", file, "--reads", "2"),
		"WARN  bus "+numberOf(3)+"        i2c-"+numberOf(3)+" is "+name(3)+", a multiplexer's channel: its number may change from boot to boot",
		"write bus: "+name(3), "PASS  a            SHT3x at 0x44 of bus "+name(0)+": ", "PASS  b            SHT4x at 0x44 of bus "+numberOf(3)+": ")

	ask := startGateway(t, strings.TrimPrefix(fmt.Sprintf(form, name(0), name(3)), "listen: 127.0.0.1:8766\n"))
	within(t, time.Minute, "readings of both", func() bool {
		return strings.Contains(ask("/sensors/a"), `"temp":`) && strings.Contains(ask("/sensors/b"), `"temp":`)
	})
	adapter.pull()
	within(t, 10*time.Second, "it is pulled", func() bool { return !adapter.there() && numberOf(0) == "" })
}
