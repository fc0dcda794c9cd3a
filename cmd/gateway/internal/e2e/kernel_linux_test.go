package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sensorgateway/wire"
)

// fakeSys is a directory with the sensors that Linux would show in /sys.
type fakeSys struct {
	testing.TB
	root  string
	pipes int
}

// Answers of a DS18B20 (Linux, drivers/w1/slaves/w1_therm.c), at 23.125 °C and otherwise.
const (
	w1ID      = "28-0123456789ab"
	w1Dir     = "sys/devices/w1_bus_master1/" + w1ID
	w1Slave   = w1Dir + "/w1_slave"
	w1Good    = "72 01 4b 46 7f ff 0e 10 57 : crc=57 YES\n72 01 4b 46 7f ff 0e 10 57 t=23125\n"
	w1PowerUp = "50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n50 05 4b 46 7f ff 0c 10 1c t=85000\n"
	w1Damaged = "72 01 4b 46 7f ff 0e 10 58 : crc=57 NO\n72 01 4b 46 7f ff 0e 10 57 t=23125\n"
	w1Weak    = "ff 07 4b 46 7f ff 0c 10 1e : crc=1e YES\nff 07 4b 46 7f ff 0c 10 1e t=127937\n"
	w1Shorted = "00 00 00 00 00 00 00 00 00 : crc=00 YES\n00 00 00 00 00 00 00 00 00 t=0\n"
	fakeI2C   = "sys/devices/platform/soc/fe804000.i2c/i2c-1/"
	fakeDHT   = "sys/devices/platform/dht11@4/iio:device0"
)

// newFakeSys has a DS18B20, a DHT22, an SHT3x and an SHT4x of hwmon, and a BME280 of IIO.
func newFakeSys(t testing.TB) *fakeSys {
	m := &fakeSys{TB: t, root: t.TempDir()}
	m.write("sys/devices/w1_bus_master1/w1_master_slaves", w1ID+"\n")
	m.link("sys/bus/w1/devices/w1_bus_master1", "sys/devices/w1_bus_master1")
	m.w1()
	m.device(fakeDHT, "sys/bus/iio/devices/iio:device0", "dht11@4", "in_temp_input", "-1500", "in_humidityrelative_input", "45100")
	m.hwmon("hwmon2", "1-0044", "sht3x", "21500", "")
	m.hwmon("hwmon3", "1-0045", "sht4x", "18250", "2000")
	m.device(fakeI2C+"1-0076/iio:device1", "sys/bus/iio/devices/iio:device1", "bme280",
		"in_temp_input", "4320", "in_humidityrelative_input", "81250", "in_pressure_input", "101.325")
	return m
}

func (m *fakeSys) w1() {
	m.write(w1Slave, w1Good)
	m.link("sys/bus/w1/devices/"+w1ID, w1Dir)
}

func (m *fakeSys) hwmon(entry, id, name, temperature, updateInterval string) {
	files := []string{"temp1_input", temperature, "humidity1_input", "45000"}
	if updateInterval != "" {
		files = append(files, "update_interval", updateInterval)
	}
	dir := fakeI2C + id + "/hwmon/" + entry
	m.device(dir, "sys/class/hwmon/"+entry, name, files...)
	m.link(dir+"/device", fakeI2C+id)
}

func (m *fakeSys) device(dir, listed, name string, files ...string) {
	m.write(dir+"/name", name+"\n")
	for i := 0; i < len(files); i += 2 {
		m.write(dir+"/"+files[i], files[i+1]+"\n")
	}
	m.link(listed, dir)
}

// put makes a file with f and renames it to path: a reader sees the old or the new one.
func (m *fakeSys) put(path string, f func(path string) error) {
	m.Helper()
	path = filepath.Join(m.root, path)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = f(path + ".new")
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		m.Fatal(err)
	}
}

func (m *fakeSys) write(path, text string) {
	m.Helper()
	m.put(path, func(path string) error { return os.WriteFile(path, []byte(text), 0o644) })
}

// link makes a link as /sys has them: relative.
func (m *fakeSys) link(path, target string) {
	m.Helper()
	rel, err := filepath.Rel(filepath.Dir(path), target)
	if err != nil {
		m.Fatal(err)
	}
	m.put(path, func(path string) error { return os.Symlink(rel, path) })
}

func (m *fakeSys) remove(path string) {
	m.Helper()
	if err := os.RemoveAll(filepath.Join(m.root, path)); err != nil {
		m.Fatal(err)
	}
}

