// Package kernel reads sensors that Linux has a driver of its own for, through /sys:
// DS18B20 on a 1-wire bus, and whatever its hwmon and IIO drivers measure.
//
// It knows files and what stands in them. It refuses to know which chips there are,
// when to measure, and what becomes of the values.
//
// A device is found by its name, because its number (hwmon2, iio:device0) may change at each
// start, and whenever it is plugged in again.
package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"sensorgateway/wire"
)

// Class is the part of the kernel that has a sensor.
type Class string

// The classes.
const (
	W1    Class = "w1"    // 1-wire
	Hwmon Class = "hwmon" // hardware monitoring
	IIO   Class = "iio"   // industrial I/O
)

// ds18b20 is what a device of the class W1 is called: of others the family is not read.
const ds18b20 = "ds18b20"

var (
	w1Form    = regexp.MustCompile(`^28-[0-9a-f]{12}$`)
	hwmonForm = regexp.MustCompile(`^hwmon[0-9]+$`)
	iioForm   = regexp.MustCompile(`^iio:device[0-9]+$`)
)

// dirs are where the kernel lists the devices of a class, and what these are called.
var dirs = map[Class]struct {
	path string
	form *regexp.Regexp
}{
	W1:    {"sys/bus/w1/devices", w1Form},
	Hwmon: {"sys/class/hwmon", hwmonForm},
	IIO:   {"sys/bus/iio/devices", iioForm},
}

// Kind is a kind of device.
type Kind struct {
	Class      Class
	Name       string          // the kernel's, as in [Device]
	Quantities []wire.Quantity // that are read, in this order
	Overlay    string          // the line in config.txt that brings it, for errors; "" if none is known
	MaxRead    time.Duration   // how long a reading may take
}

// Device is a device that the kernel has.
type Device struct {
	Class Class
	Name  string // of its driver or chip, such as sht3x
	ID    string // which one of this name: 28-0123456789ab, or where it is connected, such as 1-0044
	// Dir is its directory in the tree. The path contains where the device is connected, so it
	// is never that of another one.
	Dir string
}

// List returns the devices of a class that measure temperature, in the order of their
// names. The tree is the machine's root directory, or what stands for it.
func List(tree fs.FS, class Class) (all []Device, err error) {
	at := dirs[class]
	entries, err := fs.ReadDir(tree, at.path)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !at.form.MatchString(e.Name()) {
			continue
		}
		d := Device{Class: class, Dir: resolve(tree, path.Join(at.path, e.Name()))}
		d.identify(tree, e.Name())
		if d.measures(tree, wire.Temperature) {
			all = append(all, d)
		}
	}
	slices.SortStableFunc(all, func(a, b Device) int { return strings.Compare(a.Name+" "+a.ID, b.Name+" "+b.ID) })
	return all, nil
}

// resolve returns where a link in the tree leads to; what is no link stays as it is.
func resolve(tree fs.FS, link string) string {
	target, err := fs.ReadLink(tree, link)
	if err != nil || path.IsAbs(target) {
		return link
	}
	return path.Join(path.Dir(link), target)
}

// identify sets name and id of a device that is listed as entry.
func (d *Device) identify(tree fs.FS, entry string) {
	switch d.Class {
	case W1:
		d.Name, d.ID = ds18b20, entry
		return
	case Hwmon:
		d.ID = path.Base(resolve(tree, path.Join(d.Dir, "device")))
	case IIO:
		d.ID = path.Base(path.Dir(d.Dir))
	}
	d.Name = text(tree, path.Join(d.Dir, "name"))
	if d.Name == d.ID { // some drivers of IIO give the place as the name
		if name := text(tree, path.Join(path.Dir(d.Dir), "name")); name != "" {
			d.Name = name
		}
	}
	d.Name, _, _ = strings.Cut(d.Name, "@") // of a device tree: dht11@4
}

// measures returns whether there are files for a quantity.
func (d *Device) measures(tree fs.FS, q wire.Quantity) bool {
	names := []string{"w1_slave", "temperature"}
	switch d.Class {
	case Hwmon:
		names = []string{hwmonChannels[q.Name] + "_input"}
	case IIO:
		names = []string{iioChannels[q.Name].name + "_input", iioChannels[q.Name].name + "_raw"}
	}
	return slices.ContainsFunc(names, func(name string) bool {
		_, err := fs.Stat(tree, path.Join(d.Dir, name))
		return err == nil
	})
}

