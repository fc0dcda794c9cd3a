// Package tree emulates the part of /sys where the kernel shows sensors that it reads
// itself: 1-wire, hwmon and IIO, in an emulated environment.
//
// It knows what the kernel's drivers say. It refuses to know who reads it.
package tree

import (
	"fmt"
	"io/fs"
	"math"
	"path"
	"sync"
	"syscall"
	"testing/fstest"
	"time"

	"sensorgateway/sensors/sim"
)

// A Tree is such a directory, whose root is the machine's. Any number of goroutines may use
// it.
//
// Reading a value takes as long as measuring it, as in the kernel.
type Tree struct {
	fstest.MapFS // what does not change; the values are empty files in it

	environment *sim.Environment
	seed        uint64

	devices map[string]*device // by the path of each value
	ids     map[string]*device
}

// device is a sensor in a tree.
type device struct {
	*sim.Sensor
	step   float64       // of its values, in thousandths
	cached time.Duration // for how long its driver gives a value again

	mu   sync.Mutex // of what follows
	last sim.Air    // what was measured last
	at   time.Time
}

// How long a reading takes: a conversion of a DS18B20 (datasheet, table 2: at 12 bits), and
// the start signal and 40 bits of a DHT22.
const (
	w1Takes  = 750 * time.Millisecond
	dhtTakes = 25 * time.Millisecond
)

// cached has the drivers of Linux that give a value again, and for how long.
var cached = map[string]time.Duration{"dht11": 2 * time.Second, "sht4x": 2 * time.Second, "aht10": 2 * time.Second, "aht20": 2 * time.Second}

// New returns a tree without sensors. The seed decides the noise and what fails in
// flaky mode.
func New(environment *sim.Environment, seed uint64) *Tree {
	return &Tree{MapFS: fstest.MapFS{}, environment: environment, seed: seed, devices: map[string]*device{}, ids: map[string]*device{}}
}

// SetFlaky lets the sensors fail by themselves from now on, each as a chip on a flaky bus.
func (t *Tree) SetFlaky() {
	for _, d := range t.ids {
		d.SetFlaky(t.seed)
	}
}

// Add adds a sensor of a class, w1, hwmon or iio, with its driver's name, and the id by
// which the kernel knows it; "" makes one. It is called before the tree is read.
func (t *Tree) Add(class, name, id string, place sim.Place) error {
	number := uint64(len(t.ids))
	if id == "" {
		id = fmt.Sprintf("emulated-%d", number)
		if class == "w1" {
			id = fmt.Sprintf("28-%012x", number+1)
		}
	}
	if t.ids[id] != nil {
		return fmt.Errorf("%s of %s: there is such an emulated sensor already", id, class)
	}
	d := &device{Sensor: sim.NewSensor(t.environment, place, t.seed, number), step: 1, cached: cached[name]}
	if name == "dht11" {
		d.step = 100
	}
	t.ids[id] = d
	parent, list := "sys/devices/"+id, ""
	var values []string
	switch class {
	case "w1":
		t.MapFS[parent+"/w1_slave"], t.devices[parent+"/w1_slave"] = &fstest.MapFile{}, d
		t.link("sys/bus/w1/devices/"+id, parent)
		return nil
	case "hwmon":
		list, values = fmt.Sprintf("sys/class/hwmon/hwmon%d", number), []string{"temp1_input", "humidity1_input"}
	case "iio":
		list, values = fmt.Sprintf("sys/bus/iio/devices/iio:device%d", number), []string{"in_temp_input", "in_humidityrelative_input", "in_pressure_input"}
	default:
		return fmt.Errorf("%s of %s: not emulated, only w1, hwmon and iio", name, class)
	}
	dir := path.Join(parent, path.Base(list))
	t.MapFS[dir+"/name"] = &fstest.MapFile{Data: []byte(name + "\n")}
	for _, v := range values {
		t.MapFS[dir+"/"+v], t.devices[dir+"/"+v] = &fstest.MapFile{}, d
	}
	t.link(list, dir)
	if class == "hwmon" {
		t.link(dir+"/device", parent)
	}
	return nil
}

// link adds a link, relative as in /sys.
func (t *Tree) link(name, target string) {
	up := ""
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		up += "../"
	}
	t.MapFS[name] = &fstest.MapFile{Data: []byte(up + target), Mode: fs.ModeSymlink}
}

// Inject makes a sensor fail from now on, by Vanish, Corrupt or Freeze; others have no effect.
func (t *Tree) Inject(id string, failures ...sim.Failure) error {
	d := t.ids[id]
	if d == nil {
		return fmt.Errorf("%s: no such emulated sensor", id)
	}
	d.Inject(failures...)
	return nil
}

// Repair ends what was injected into a sensor.
func (t *Tree) Repair(id string) {
	if d := t.ids[id]; d != nil {
		d.Repair()
	}
}

// ReadFile reads a file; a value is measured.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	d := t.devices[name]
	if d == nil {
		return t.MapFS.ReadFile(name)
	}
	text, err := d.read(path.Base(name))
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return text, nil
}

// read measures what a file has.
func (d *device) read(name string) ([]byte, error) {
	if d.Strikes(sim.Vanish) {
		return nil, syscall.ENODEV
	}
	switch name {
	case "w1_slave":
		time.Sleep(w1Takes)
	case "in_temp_input":
		time.Sleep(dhtTakes)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	corrupt := d.Strikes(sim.Corrupt)
	if corrupt && name != "w1_slave" {
		return nil, syscall.EIO
	}
	if name == "w1_slave" {
		return w1(d.Sample(sim.Air{Temperature: 0.03}), corrupt), nil
	}
	if d.at.IsZero() || now.Sub(d.at) >= d.cached {
		d.last, d.at = d.Sample(sim.Air{Temperature: 0.03, Humidity: 0.1, Pressure: 1}), now
	}
	switch name {
	case "temp1_input", "in_temp_input":
		return d.thousandths(d.last.Temperature), nil
	case "humidity1_input", "in_humidityrelative_input":
		return d.thousandths(d.last.Humidity), nil
	}
	return fmt.Appendf(nil, "%.9f\n", d.last.Pressure/1000), nil
}

func (d *device) thousandths(v float64) []byte {
	return fmt.Appendf(nil, "%.0f\n", math.Round(v*1000/d.step)*d.step)
}

// w1 is what the kernel says of the scratchpad of a DS18B20 (datasheet, figures 7 to 9, and
// Linux, drivers/w1/slaves/w1_therm.c).
func w1(air sim.Air, corrupt bool) []byte {
	t := int16(math.Round(air.Temperature * 16))
	b := []byte{byte(t), byte(t >> 8), 0x4B, 0x46, 0x7F, 0xFF, 0x10 - byte(t&0xF), 0x10}
	crc := crc8Maxim(b)
	b = append(b, crc)
	verdict := "YES"
	if corrupt {
		verdict = "NO"
		b[0] ^= 1
		crc = crc8Maxim(b[:8])
	}
	return fmt.Appendf(nil, "% x : crc=%02x %s\n% x t=%d\n", b, crc, verdict, b, int(t)*1000/16)
}

// crc8Maxim is the checksum of 1-wire chips: polynomial 0x31 reversed, start 0x00, least
// significant bit first (Maxim's application note 27).
func crc8Maxim(b []byte) (crc byte) {
	for _, x := range b {
		crc ^= x
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0x8C
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}
