package bus

import (
	"os"
	"path/filepath"
	"testing"
)

func TestClaimed(t *testing.T) {
	devices := t.TempDir()
	chip := filepath.Join(devices, "1-0044")
	if err := os.Mkdir(chip, 0o755); err != nil {
		t.Fatal(err)
	}
	if driver, _, ok := claimed(devices, "1", 0x44); ok {
		t.Errorf("no driver, but %q", driver)
	}
	if err := os.Symlink("../../../../bus/i2c/drivers/sht3x", filepath.Join(chip, "driver")); err != nil {
		t.Skip(err) // on Windows not every user may make links
	}
	if driver, device, ok := claimed(devices, "1", 0x44); !ok || driver != "sht3x" || device != "1-0044" {
		t.Errorf("%q, %q, %v", driver, device, ok)
	}
	if driver, _, ok := claimed(devices, "1", 0x45); ok {
		t.Errorf("nobody there, but %q", driver)
	}
	if driver, _, ok := Claimed("987", 0x44); ok {
		t.Errorf("no such bus, but %q", driver)
	}
}

// On a channel of the kernel's multiplexer, the multiplexer and the other chips on its bus
// are the kernel's.
func TestClaimedUpstream(t *testing.T) {
	root := t.TempDir()
	devices, hardware := filepath.Join(root, "devices"), filepath.Join(root, "usb1/i2c-0")
	for _, dir := range []string{devices, hardware + "/0-0070", hardware + "/i2c-4/4-0044", hardware + "/i2c-5"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		devices + "/i2c-0": hardware, devices + "/i2c-4": hardware + "/i2c-4", devices + "/i2c-5": hardware + "/i2c-5",
		devices + "/0-0070": hardware + "/0-0070", devices + "/4-0044": hardware + "/i2c-4/4-0044",
		hardware + "/0-0070/driver": "../../../bus/i2c/drivers/pca954x", hardware + "/i2c-4/4-0044/driver": "../../../../bus/i2c/drivers/sht3x",
	} {
		if err := os.Symlink(target, link); err != nil {
			t.Skip(err) // on Windows not every user may make links
		}
	}
	for _, tt := range []struct {
		number string
		addr   uint16
		want   string
	}{
		{"0", 0x70, "pca954x 0-0070"}, {"4", 0x70, "pca954x 0-0070"}, {"5", 0x70, "pca954x 0-0070"},
		{"4", 0x44, "sht3x 4-0044"}, {"5", 0x44, ""}, {"0", 0x44, ""},
	} {
		got := ""
		if driver, device, ok := claimed(devices, tt.number, tt.addr); ok {
			got = driver + " " + device
		}
		if got != tt.want {
			t.Errorf("0x%02x of bus %s: %q, want %q", tt.addr, tt.number, got, tt.want)
		}
	}
}
