package hil

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sensorgateway/sensors/sim"
)

// freezing is the bus of an adapter that, once stuck, fails each transfer until its driver is
// bound again. Its SHT31 also has the registers of alert limits, which the kernel's driver
// reads first.
type freezing struct {
	i2cBus
	stuck  atomic.Bool
	limits bool // one of them is asked for
}

var errStuck = errors.New("the adapter is stuck")

func (f *freezing) Tx(addr uint16, w, r []byte) error {
	if f.stuck.Load() {
		return errStuck
	}
	if f.limits = f.limits && len(w) == 0 || len(w) == 2 && w[0] == 0xE1; f.limits { // datasheet, section 4.11
		copy(r, []byte{0, 0, 0x81})
		return nil
	}
	return f.i2cBus.Tx(addr, w, r)
}

// plugFreezing plugs an adapter with an SHT31 at 0x44 into the first port, and returns it
// with the number of its bus.
func plugFreezing(t *testing.T) (adapter *usbAdapter, b *freezing, number string) {
	t.Helper()
	loadUSB(t)
	systemctl(t, "stop")
	t.Cleanup(func() { systemctl(t, "start") })
	chips := sim.NewBus("usb", sim.NewEnvironment(1), 1)
	if err := chips.Add("sht3x", 0x44, sim.Indoor); err != nil {
		t.Fatal(err)
	}
	b = &freezing{i2cBus: chips}
	adapter = plugUSBWith(t, 0, b)
	within(t, 10*time.Second, "a bus", func() bool { return adapter.bus() != "" })
	t.Cleanup(func() {
		adapter.pull()
		within(t, 10*time.Second, "it is pulled", func() bool { return !adapter.there() })
	})
	return adapter, b, strings.TrimPrefix(adapter.bus(), "i2c-")
}

// TestKernelDriver binds a chip to the kernel's own driver: scan and doctor say so, read
// asks the kernel, and doctor's fix releases the chip.
func TestKernelDriver(t *testing.T) {
	_, _, number := plugFreezing(t)
	if b, err := exec.Command("modprobe", "sht3x").CombinedOutput(); err != nil {
		t.Fatalf("modprobe sht3x: %v: %s", err, b)
	}
	device := number + "-0044"
	write(t, "/sys/bus/i2c/devices/i2c-"+number+"/new_device", "sht3x 0x44")
	within(t, 10*time.Second, "the kernel has it", func() bool {
		_, err := os.Stat("/sys/bus/i2c/devices/" + device + "/driver")
		return err == nil
	})
	want := func(said string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !strings.Contains(said, text) {
				t.Errorf("no %q in\n%s", text, said)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, file, fmt.Sprintf("listen: 127.0.0.1:8766\nsensors: [{name: indoor, chip: sht3x, bus: %s}]\n", number))
	want(run(t, -1, "scan"), "  0x44  the kernel's driver sht3x has it\n", "the kernel's hwmon\n", "  "+device+"  ", "    chip: hwmon\n    device: sht3x\n")
	fix := fmt.Sprintf("echo %s | sudo tee /sys/bus/i2c/drivers/sht3x/unbind", device)
	want(run(t, 1, "doctor", "--config", file), "FAIL  indoor       SHT3x at 0x44 of bus "+number+": the kernel's driver sht3x has the chip", fix)
	want(run(t, 0, "read", "hwmon@sht3x"), "hwmon@sht3x  hwmon, hwmon sht3x  ")

	write(t, "/sys/bus/i2c/drivers/sht3x/unbind", device)
	want(run(t, -1, "scan", number), "  0x44  SHT3x, status ")
	want(run(t, -1, "doctor", "--config", file, "--reads", "2"), "PASS  indoor       SHT3x at 0x44 of bus "+number+": ")
	write(t, "/sys/bus/i2c/devices/i2c-"+number+"/delete_device", "0x44")
}

// TestStuckAdapter: the gateway asks the helper unit to rebind a stuck adapter, and then goes
// on reading.
func TestStuckAdapter(t *testing.T) {
	adapter, b, number := plugFreezing(t)
	if err := os.MkdirAll("/run/gateway", 0o755); err != nil { // the service's, which is stopped
		t.Fatal(err)
	}
	ask := startGateway(t, fmt.Sprintf("bus_recovery: [rebind]\nsensors: [{name: usb, chip: sht3x, bus: %s, interval: 500ms}]\n", adapter.port))
	good := func() bool { return strings.Contains(ask("/sensors/usb"), `"temp":`) }
	within(t, 20*time.Second, "a reading", good)
	if said := run(t, 1, "rebind", number); !strings.Contains(said, "gateway (process ") || !strings.Contains(said, "has /dev/i2c-"+number+" open; fix: stop it first") {
		t.Errorf("%s", said)
	}
	before := readings(ask("/metrics"))
	b.stuck.Store(true)
	took := within(t, time.Minute, "it is rebound", func() bool {
		return strings.Contains(ask("/metrics"), fmt.Sprintf("gateway_bus_recoveries_helped_total{bus=%q,step=\"rebind\"} 1", adapter.port))
	})
	within(t, 20*time.Second, "readings go on", func() bool { n := readings(ask("/metrics")); return n != "" && n != before && good() })
	journal, err := exec.Command("journalctl", "-u", "gateway-rebind", "-o", "cat", "--no-pager").CombinedOutput()
	if err != nil || !strings.Contains(string(journal), "i2c-"+number+" was rebound to its driver i2c-tiny-usb") {
		t.Errorf("%v\n%s", err, journal)
	}
	t.Logf("read again after %v", took)
}
