package bus

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2creg"
)

func TestRegister(t *testing.T) {
	const number = 987 // exists nowhere
	periphs := func() (i2c.BusCloser, error) { return nil, errors.New("periph's own") }
	if err := i2creg.Register("/dev/i2c-987", []string{"I2C987"}, number, periphs); err != nil {
		t.Fatal(err)
	}
	defer i2creg.Unregister("/dev/i2c-987")
	for range 2 {
		if err := Register(number); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"/dev/i2c-987", "I2C987", "987"} {
		if _, err := i2creg.Open(name); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Register(-2); err == nil {
		t.Error("-2 registered")
	}
}

func TestClaimed(t *testing.T) {
	devices := t.TempDir()
	chip := filepath.Join(devices, "1-0044")
	if err := os.Mkdir(chip, 0o755); err != nil {
		t.Fatal(err)
	}
	if driver, ok := claimed(devices, 1, 0x44); ok {
		t.Errorf("no driver, but %q", driver)
	}
	if err := os.Symlink("../../../../bus/i2c/drivers/sht3x", filepath.Join(chip, "driver")); err != nil {
		t.Skip(err) // not everybody may on Windows
	}
	if driver, ok := claimed(devices, 1, 0x44); !ok || driver != "sht3x" {
		t.Errorf("%q, %v", driver, ok)
	}
	if driver, ok := claimed(devices, 1, 0x45); ok {
		t.Errorf("nobody there, but %q", driver)
	}
	if driver, ok := Claimed(987, 0x44); ok {
		t.Errorf("no such bus, but %q", driver)
	}
}
