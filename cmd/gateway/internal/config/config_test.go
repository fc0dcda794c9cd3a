package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sensorgateway/cmd/gateway/internal/config/syntax"
	"sensorgateway/gateway/limit"
	"sensorgateway/wire"
)

var climate = []wire.Quantity{wire.Temperature, wire.Humidity}

var testChips = map[string]Chip{
	"sht3x":   {Sold: []string{"sht31"}, Addresses: []uint16{0x44, 0x45}, MinInterval: 20 * time.Millisecond, Values: climate, Also: nil, Coarse: false},
	"bme280":  {Addresses: []uint16{0x76, 0x77}, MinInterval: 20 * time.Millisecond, Values: climate, Also: []wire.Quantity{wire.Pressure}, Coarse: false},
	"aht20":   {Addresses: []uint16{0x38}, MinInterval: 100 * time.Millisecond, Values: climate, Also: nil, Coarse: false},
	"ds18b20": {MinInterval: time.Second, Values: climate[:1], Coarse: true, Class: "w1", Device: "ds18b20"},
	"hwmon": {MinInterval: time.Second, Values: climate[:1], Coarse: true, Class: "hwmon", Named: func(device string) Chip {
		if device == "sht4x" {
			return Chip{MinInterval: 2100 * time.Millisecond, Values: climate, Class: "hwmon", Device: device}
		}
		return Chip{MinInterval: time.Second, Values: climate[:1], Coarse: true, Class: "hwmon", Device: device}
	}},
}

// sensor is one that is a chip's own.
func sensor(name, chip, bus string, address uint16, interval, stuckAfter time.Duration) Sensor {
	return Sensor{Name: name, Chip: chip, Bus: bus, Address: address, Interval: interval, StuckAfter: stuckAfter}
}

func TestBadConfig(t *testing.T) {
	for _, test := range slices.Concat(badConfigs, badSensors, badAccess, badMotors, badAlarms, badCalibrations) {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse(t, test.file)
			wantConfigError(t, err, test.want)
		})
		t.Run(test.name+" with CRLF", func(t *testing.T) {
			_, err := parse(t, strings.ReplaceAll(test.file, "\n", "\r\n"))
			wantConfigError(t, err, test.want)
		})
	}
}