// broken makes a file whose reading fails with EIO, as there is nothing at address 0.
func (m *fakeSys) broken(path string) {
	m.Helper()
	m.put(path, func(path string) error { return os.Symlink("/proc/self/mem", path) })
}

// held makes a file that blocks its reader, as a driver does that waits for its chip. When
// somebody reads, the channel gets the file, to write the answer to it.
func (m *fakeSys) held(path string) <-chan *os.File {
	m.Helper()
	m.pipes++
	pipe, reading := filepath.Join(m.root, fmt.Sprint("pipe-", m.pipes)), make(chan *os.File, 1)
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		m.Fatal(err)
	}
	m.put(path, func(path string) error { return os.Link(pipe, path) })
	var opening sync.WaitGroup
	opening.Go(func() {
		f, err := os.OpenFile(pipe, os.O_WRONLY, 0)
		if err != nil {
			m.Error(err)
		}
		reading <- f
	})
	m.Cleanup(func() { // if nobody has read it, this does
		if f, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
			defer f.Close()
		}
		opening.Wait()
	})
	return reading
}

// newest returns the newest record of a sensor, nil if there is none yet.
func newest(t testing.TB, p *gatewayProcess, sensor string) map[string]any {
	t.Helper()
	r, err := http.Get(strings.Replace(p.URL, "ws://", "http://", 1) + "sensors/" + sensor)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var answer struct{ Payload map[string]any }
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if r.StatusCode != http.StatusOK {
		return nil
	}
	return answer.Payload
}

// awaitFault waits until a sensor fails with a cause, "" for a good reading.
func awaitFault(t *testing.T, p *gatewayProcess, sensor, fault string) {
	t.Helper()
	await(t, sensor+" has the cause "+fault, func() bool {
		r := newest(t, p, sensor)
		got, _ := r["fault"].(string)
		return r != nil && got == fault
	})
}

const kernelConfig = `listen: 127.0.0.1:0
sensors:
  - {name: attic, chip: ds18b20, id: ` + w1ID + `, interval: 5s}
  - {name: shed, chip: dht22}
  - {name: hall, chip: hwmon, device: sht3x, interval: 100ms, stuck_after: 0s}
  - {name: cellar, chip: hwmon, device: sht4x, id: 1-0045}
  - {name: outdoor, chip: iio, device: bme280, interval: 1s, also: [pressure]}
`

// The kernel's sensors are sensors like any others, and a slow reading of one delays neither
// the others nor the stop.
func TestKernelSensors(t *testing.T) {
	t.Parallel()
	m := newFakeSys(t)
	conversion := m.held(w1Slave)
	p := startGateway(t, buildGateway(t), "--root", m.root, "--config", writeFile(t, "gateway.yaml", kernelConfig))
	var f *os.File
	select {
	case f = <-conversion:
	case <-time.After(patience):
		t.Fatal("nobody reads the DS18B20")
	}
	seq := func() float64 { s, _ := newest(t, p, "hall")["seq"].(float64); return s }
	begin := seq()
	await(t, "ten more readings, while the DS18B20 converts", func() bool { return seq() >= begin+10 })
	if r := newest(t, p, "attic"); r != nil {
		t.Errorf("the DS18B20 converts, and there is %v", r)
	}
	m.write(w1Slave, w1Good) // for those after it
	if _, err := f.WriteString(w1Good); err != nil {
		t.Fatal(err)
	}
	f.Close()

	want := map[string][2]float64{"attic": {23.125, 0}, "shed": {-1.5, 45.1}, "hall": {21.5, 45}, "cellar": {18.25, 45}, "outdoor": {4.32, 81.25}, "outdoor_pressure": {1013.25, 0}}
	for sensor, v := range want {
		awaitFault(t, p, sensor, "")
		r := newest(t, p, sensor)
		got, key := r["temp"], "temp"
		if sensor == "outdoor_pressure" {
			got, key = r["values"].(map[string]any)["pressure"], "pressure"
		}
		if x, _ := got.(float64); float32(x) != float32(v[0]) {
			t.Errorf("%s: %s is %v, want %v", sensor, key, got, v[0])
		}
		if x, _ := r["humidity"].(float64); float32(x) != float32(v[1]) {
			t.Errorf("%s: humidity is %v, want %v", sensor, r["humidity"], v[1])
		}
	}
	hello := readV2(t, p.URL, func(wire.Record) bool { return true })
	got := ""
	for _, s := range hello.Sensors {
		got += fmt.Sprintf("%s %s %d; ", s.Name, s.Model, s.IntervalMS)
	}
	if want := "attic DS18B20 5000; shed DHT22 2100; hall SHT3x 100; cellar SHT4x 2100; outdoor BME280 1000; outdoor_pressure BME280 1000; "; got != want {
		t.Errorf("hello has %s\nwant %s", got, want)
	}
	p.await(t, `msg="sensor measures" sensor=hall chip=hwmon place="hwmon sht3x" interval=100ms`)

	// A busy machine may give the reading up; in one of several attempts it does not.
	for attempt := 1; ; attempt++ {
		conversion = m.held(w1Slave)
		if attempt > 1 {
			p = startGateway(t, buildGateway(t), "--root", m.root, "--config", writeFile(t, "gateway.yaml", kernelConfig))
		}
		select {
		case f = <-conversion:
			defer f.Close()
		case <-time.After(patience):
			t.Fatal("nobody reads the DS18B20 again")
		}
		err := p.Stop(t)
		if err == nil {
			break
		}
		if attempt == 5 || !strings.Contains(p.Output(), ": given up") {
			t.Fatalf("SIGTERM while a reading is held: %v", err)
		}
	}
}

