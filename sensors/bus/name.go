package bus

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Name returns what errors and log lines call the bus that a configuration calls
// name. That is the N of /dev/i2c-N; or, for buses whose number changes from boot
// to boot or from plug to plug, a path such as /dev/i2c-sensors, which a udev rule
// makes; the port of a USB adapter, such as 1-1.2; or the adapter's name, such as
// i2c-tiny-usb, as /sys/class/i2c-dev/i2c-N/name has it, or how it begins. That of a
// multiplexer's channel, where the kernel has the multiplexer, is such as
// "i2c-1-mux (chan_id 3)".
func Name(name string) string { return "bus " + name }

// classDir has a directory for each bus.
const classDir = "/sys/class/i2c-dev"

// usbPort is how the kernel calls a USB device: the bus, and the ports to it.
var usbPort = regexp.MustCompile(`^[0-9]+-[0-9]+(\.[0-9]+)*$`)

// busDir is how the kernel calls the directory of a bus.
var busDir = regexp.MustCompile(`^i2c-[0-9]+$`)

// chipDir is the directory of a chip on a bus, such as 1-0070.
var chipDir = regexp.MustCompile(`^[0-9]+-00[0-7][0-9a-f]$`)

// adapter is a bus of this machine.
type adapter struct {
	device string   // its base name, such as i2c-1
	name   string   // such as "bcm2835 (i2c@7e804000)"
	path   []string // of the hardware it is part of
	muxed  bool     // it is a channel of a multiplexer that is a chip on another bus
}

// locate returns the device file of the bus that is called name. What it does not
// find is fs.ErrNotExist.
func locate(class, name string) (string, error) {
	if _, err := strconv.ParseUint(name, 10, 16); err == nil {
		return "/dev/i2c-" + name, nil
	}
	if filepath.IsAbs(name) {
		return name, nil
	}
	all := adapters(class)
	found := matching(all, name)
	switch len(found) {
	case 1:
		return "/dev/" + found[0].device, nil
	case 0:
		what := "adapter is called " + strconv.Quote(name)
		if usbPort.MatchString(name) {
			what = "I²C adapter is at USB port " + name
		}
		return "", fmt.Errorf("no %s; there are %s: %w", what, list(all), fs.ErrNotExist)
	}
	return "", fmt.Errorf("more than one adapter is called %q: %s; fix: write one's number, more of its name, or its USB port: %w",
		name, list(found), fs.ErrNotExist)
}

// Number returns the N of /dev/i2c-N that the bus called name is now, "" if it is
// not there.
func Number(name string) string {
	path, err := locate(classDir, name)
	if err != nil {
		return "" // Open says why
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	n, ok := strings.CutPrefix(path, "/dev/i2c-")
	if !ok {
		return ""
	}
	return n
}

// adapters returns the buses of this machine.
func adapters(class string) []adapter {
	entries, _ := os.ReadDir(class) // none, if there is no I²C
	var all []adapter
	for _, e := range entries {
		dir := filepath.Join(class, e.Name())
		name, err := os.ReadFile(filepath.Join(dir, "name"))
		if err != nil {
			continue // it was unplugged meanwhile
		}
		real, err := filepath.EvalSymlinks(dir)
		if err != nil {
			continue
		}
		mux, _ := os.Readlink(filepath.Join(dir, "device/mux_device")) // "" for most
		all = append(all, adapter{e.Name(), strings.TrimSpace(string(name)), strings.Split(real, "/"), chipDir.MatchString(filepath.Base(mux))})
	}
	return all
}

// channel returns whether the bus is a channel of a multiplexer on another one, whose
// directory it is in.
func (a adapter) channel() bool {
	return slices.ContainsFunc(a.path, func(dir string) bool { return busDir.MatchString(dir) && dir != a.device })
}

// matching returns the adapters at a USB port, or those that have the name, or
// else those whose names begin with it: drivers of USB adapters put a device
// number behind it.
func matching(all []adapter, name string) []adapter {
	var port, exact, begins []adapter
	for _, a := range all {
		if usbPort.MatchString(name) && slices.Contains(a.path, name) && !a.channel() {
			port = append(port, a)
		}
		if a.name == name {
			exact = append(exact, a)
		}
		if strings.HasPrefix(a.name, name+" ") {
			begins = append(begins, a)
		}
	}
	for _, found := range [][]adapter{port, exact} {
		if len(found) > 0 {
			return found
		}
	}
	return begins
}

// list names adapters for people.
func list(all []adapter) string {
	var names []string
	for _, a := range all {
		names = append(names, fmt.Sprintf("%s (%s)", a.device, a.name))
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