func wantConfigError(t *testing.T, err error, want string) {
	t.Helper()
	if _, ok := errors.AsType[Error](err); !ok {
		t.Fatalf("got %T (%v), want a Error", err, err)
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestGoodConfig(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	indoor := sensor("indoor", "sht3x", "1", 0x44, 100*ms, 60*s)
	week := History{256 << 20, 7 * 24 * time.Hour}
	defaults := Config{Listen: "localhost:8765", Limits: limit.Default(), History: week, LogFormat: "auto", Primary: "indoor", Sensors: []Sensor{indoor}}
	with := func(change func(*Config)) Config {
		c := defaults
		change(&c)
		return c
	}
	for _, test := range []struct {
		name, file string
		want       Config
	}{
		{"defaults", oneSensor, defaults},
		{"byte order mark", "\ufeff" + oneSensor, defaults},
		{"CRLF", "sensors:\r\n  - name: indoor\r\n    chip: sht3x\r\n", defaults},
		{"no newline at the end", strings.TrimSpace(oneSensor), defaults},
		{"document markers", "---\n" + oneSensor + "...\n", defaults},
		{"quoted keys and values", `"sensors": [{'name': "indoor", "chip": 'sht3x', bus: "1"}]`, defaults},
		{"behind multiplexers", `sensors:
- {name: indoor, chip: sht3x}
- {name: a, chip: sht3x, address: 0x45, mux: {address: 0x70, channel: 0}}
- {name: b, chip: sht3x, address: 0x45, mux: {address: 0x70, channel: 7}}
- {name: c, chip: sht3x, address: 0x45, mux: {address: 119, channel: 0x7}}
- {name: d, chip: sht3x, address: 0x45, bus: i2c-1-mux (chan_id 3)}`,
			with(func(c *Config) {
				for _, s := range []Sensor{
					{Name: "a", Bus: "1", Mux: Mux{0x70, 0}}, {Name: "b", Bus: "1", Mux: Mux{0x70, 7}}, {Name: "c", Bus: "1", Mux: Mux{0x77, 7}},
					{Name: "d", Bus: "i2c-1-mux (chan_id 3)"},
				} {
					s.Chip, s.Address, s.Interval, s.StuckAfter = "sht3x", 0x45, 100*ms, time.Minute
					c.Sensors = append(c.Sensors[:len(c.Sensors):len(c.Sensors)], s)
				}
			})},
		{"everything", `
listen: 192.168.1.5:80
insecure: true
state: /var/lib/gateway
history: {size: 2GiB, age: 36h}
limits: {connections: 64, connections_per_address: 8, clients: 50, clients_per_address: 20, clients_per_token: 7, queues: 8MiB}
log_format: json
primary: out-door_2
sensors:
  - name: indoor
    chip: sht3x
    bus: 0
    address: 0x45
    interval: 20ms
    stuck_after: 0s
  - name: out-door_2
    chip: bme280
    bus: 255
    address: 0X77
    interval: 24h
    stuck_after: 48h
`, Config{Listen: "192.168.1.5:80", Limits: limit.Limits{
			Connections: 64, ConnectionsPerAddress: 8, Clients: 50, ClientsPerAddress: 20, ClientsPerToken: 7, Reserved: 5, Queues: 8 << 20}, Insecure: true, State: "/var/lib/gateway", History: History{2 << 30, 36 * time.Hour}, LogFormat: "json", Primary: "out-door_2",
			Sensors: []Sensor{sensor("indoor", "sht3x", "0", 0x45, 20*ms, 0), sensor("out-door_2", "bme280", "255", 0x77, 24*time.Hour, 48*time.Hour)}}},
		{"each chip has its own first address", "sensors: [{name: a, chip: sht3x}, {name: b, chip: bme280}, {name: c, chip: aht20}]",
			with(func(c *Config) {
				c.Primary = "a"
				c.Sensors = []Sensor{sensor("a", "sht3x", "1", 0x44, 100*ms, 60*s), sensor("b", "bme280", "1", 0x76, 100*ms, 60*s), sensor("c", "aht20", "1", 0x38, 100*ms, 60*s)}
			})},
		{"one address on two buses", "sensors: [{name: a, chip: aht20}, {name: b, chip: aht20, bus: 2}]",
			with(func(c *Config) {
				c.Primary = "a"
				c.Sensors = []Sensor{sensor("a", "aht20", "1", 0x38, 100*ms, 60*s), sensor("b", "aht20", "2", 0x38, 100*ms, 60*s)}
			})},
		{"buses by what does not change", "sensors: [{name: a, chip: aht20, bus: /dev/i2c-sensors}, {name: b, chip: aht20, bus: 1-1.2}, {name: c, chip: aht20, bus: i2c-tiny-usb}, {name: d, chip: aht20, bus: /dev/i2c-3}, {name: e, chip: aht20, bus: bcm2835 (i2c@7e804000)}]",
			with(func(c *Config) {
				c.Primary, c.Sensors = "a", nil
				for i, bus := range []string{"/dev/i2c-sensors", "1-1.2", "i2c-tiny-usb", "3", "bcm2835 (i2c@7e804000)"} {
					c.Sensors = append(c.Sensors, sensor(string(rune('a'+i)), "aht20", bus, 0x38, 100*ms, 60*s))
				}
			})},
		{"further quantities", "sensors: [{name: out, chip: bme280, interval: 1s, also: [pressure]}, {name: in, chip: sht3x, also: []}]",
			with(func(c *Config) {
				out := sensor("out", "bme280", "1", 0x76, time.Second, 60*s)
				pressure := out
				pressure.Name, pressure.Further = "out_pressure", "pressure"
				c.Primary, c.Sensors = "out", []Sensor{out, pressure, sensor("in", "sht3x", "1", 0x44, 100*ms, 60*s)}
			})},
		{"decimal address", "sensors: [{name: indoor, chip: sht3x, address: 68}]", defaults},
		{"quoted address", `sensors: [{name: indoor, chip: sht3x, address: "0x44"}]`, defaults},
		{"a slow sensor is stuck later", "sensors: [{name: indoor, chip: sht3x, interval: 1m}]",
			with(func(c *Config) {
				c.Sensors = []Sensor{sensor("indoor", "sht3x", "1", 0x44, time.Minute, 10*time.Minute)}
			})},
		{"never stuck, without a unit", "sensors: [{name: indoor, chip: sht3x, stuck_after: 0}]",
			with(func(c *Config) { c.Sensors = []Sensor{sensor("indoor", "sht3x", "1", 0x44, 100*ms, 0)} })},
		{"listen everywhere", "listen: :8081\ninsecure: true\n" + oneSensor,
			with(func(c *Config) { c.Listen, c.Insecure = ":8081", true })},
		{"insecure, on localhost", "insecure: true\n" + oneSensor, with(func(c *Config) { c.Insecure = true })},
		{"a word of YAML as a name", "sensors: [{name: true, chip: sht3x}]",
			with(func(c *Config) {
				c.Primary = "true"
				c.Sensors = []Sensor{sensor("true", "sht3x", "1", 0x44, 100*ms, 60*s)}
			})},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parse(t, test.file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
		})
	}
}

// A chip slower than the usual interval has its own.
func TestSlowChipHasItsOwnInterval(t *testing.T) {
	chips := map[string]Chip{"slow": {Addresses: []uint16{0x5C}, MinInterval: 2 * time.Second, Values: climate, Also: nil, Coarse: false}}
	c, err := Parse("gateway.yaml", []byte("sensors: [{name: a, chip: slow}]"), chips)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Sensors[0].Interval; got != 2*time.Second {
		t.Errorf("interval %v, want 2s", got)
	}
}

func sensorLines(n int) string {
	var b strings.Builder
	b.WriteString("sensors:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {name: s%d, chip: aht20, bus: %d}\n", i, i)
	}
	return b.String()
}

