package bus

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A machine as sysfs shows it: the header's bus with a multiplexer that the kernel has,
// HDMI's, and USB adapters, one with such a multiplexer too.
func class(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	classes := filepath.Join(root, "class/i2c-dev")
	if err := os.MkdirAll(classes, 0o755); err != nil {
		t.Fatal(err)
	}
	for device, a := range map[string]struct{ at, name string }{
		"i2c-1":  {"platform/soc/fe804000.i2c", "bcm2835 (i2c@7e804000)"},
		"i2c-10": {"platform/soc/fe804000.i2c/i2c-1", "i2c-1-mux (chan_id 0)"},
		"i2c-11": {"platform/soc/fe804000.i2c/i2c-1", "i2c-1-mux (chan_id 3)"},
		"i2c-12": {"pci0000:00/usb1/1-1/1-1.2/1-1.2:1.0/i2c-3", "i2c-3-mux (chan_id 3)"},
		"i2c-20": {"platform/soc/fef04500.i2c", "fef04500.i2c"},
		"i2c-3":  {"pci0000:00/usb1/1-1/1-1.2/1-1.2:1.0", "i2c-tiny-usb at bus 001 device 004"},
		"i2c-4":  {"pci0000:00/usb1/1-1/1-1.3/1-1.3:1.0", "MCP2221 usb-i2c bridge"},
		"i2c-5":  {"pci0000:00/usb1/1-1/1-1.3/1-1.3.1/1-1.3.1:1.0", "i2c-tiny-usb at bus 001 device 007"},
	} {
		dir := filepath.Join(root, "devices", a.at, device, "i2c-dev", device)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "name"), []byte(a.name+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(dir, filepath.Join(classes, device)); err != nil {
			t.Skip(err) // on Windows not every user may make links
		}
	}
	return classes
}

func TestLocate(t *testing.T) {
	classes := class(t)
	for _, c := range []struct{ name, path, err string }{
		{"1", "/dev/i2c-1", ""},
		{"99", "/dev/i2c-99", ""}, // the error of opening it says more
		{"/dev/i2c-sensors", "/dev/i2c-sensors", ""},
		{"bcm2835 (i2c@7e804000)", "/dev/i2c-1", ""},
		{"bcm2835", "/dev/i2c-1", ""},
		{"fef04500.i2c", "/dev/i2c-20", ""},
		{"i2c-1-mux (chan_id 3)", "/dev/i2c-11", ""},
		{"i2c-3-mux", "/dev/i2c-12", ""},
		{"MCP2221", "/dev/i2c-4", ""},
		{"i2c-tiny-usb at bus 001 device 007", "/dev/i2c-5", ""},
		{"1-1.2", "/dev/i2c-3", ""},
		{"1-1.3.1", "/dev/i2c-5", ""},
		{"i2c-tiny-usb", "", `more than one adapter is called "i2c-tiny-usb": i2c-3 (i2c-tiny-usb at bus 001 device 004), i2c-5 (i2c-tiny-usb at bus 001 device 007); fix: write one's number, more of its name, or its USB port: file does not exist`},
		{"MCP", "", `no adapter is called "MCP"; there are i2c-1 (bcm2835 (i2c@7e804000)), i2c-10 (i2c-1-mux (chan_id 0)), i2c-11 (i2c-1-mux (chan_id 3)), i2c-12 (i2c-3-mux (chan_id 3)), i2c-20 (fef04500.i2c), i2c-3 (i2c-tiny-usb at bus 001 device 004), i2c-4 (MCP2221 usb-i2c bridge), i2c-5 (i2c-tiny-usb at bus 001 device 007): file does not exist`},
		{"1-1.4", "", `no I²C adapter is at USB port 1-1.4; there are i2c-1 (bcm2835 (i2c@7e804000)), i2c-10 (i2c-1-mux (chan_id 0)), i2c-11 (i2c-1-mux (chan_id 3)), i2c-12 (i2c-3-mux (chan_id 3)), i2c-20 (fef04500.i2c), i2c-3 (i2c-tiny-usb at bus 001 device 004), i2c-4 (MCP2221 usb-i2c bridge), i2c-5 (i2c-tiny-usb at bus 001 device 007): file does not exist`},
	} {
		path, err := locate(classes, c.name)
		if path != c.path || (err == nil) != (c.err == "") || err != nil && (err.Error() != c.err || !errors.Is(err, fs.ErrNotExist)) {
			t.Errorf("%s: %q, %v", c.name, path, err)
		}
	}
	if _, err := locate(filepath.Join(classes, "nothing"), "MCP2221"); err == nil || err.Error() != `no adapter is called "MCP2221"; there are none: file does not exist` {
		t.Error(err)
	}
}
