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
		t.Skip(err) // not everybody may on Windows
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