func TestConfigLimits(t *testing.T) {
	c, err := parse(t, sensorLines(64))
	if err != nil || len(c.Sensors) != 64 {
		t.Errorf("64 sensors: %v", err)
	}
	_, err = parse(t, sensorLines(65))
	wantConfigError(t, err, "gateway.yaml:66: sensors: 65 sensors are too many (at most 64)")

	full := oneSensor + "#" + strings.Repeat("x", syntax.MaxSize-len(oneSensor)-1)
	if _, err := parse(t, full); err != nil {
		t.Errorf("1 MiB: %v", err)
	}
	_, err = parse(t, full+"x")
	wantConfigError(t, err, "gateway.yaml:1: larger than 1 MiB (name the right file: no configuration is that large)")

	_, err = parse(t, "a: "+strings.Repeat("[", 100_000))
	wantConfigError(t, err, "gateway.yaml:1: lists or mappings nested thousands deep (name the right file: this is no configuration)")
}

// What is no configuration at all must not flood the log.
func TestConfigErrorIsBounded(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "%d: %s\n", i, strings.Repeat("x", 100))
	}
	_, err := parse(t, b.String())
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxProblems+1 || len(err.Error()) > 270*maxProblems {
		t.Errorf("%d lines, %d bytes", len(lines), len(err.Error()))
	}
	if got, want := lines[len(lines)-1], "gateway.yaml: and 4901 more problems"; got != want {
		t.Errorf("last line %q, want %q", got, want)
	}
}

// The command line has no file and no line.
func TestConfigErrorOfFlag(t *testing.T) {
	wantConfigError(t, Error{{Text: `--listen: "8765" is only a port (write :8765)`}}, `--listen: "8765" is only a port (write :8765)`)
}