// An answer that is no measurement becomes a failure with its cause, and with what to do.
func TestKernelSensorsFail(t *testing.T) {
	long(t, "it waits until each sensor is lost")
	t.Parallel()
	m := newFakeSys(t)
	p := startGateway(t, buildGateway(t), "--root", m.root, "--config", writeFile(t, "gateway.yaml", `listen: 127.0.0.1:0
sensors:
  - {name: attic, chip: ds18b20, interval: 1s}
  - {name: shed, chip: dht22}
  - {name: hall, chip: hwmon, device: sht3x, interval: 100ms, stuck_after: 0s}
  - {name: still, chip: iio, device: bme280, interval: 1s, stuck_after: 2s}
  - {name: cellar, chip: hwmon, device: sht4x}
`))
	all := []string{"attic", "shed", "hall", "cellar"}
	for _, sensor := range all {
		awaitFault(t, p, sensor, "")
	}
	for _, answer := range []struct{ text, fault string }{
		{w1PowerUp, "warming_up"}, {w1Damaged, "checksum"}, {w1Weak, "implausible"}, {w1Good, ""}, {w1Shorted, "implausible"}, {"", "no_ack"}, {w1Good, ""},
	} {
		m.write(w1Slave, answer.text)
		awaitFault(t, p, "attic", answer.fault)
	}
	awaitFault(t, p, "still", "stuck")

	// The driver fails, a device vanishes, a driver caches for longer than the interval.
	m.broken(fakeDHT + "/in_temp_input")
	m.remove(w1Dir)
	m.remove("sys/bus/w1/devices/" + w1ID)
	m.remove("sys/class/hwmon/hwmon2")
	m.remove(fakeI2C + "1-0044")
	m.remove("sys/class/hwmon/hwmon3")
	m.remove(fakeI2C + "1-0045")
	m.hwmon("hwmon4", "1-0045", "sht4x", "18250", "5000")
	for sensor, tell := range map[string][2]string{
		"shed":   {"checksum", "in_temp_input: input/output error (what the chip answered arrived incomplete or damaged)"},
		"attic":  {"absent", "ds18b20: nobody answers on the 1-wire bus; fix: check power and wiring, and the resistor of 4.7 kΩ from data to 3.3 V"},
		"hall":   {"absent", "hwmon sht3x: no hwmon device has this name, there are sht4x; fix: write dtoverlay=i2c-sensor,sht3x into /boot/firmware/config.txt, and reboot"},
		"cellar": {"other", "hwmon sht4x: the kernel measures every 5s and gives the same value meanwhile; fix: write interval: 5.1s"},
	} {
		awaitFault(t, p, sensor, tell[0])
		p.await(t, tell[1])
	}
	// Each comes back, under another number too.
	m.write(fakeDHT+"/in_temp_input", "-1400\n")
	m.w1()
	m.hwmon("hwmon7", "1-0044", "sht3x", "22500", "")
	m.write(fakeI2C+"1-0045/hwmon/hwmon4/update_interval", "2000\n")
	for _, sensor := range all {
		awaitFault(t, p, sensor, "")
	}
	if r := newest(t, p, "hall"); r["temp"] != 22.5 {
		t.Errorf("plugged in again: %v", r)
	}
	if err := p.Stop(t); err != nil {
		t.Error(err)
	}
}

