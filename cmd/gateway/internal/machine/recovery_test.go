package machine

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"sensorgateway/cmd/gateway/internal/config"
)

// The header's pins are clocked for the header's bus only: not for that of a USB adapter,
// nor for one whose adapter is gone.
func TestFreeLinesOfTheHeaderOnly(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has the registers in a file")
	}
	root := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("proc/device-tree/compatible", "raspberrypi,4-model-b\x00brcm,bcm2711\x00")
	write("sys/class/i2c-dev/i2c-1/name", "bcm2835 (i2c@7e804000)\n")
	write("sys/devices/usb1/1-1/i2c-23/name", "i2c-tiny-usb at bus 001 device 004\n")
	if err := os.Symlink(filepath.Join(root, "sys/devices/usb1/1-1/i2c-23"), filepath.Join(root, "sys/class/i2c-dev/i2c-23")); err != nil {
		t.Fatal(err)
	}
	page := make([]byte, 0x1000)
	binary.NativeEndian.PutUint32(page, 4<<6|4<<9)        // GPIO 2 and 3 are the bus's
	binary.NativeEndian.PutUint32(page[0x34:], 1<<2|1<<3) // and high
	for name, want := range map[string]string{
		"1":             "",
		"23":            "bus 23 is a USB adapter, not the header's",
		"24":            "bus 24 has no adapter now; fix: plug it in",
		"no-such-cable": "bus no-such-cable has no adapter now",
		"/dev/i2c-gone": "bus /dev/i2c-gone has no adapter now",
	} {
		write("dev/gpiomem", string(page))
		err := freeLines(root, name)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		after, err := os.ReadFile(filepath.Join(root, "dev/gpiomem"))
		if err != nil {
			t.Fatal(err)
		}
		if clocked := string(after) != string(page); clocked != (want == "") {
			t.Errorf("%s: clocked is %v", name, clocked)
		}
	}
}

// The helper unit is not asked to rebind the adapter of a bus that has none: it takes
// nothing but a number for a request, and would be started for the file again and again.
func TestNoRebindWithoutAnAdapter(t *testing.T) {
	for _, name := range []string{"no-such-cable", "/dev/i2c-gone", "250"} {
		if err := furtherSteps([]string{config.Rebind}, name)[0].Take(); err == nil || !strings.Contains(err.Error(), "has no adapter now") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