func TestReadConfig(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}

	good := write("good.yaml", oneSensor)
	c, err := Read(good, testChips)
	if err != nil {
		t.Fatal(err)
	}
	if c.File != good {
		t.Errorf("file %q, want %q", c.File, good)
	}

	bad := write("bad.yaml", "liste: x\n"+oneSensor)
	_, err = Read(bad, testChips)
	wantConfigError(t, err, bad+`:1: unknown key "liste" (did you mean "listen"?)`)

	large := write("large.yaml", strings.Repeat("#\n", 5<<20))
	_, err = Read(large, testChips)
	wantConfigError(t, err, large+":1: larger than 1 MiB (name the right file: no configuration is that large)")

	missing := filepath.Join(dir, "missing.yaml")
	_, err = Read(missing, testChips)
	wantConfigError(t, err, missing+": no such file (give its path with --config, or try --simulate, which needs none)")

	_, err = Read(dir, testChips)
	wantConfigError(t, err, dir+": is a directory (name the file in it)")

	if runtime.GOOS != "windows" {
		_, err = Read(os.DevNull, testChips)
		wantConfigError(t, err, os.DevNull+": is not a regular file (a reload must be able to read it again)")
		_, err = Read(good+"/x", testChips)
		wantConfigError(t, err, good+"/x: cannot be read: not a directory")
	}
}

func TestReadConfigUnreadable(t *testing.T) {
	if runtime.GOOS == "windows" || os.Getuid() == 0 {
		t.Skip("every file can be read here")
	}
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(path, []byte(oneSensor), 0); err != nil {
		t.Fatal(err)
	}
	_, err := Read(path, testChips)
	wantConfigError(t, err, path+": permission denied (let the user that runs the gateway read it: sudo chmod a+r "+path+")")
}

// Values with wide steps stay the same for long, unless the file says how long.
func TestCoarseValuesAreNotStuck(t *testing.T) {
	chips := map[string]Chip{"mcp9808": {Addresses: []uint16{0x18, 0x19}, MinInterval: 250 * time.Millisecond, Values: []wire.Quantity{wire.Temperature}, Also: nil, Coarse: true}}
	c, err := Parse("gateway.yaml", []byte("sensors: [{name: a, chip: mcp9808}, {name: b, chip: mcp9808, address: 0x19, stuck_after: 10m}]"), chips)
	if err != nil || c.Sensors[0].StuckAfter != 0 || c.Sensors[1].StuckAfter != 10*time.Minute {
		t.Errorf("%v, %+v", err, c)
	}
}

// The primary sensor is one that readings.v1 can carry: the first of them, unless
// the file says otherwise.
func TestPrimaryMeasuresTemperature(t *testing.T) {
	chips := maps.Clone(testChips)
	chips["scd41"] = Chip{Addresses: []uint16{0x62}, MinInterval: 5 * time.Second, Values: []wire.Quantity{wire.CO2}, Also: nil, Coarse: false}
	const three = "sensors: [{name: air, chip: scd41}, {name: b, chip: aht20}, {name: a, chip: sht3x}]\n"
	const alone = "sensors: [{name: air, chip: scd41}]\n"
	for file, want := range map[string]string{three: "b", three + "primary: a": "a", alone: "air"} {
		if c, err := Parse("gateway.yaml", []byte(file), chips); err != nil || c.Primary != want {
			t.Errorf("%s: %+v, %v", file, c, err)
		}
	}
	for file, want := range map[string]string{
		three + "primary: air": `gateway.yaml:2: primary: "air" does not measure temperature, which readings.v1 needs (write b or a)`,
		alone + "primary: air": `gateway.yaml:2: primary: "air" does not measure temperature, which readings.v1 needs (remove the line)`,
		three + "primary: c":   `gateway.yaml:2: primary: no sensor is named "c" (write b or a)`,
	} {
		_, err := Parse("gateway.yaml", []byte(file), chips)
		wantConfigError(t, err, want)
	}
}