// scan prints lines that are a valid configuration. read and doctor say what they find, and
// what to do about sensors that they do not find.
func TestKernelTools(t *testing.T) {
	t.Parallel()
	bin, m := buildGateway(t), newFakeSys(t)
	const whatever = -1 // what doctor finds besides depends on the machine
	says := func(code int, args []string, texts ...string) string {
		t.Helper()
		out, err := exec.Command(bin, append(args, "--root", m.root)...).CombinedOutput()
		if code != whatever && exitCode(err) != code {
			t.Errorf("%v: %v", args, err)
		}
		for _, text := range texts {
			if !strings.Contains(string(out), text) {
				t.Errorf("%v does not say %q:\n%s", args, text, out)
			}
		}
		return string(out)
	}
	out := says(0, []string{"scan"}, "the kernel's w1\n  "+w1ID+"  DS18B20, ds18b20\n", "the kernel's iio\n  1-0076  BME280, bme280\n  dht11@4  DHT22, dht11\n",
		"the kernel's hwmon\n  1-0044  SHT3x, sht3x\n  1-0045  SHT4x, sht4x\n")
	_, yaml, _ := strings.Cut(out, "For the configuration, with names of your own:\n\n")
	cfg := writeFile(t, "gateway.yaml", yaml)
	if out, err := exec.Command(bin, "check", cfg).CombinedOutput(); err != nil {
		t.Errorf("scan prints no configuration: %v\n%s\n%s", err, out, yaml)
	}
	var found struct {
		Kernel string
		Found  []struct{ Name, ID, Chip, Device, Model string }
	}
	for _, line := range strings.Split(says(0, []string{"scan", "--json"}), "\n") {
		if strings.Contains(line, `"kernel":"w1"`) {
			if err := json.Unmarshal([]byte(line), &found); err != nil {
				t.Error(err)
			}
		}
	}
	if got := fmt.Sprint(found); got != "{w1 [{ds18b20 "+w1ID+" ds18b20  DS18B20}]}" {
		t.Errorf("as JSON: %s", got)
	}

	cfg = writeFile(t, "gateway.yaml", "listen: "+freeAddress(t)+strings.TrimPrefix(kernelConfig, "listen: 127.0.0.1:0"))
	says(0, []string{"read", "--config", cfg}, "attic  ds18b20, w1 "+w1ID+"  23.12 °C, in ", "shed  dht22, iio dht11  -1.50 °C, 45.1 %, in ",
		"cellar  hwmon, hwmon 1-0045  18.25 °C, 45.0 %, in ", "outdoor  iio, iio bme280  4.32 °C, 81.2 %, 1013.2")
	says(0, []string{"read", "ds18b20@", "dht22@dht11@4", "hwmon@sht4x:1-0045", "iio@bme280", "--config", cfg}, "23.12 °C", "-1.50 °C", "18.25 °C", "4.32 °C")
	report := says(whatever, []string{"doctor", "--json", "--reads", "1", "--config", cfg}, `"check":"attic","verdict":"PASS","evidence":"ds18b20, w1 `+w1ID+`: 23.12 °C; `, `"check":"i2c","verdict":"SKIP"`)
	if strings.Contains(report, "bus 1") {
		t.Errorf("no sensor is on a bus:\n%s", report)
	}
	m.write(w1Slave, w1PowerUp)
	m.broken(fakeDHT + "/in_temp_input")
	m.remove("sys/class/hwmon/hwmon3")
	says(1, []string{"read", "--config", cfg}, "attic  ds18b20, w1 "+w1ID+"  FAIL: ds18b20 "+w1ID+": temperature: 85 °C is what it says after power-up, before it has measured: warming_up\n  the chip has too little power",
		"FAIL: iio dht11: temperature: read ", "input/output error", "a loose contact", "FAIL: hwmon sht4x 1-0045: no hwmon device has this name, there are sht3x\n  write dtoverlay=i2c-sensor,sht4x into")
	says(whatever, []string{"doctor", "--json", "--reads", "1", "--config", cfg}, `"check":"attic","verdict":"FAIL","evidence":"ds18b20, w1 `, `"fix":"the chip has too little power to measure: connect its VDD to 3.3 V"`, `"fix":"write dtoverlay=i2c-sensor,sht4x into /boot/firmware/config.txt, and reboot"`)
	says(2, []string{"read", "hwmon@"}, "no device (write hwmon@NAME, as gateway scan shows it)")
}
