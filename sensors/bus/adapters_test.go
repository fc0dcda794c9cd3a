package bus

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// machineWith makes the root directory of a machine with buses, "device name", or
// "device name path" for the hardware that it is part of.
func machineWith(t *testing.T, alias string, buses ...[3]string) (root string) {
	t.Helper()
	root = t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if alias != "" {
		write("proc/device-tree/aliases/i2c1", alias+"\x00")
	}
	for _, b := range buses {
		hardware := filepath.Join("sys/devices", b[2], b[0])
		write(filepath.Join(hardware, "name"), b[1]+"\n")
		if strings.HasPrefix(b[2], "soc/") {
			node := filepath.Join("sys/firmware/devicetree/base", b[2])
			write(filepath.Join(node, "status"), "okay\x00")
			if err := os.MkdirAll(filepath.Join(root, hardware, "device"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(filepath.Join(root, node), filepath.Join(root, hardware, "device/of_node")); err != nil {
				t.Skip(err) // on Windows not every user may make links
			}
		}
		class := filepath.Join(root, "sys/class/i2c-dev", b[0])
		if err := os.MkdirAll(filepath.Dir(class), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(root, hardware), class); err != nil {
			t.Skip(err)
		}
	}
	return root
}

func TestAdapters(t *testing.T) {
	for _, tt := range []struct {
		name, alias string
		buses       [][3]string
		want        []Adapter
	}{
		{"a Raspberry Pi 4", "/soc/i2c@7e804000", [][3]string{
			{"i2c-0", "i2c-22-mux (chan_id 0)", "soc/i2c0mux"}, {"i2c-1", "bcm2835 (i2c@7e804000)", "soc/i2c@7e804000"},
			{"i2c-10", "i2c-22-mux (chan_id 1)", "soc/i2c0mux"}, {"i2c-20", "fef04500.i2c", "soc/i2c@7ef04500"},
			{"i2c-21", "fef09500.i2c", "soc/i2c@7ef09500"}, {"i2c-22", "bcm2835 (i2c@7e205000)", "soc/i2c@7e205000"},
			{"i2c-3", "i2c-gpio", "soc/i2c@0"}, {"i2c-4", "i2c-1-mux (chan_id 3)", "soc/mux"}, {"i2c-23", "i2c-tiny-usb at bus 001 device 004", "usb1/1-1"},
		}, []Adapter{
			{"1", "bcm2835 (i2c@7e804000)", Header}, {"3", "i2c-gpio", GPIO}, {"4", "i2c-1-mux (chan_id 3)", Mux},
			{"23", "i2c-tiny-usb at bus 001 device 004", USB}, {"0", "i2c-22-mux (chan_id 0)", Camera}, {"10", "i2c-22-mux (chan_id 1)", Camera},
			{"20", "fef04500.i2c", Display}, {"21", "fef09500.i2c", Display}, {"22", "bcm2835 (i2c@7e205000)", Camera},
		}},
		{"a Raspberry Pi 5", "/axi/pcie@120000/rp1/i2c@74000", [][3]string{
			{"i2c-1", "Synopsys DesignWare I2C adapter", "axi"}, {"i2c-13", "107d508200.i2c", "axi"}, {"i2c-14", "107d508280.i2c", "axi"},
		}, []Adapter{{"1", "Synopsys DesignWare I2C adapter", Header}, {"13", "107d508200.i2c", Display}, {"14", "107d508280.i2c", Display}}},
		{"a PC", "", [][3]string{{"i2c-0", "SMBus I801 adapter at f040", "pci"}, {"i2c-1", "i915 gmbus dpb", "pci"}, {"i2c-2", "ELAN bridge", "pci"}},
			[]Adapter{{"2", "ELAN bridge", Unknown}, {"0", "SMBus I801 adapter at f040", Board}, {"1", "i915 gmbus dpb", Display}}},
		{"no bus", "", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Adapters(machineWith(t, tt.alias, tt.buses...))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A channel of a multiplexer on an adapter that is the first bus is not the camera's.
func TestChannelOfTheFirstBus(t *testing.T) {
	const name = "i2c-0-mux (chan_id 3)"
	root := machineWith(t, "", [3]string{"i2c-0", "i2c-tiny-usb at bus 001 device 002", "usb1/1-1"}, [3]string{"i2c-4", name, "usb1/1-1/i2c-0"})
	device := filepath.Join(root, "sys/devices/usb1/1-1/i2c-0/i2c-4/device")
	if err := os.MkdirAll(device, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../0-0070", filepath.Join(device, "mux_device")); err != nil {
		t.Skip(err)
	}
	want := []Adapter{{"0", "i2c-tiny-usb at bus 001 device 002", USB}, {"4", name, Mux}}
	if diff := cmp.Diff(want, Adapters(root)); diff != "" {
		t.Error(diff)
	}
}