// text returns what is in a file, "" if it cannot be read.
func text(tree fs.FS, name string) string {
	b, err := fs.ReadFile(tree, name)
	if err != nil {
		return "" // every caller has something else
	}
	return strings.TrimSpace(string(b))
}

// Find returns the device of a kind, with an id if that is not "". An error says what is
// there instead, and what to do.
func (k Kind) Find(tree fs.FS, id string) (Device, error) {
	all, err := List(tree, k.Class)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Device{}, fmt.Errorf("%s: %w: %w", k.title(id), err, wire.Other)
	}
	named := slices.DeleteFunc(slices.Clone(all), func(d Device) bool { return d.Name != k.Name })
	for _, d := range named {
		if d.ID == id || id == "" && len(named) == 1 {
			return d, nil
		}
	}
	if id == "" && len(named) > 1 {
		return Device{}, &Error{wire.Other, fmt.Sprintf("%s: there are %d: %s", k.title(id), len(named), list(named, Device.id)),
			"write id: " + named[0].ID + ", or another of them"}
	}
	why, fix := k.why(tree, err, all, named)
	return Device{}, &Error{wire.Absent, k.title(id) + ": " + why, fix}
}

// Error is why a device cannot be read, and what to do.
type Error struct {
	Fault wire.Fault
	Text  string
	Fix   string
}

func (e *Error) Error() string { return e.Text + "; fix: " + e.Fix }

// Unwrap returns the fault.
func (e *Error) Unwrap() error { return e.Fault }

func (d Device) id() string   { return d.ID }
func (d Device) name() string { return d.Name }

func list(all []Device, of func(Device) string) string {
	var words []string
	for _, d := range all {
		words = append(words, of(d))
	}
	return strings.Join(slices.Compact(words), ", ")
}

// why says why no device is the one that is wanted, and what to do. missing is set if the
// kernel has no directory for the class.
func (k Kind) why(tree fs.FS, missing error, all, named []Device) (why, fix string) {
	overlay := "load the kernel's driver for it"
	if k.Overlay != "" {
		overlay = "write " + k.Overlay + " into /boot/firmware/config.txt, and reboot"
	}
	switch {
	case len(named) > 0:
		return "no device has this id; there are: " + list(named, Device.id), "write id: " + named[0].ID + ", or check the wiring"
	case missing != nil:
		return fmt.Sprintf("the kernel has no %s devices, /%s is missing", k.Class, dirs[k.Class].path), overlay
	case k.Class == W1:
		return whyNoW1(tree, overlay)
	case len(all) > 0:
		return fmt.Sprintf("no %s device has this name, there are %s", k.Class, list(all, Device.name)), overlay
	}
	return fmt.Sprintf("the kernel has no %s device", k.Class), overlay
}

// otherThermometers are those that the kernel's w1_therm knows besides, by their families.
var otherThermometers = map[string]string{"10": "DS18S20", "22": "DS1822", "3b": "DS1825", "42": "DS28EA00"}

// whyNoW1 says why there is no DS18B20, and what to do.
func whyNoW1(tree fs.FS, overlay string) (why, fix string) {
	entries, _ := fs.ReadDir(tree, dirs[W1].path) // it was read before
	masters := 0
	for _, e := range entries {
		if w1Form.MatchString(e.Name()) {
			return "the kernel has no driver for " + e.Name(), "sudo modprobe w1_therm"
		}
		if family, _, _ := strings.Cut(e.Name(), "-"); otherThermometers[family] != "" {
			why = fmt.Sprintf("there is %s, a %s, whose readings have another form", e.Name(), otherThermometers[family])
			fix = "write chip: hwmon, device: w1_slave_temp, id: " + e.Name()
		}
		if strings.HasPrefix(e.Name(), "w1_bus_master") {
			masters++
		}
	}
	if why != "" {
		return why, fix
	}
	if masters == 0 {
		return "the kernel has no 1-wire bus", overlay
	}
	return "nobody answers on the 1-wire bus", "check power and wiring, and the resistor of 4.7 kΩ from data to 3.3 V"
}

// title names a kind of device for people: "ds18b20 28-0123456789ab", "hwmon sht3x 1-0044".
func (k Kind) title(id string) string {
	title := k.Name
	if k.Class != W1 {
		title = string(k.Class) + " " + k.Name
	}
	return strings.TrimSpace(title + " " + id)
}
