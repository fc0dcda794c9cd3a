package kernel_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sensorgateway/sensors/kernel"
	"sensorgateway/wire"
)

// machine is a directory that stands for a machine's root.
type machine struct {
	testing.TB
	root string
}

func newMachine(t testing.TB) machine { return machine{t, t.TempDir()} }

func (m machine) tree() fs.FS { return os.DirFS(m.root) }

func (m machine) write(path, text string) {
	m.Helper()
	path = filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.Fatal(err)
	}
}

// link makes a link as /sys has them: relative.
func (m machine) link(path, target string) {
	m.Helper()
	path = filepath.Join(m.root, path)
	rel, err := filepath.Rel(filepath.Dir(path), filepath.Join(m.root, target))
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err == nil {
		err = os.Symlink(rel, path)
	}
	if err != nil {
		m.Fatal(err)
	}
}

func (m machine) remove(path string) {
	m.Helper()
	if err := os.RemoveAll(filepath.Join(m.root, path)); err != nil {
		m.Fatal(err)
	}
}

// The devices as Linux shows them on a Raspberry Pi.
func (m machine) w1(id, slave string) string {
	dir := "sys/devices/w1_bus_master1/" + id
	m.write(dir+"/w1_slave", slave)
	m.write("sys/devices/w1_bus_master1/w1_master_slaves", id+"\n")
	m.link("sys/bus/w1/devices/"+id, dir)
	return dir
}

func (m machine) hwmon(entry, parent, name string, files ...string) string {
	dir := parent + "/hwmon/" + entry
	m.device(dir, name, files)
	m.link(dir+"/device", parent)
	m.link("sys/class/hwmon/"+entry, dir)
	return dir
}

func (m machine) iio(entry, parent, name string, files ...string) string {
	dir := parent + "/" + entry
	m.device(dir, name, files)
	m.link("sys/bus/iio/devices/"+entry, dir)
	return dir
}

func (m machine) device(dir, name string, files []string) {
	m.write(dir+"/name", name+"\n")
	for i := 0; i < len(files); i += 2 {
		m.write(dir+"/"+files[i], files[i+1]+"\n")
	}
}

const (
	soc  = "sys/devices/platform/soc/"
	i2c  = soc + "fe804000.i2c/i2c-1/"
	good = "72 01 4b 46 7f ff 0e 10 57 : crc=57 YES\n72 01 4b 46 7f ff 0e 10 57 t=23125\n"
)

var (
	thermometer = []wire.Quantity{wire.Temperature}
	climate     = []wire.Quantity{wire.Temperature, wire.Humidity}
	ds18b20     = kernel.Kind{Class: kernel.W1, Name: "ds18b20", Quantities: thermometer, Overlay: "dtoverlay=w1-gpio", MaxRead: 1e9}
	dht22       = kernel.Kind{Class: kernel.IIO, Name: "dht11", Quantities: climate, Overlay: "dtoverlay=dht11,gpiopin=4", MaxRead: 1e9}
	sht3x       = kernel.Kind{Class: kernel.Hwmon, Name: "sht3x", Quantities: climate, Overlay: "dtoverlay=i2c-sensor,sht3x", MaxRead: 1e9}
)

func TestList(t *testing.T) {
	m := newMachine(t)
	m.w1("28-0123456789ab", good)
	m.w1("28-00000000000f", good)
	m.w1("10-000802824e58", good)                        // a DS18S20
	m.write("sys/bus/w1/devices/28-ffffffffffff/id", "") // without the driver
	m.hwmon("hwmon0", "sys/devices/virtual/thermal/thermal_zone0", "cpu_thermal", "temp1_input", "48312")
	m.hwmon("hwmon1", soc+"rpi-firmware", "rpi_volt", "in0_lcrit_alarm", "0") // no thermometer
	m.hwmon("hwmon2", i2c+"1-0044", "sht3x", "temp1_input", "21500", "humidity1_input", "45000")
	m.iio("iio:device0", soc+"dht11@4", "dht11@4", "in_temp_input", "21500", "in_humidityrelative_input", "45000")
	m.write(i2c+"1-0040/name", "si7020\n")
	m.iio("iio:device1", i2c+"1-0040", "1-0040", "in_temp_raw", "6700")
	m.iio("iio:device2", i2c+"1-0048", "ads1115", "in_voltage0_raw", "6700")
	for class, want := range map[kernel.Class]string{
		kernel.W1:    "ds18b20 28-00000000000f, ds18b20 28-0123456789ab",
		kernel.Hwmon: "cpu_thermal thermal_zone0, sht3x 1-0044",
		kernel.IIO:   "dht11 dht11@4, si7020 1-0040",
	} {
		all, err := kernel.List(m.tree(), class)
		if err != nil {
			t.Error(err)
		}
		var got []string
		for _, d := range all {
			got = append(got, d.Name+" "+d.ID)
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%s: %s, want %s", class, s, want)
		}
	}
}

