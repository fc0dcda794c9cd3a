package bus

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Kind is what a bus is there for.
type Kind string

// The kinds of buses.
const (
	Header  Kind = "the header's pins 3 and 5"
	USB     Kind = "a USB adapter"
	GPIO    Kind = "GPIO lines"
	Mux     Kind = "a multiplexer's channel"
	Camera  Kind = "the camera's or a HAT's EEPROM"
	Display Kind = "a display"
	Board   Kind = "the main board's own chips"
	Unknown Kind = "a bus of another kind"
)

// ForSensors returns whether sensors can be expected there.
func (k Kind) ForSensors() bool { return k != Camera && k != Display && k != Board }

// Adapter is an I²C bus of a machine.
type Adapter struct {
	Number string // the N of /dev/i2c-N
	Name   string // as its driver calls it
	Kind   Kind
}

// Adapters returns the buses of the machine whose root directory is root, those
// for sensors first.
func Adapters(root string) []Adapter {
	header := headerNode(root)
	var all []Adapter
	for _, a := range adapters(filepath.Join(root, classDir)) {
		node, _ := filepath.EvalSymlinks(filepath.Join(root, classDir, a.device, "device/of_node")) // none on a PC
		number := strings.TrimPrefix(a.device, "i2c-")
		all = append(all, Adapter{number, a.name, kindOf(a, header != "" && strings.HasSuffix(node, header))})
	}
	slices.SortStableFunc(all, func(a, b Adapter) int {
		if a.Kind.ForSensors() != b.Kind.ForSensors() {
			if a.Kind.ForSensors() {
				return -1
			}
			return 1
		}
		if d := len(a.Number) - len(b.Number); d != 0 {
			return d
		}
		return strings.Compare(a.Number, b.Number)
	})
	return all
}

// headerNode returns the device tree's path of the header's bus, which a Raspberry
// Pi calls i2c1, "" elsewhere.
func headerNode(root string) string {
	alias, err := os.ReadFile(filepath.Join(root, "proc/device-tree/aliases/i2c1"))
	if err != nil {
		return ""
	}
	return strings.Trim(string(alias), "\x00\n")
}

// displays are parts of the names of displays' buses: those of graphics drivers, and the
// addresses of a Raspberry Pi's HDMI ports.
var displays = []string{"gmbus", "DDC", "HDMI", "AUX", "DPMST", "nvidia", "NVIDIA", "AMDGPU", "radeon", "i915",
	"7e805000", "fef04500", "fef09500", "ef804500", "ef809500", "107d508200", "107d508280"}

func kindOf(a adapter, header bool) Kind {
	has := func(texts ...string) bool {
		return slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(a.name, s) })
	}
	switch {
	case header:
		return Header
	case has(displays...):
		return Display
	case has("i2c-0-mux", "i2c-11-mux", "i2c-10-mux", "i2c-22-mux", "7e205000") && !a.muxed: // i2c_vc and i2c_csi_dsi: the board switches pins
		return Camera
	case has("-mux (chan_id"):
		return Mux
	case slices.ContainsFunc(a.path, func(s string) bool { return strings.HasPrefix(s, "usb") }):
		return USB
	case has("i2c-gpio", "gpio"):
		return GPIO
	case has("SMBus"):
		return Board
	case a.device == "i2c-1" && has("bcm2835", "DesignWare"):
		return Header
	}
	return Unknown
}