// Each error says what is there instead, and the fix.
func TestFind(t *testing.T) {
	tests := []struct {
		name  string
		make  func(m machine)
		kind  kernel.Kind
		id    string
		says  string // "": it is found
		fault wire.Fault
	}{
		{"the only one", func(m machine) { m.w1("28-0123456789ab", good) }, ds18b20, "", "", wire.Good},
		{"by its id", func(m machine) { m.w1("28-0123456789ab", good); m.w1("28-00000000000f", good) }, ds18b20, "28-0123456789ab", "", wire.Good},
		{"one of two", func(m machine) { m.w1("28-0123456789ab", good); m.w1("28-00000000000f", good) }, ds18b20, "",
			"ds18b20: there are 2: 28-00000000000f, 28-0123456789ab; fix: write id: 28-00000000000f, or another of them", wire.Other},
		{"another id", func(m machine) { m.w1("28-0123456789ab", good) }, ds18b20, "28-00000000000f",
			"ds18b20 28-00000000000f: no device has this id; there are: 28-0123456789ab; fix: write id: 28-0123456789ab, or check the wiring", wire.Absent},
		{"no 1-wire", func(machine) {}, ds18b20, "", "/sys/bus/w1/devices is missing; fix: write dtoverlay=w1-gpio into /boot/firmware/config.txt, and reboot", wire.Absent},
		{"no bus", func(m machine) { m.write("sys/bus/w1/devices/readme", "") }, ds18b20, "",
			"the kernel has no 1-wire bus; fix: write dtoverlay=w1-gpio into /boot/firmware/config.txt, and reboot", wire.Absent},
		{"an empty bus", func(m machine) { m.write("sys/bus/w1/devices/w1_bus_master1/uevent", "") }, ds18b20, "",
			"nobody answers on the 1-wire bus; fix: check power and wiring, and the resistor of 4.7 kΩ", wire.Absent},
		{"a DS18S20", func(m machine) {
			m.w1("10-000802824e58", good)
			m.write("sys/bus/w1/devices/w1_bus_master1/uevent", "")
		}, ds18b20, "",
			"ds18b20: there is 10-000802824e58, a DS18S20, whose readings have another form; fix: write chip: hwmon, device: w1_slave_temp, id: 10-000802824e58", wire.Absent},
		{"a DS18S20, and no module", func(m machine) {
			m.w1("10-000802824e58", good)
			m.write("sys/bus/w1/devices/28-0123456789ab/uevent", "")
		}, ds18b20, "", "the kernel has no driver for 28-0123456789ab; fix: sudo modprobe w1_therm", wire.Absent},
		{"no module", func(m machine) { m.write("sys/bus/w1/devices/28-0123456789ab/uevent", "") }, ds18b20, "",
			"the kernel has no driver for 28-0123456789ab; fix: sudo modprobe w1_therm", wire.Absent},
		{"no IIO", func(machine) {}, dht22, "", "fix: write dtoverlay=dht11,gpiopin=4 into /boot/firmware/config.txt, and reboot", wire.Absent},
		{"another hwmon", func(m machine) { m.hwmon("hwmon0", i2c+"1-0048", "lm75", "temp1_input", "1") }, sht3x, "",
			"hwmon sht3x: no hwmon device has this name, there are lm75; fix: write dtoverlay=i2c-sensor,sht3x into", wire.Absent},
		{"unknown hwmon", func(m machine) { m.write("sys/class/hwmon/readme", "") }, kernel.Kind{Class: kernel.Hwmon, Name: "lm75"}, "",
			"hwmon lm75: the kernel has no hwmon device; fix: load the kernel's driver for it", wire.Absent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			tt.make(m)
			d, err := tt.kind.Find(m.tree(), tt.id)
			if tt.says == "" {
				if err != nil || d.Name != tt.kind.Name || tt.id != "" && d.ID != tt.id {
					t.Errorf("found %+v, %v", d, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) || wire.FaultOf(err) != tt.fault {
				t.Errorf("%v\nwant %v: %s", err, tt.fault, tt.says)
			}
		})
	}
}
