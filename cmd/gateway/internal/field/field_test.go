package field

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/field/scan"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/sensors"
	"sensorgateway/sensors/bus"
	"sensorgateway/sensors/sim"
	"sensorgateway/wire"
)

// run runs a command with a configuration of one sensor of each chip.
func run(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	return runWith(t, &config.Config{Listen: "127.0.0.1:1", Sensors: []config.Sensor{
		{Name: "indoor", Chip: "sht3x", Bus: "1", Address: 0x44},
		{Name: "outdoor", Chip: "bme280", Bus: "1", Address: 0x76},
		{Name: "greenhouse", Chip: "aht20", Bus: "2", Address: 0x38},
	}}, args...)
}

// runWith runs a command with a configuration.
func runWith(t *testing.T, cfg *config.Config, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	env := console.Env{Stdout: &out, Stderr: &out, Getenv: os.Getenv}
	load := func(string, *machine.Simulation) (*config.Config, error) { return cfg, nil }
	for _, cmd := range Commands(env, load) {
		if cmd.Name() == args[0] {
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			cmd.SetArgs(args[1:])
			cmd.SetOut(&out)
			err = cmd.ExecuteContext(t.Context())
			return out.String(), err
		}
	}
	t.Fatalf("no command %s", args[0])
	return "", nil
}

func wantAll(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in\n%s", p, text)
		}
	}
}

func TestReadEachSensor(t *testing.T) {
	out, err := run(t, "read", "--simulate")
	if err != nil {
		t.Fatal(err)
	}
	wantAll(t, out, "indoor  sht3x 0x44 on bus 1  2", "outdoor  bme280 0x76 on bus 1  ", "greenhouse  aht20 0x38 on bus 2  2",
		"write f3 2d, read 80 10 e1 ", "8010 CRC right: status, an alert is pending, was reset", "chip id 0x60", "trimming T1 27504",
		"raw pressure ", ", temperature ", "status free, calibrated; raw humidity ", "; CRC right")
}

// Whatever a chip answers when it is read is explained.
func TestReadExplains(t *testing.T) {
	for name, chip := range sensors.Chips() {
		if chip.Kernel != nil {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			b, addr := sim.NewBus("bus 1", sim.NewEnvironment(1), 1), chip.Addresses[0]
			if err := b.Add(name, addr, sim.Indoor); err != nil {
				t.Fatal(err)
			}
			r := readOnce(chip, b, config.Sensor{Name: "a", Chip: name, Bus: "1", Address: addr})
			if r.Error != "" || len(r.Transfers) == 0 {
				t.Errorf("%s: %s", name, r.Error)
			}
			for _, x := range r.Transfers {
				if x.Read != "" && x.Means == "" {
					t.Errorf("%s: write %s, read %s: nothing is said of it", name, x.Write, x.Read)
				}
			}
		})
	}
}

func TestReadOne(t *testing.T) {
	out, err := run(t, "read", "--simulate", "--json", "outdoor", "sht3x@7:0x45", "sht3x@8:0x77/3:0x45")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 {
		t.Fatal(out)
	}
	for i, want := range []reading{
		{Sensor: "outdoor", Chip: "bme280", Bus: "1", Address: "0x76"},
		{Sensor: "sht3x@7:0x45", Chip: "sht3x", Bus: "7", Address: "0x45"},
		{Sensor: "sht3x@8:0x77/3:0x45", Chip: "sht3x", Bus: "8", Address: "0x45", Mux: &config.Mux{Address: 0x77, Channel: 3}},
	} {
		var r reading
		if err := json.Unmarshal([]byte(lines[i]), &r); err != nil {
			t.Fatal(err)
		}
		if r.Sensor != want.Sensor || r.Chip != want.Chip || r.Bus != want.Bus || !reflect.DeepEqual(r.Mux, want.Mux) || r.Address != want.Address || len(r.Values) != map[string]int{"sht3x": 2, "bme280": 3}[want.Chip] ||
			r.SenseMS < 5 || len(r.Transfers) < 4 || r.Error != "" {
			t.Errorf("%+v", r)
		}
	}
}

func TestTargets(t *testing.T) {
	for arg, want := range map[string]string{
		"nope":                `no sensor is named "nope" (write indoor, outdoor or greenhouse, or a chip such as sht3x@1:0x44)`,
		"sht31@1:0x44":        `"sht31@1:0x44": there is no chip "sht31" (write sht3x)`,
		"sht3x@":              `"sht3x@": no bus (write sht3x@1:0x44 for bus 1)`,
		"sht3x@1:44":          `"sht3x@1:44": "44" is no address of a chip (write it with 0x in front, such as 0x44)`,
		"sht3x@1:0x88":        `"sht3x@1:0x88": "0x88" is no address of a chip (write it with 0x in front, such as 0x44)`,
		"bme280@1:":           "",
		"bme280@1-1.2:0x77":   "",
		"sht3x@1:0x70/3":      "",
		"sht3x@1:0x70/8":      `"sht3x@1:0x70/8": "0x70/8" is no address of a chip (write it with 0x in front, such as 0x44)`,
		"sht3x@1:0x6f/3:0x44": `"sht3x@1:0x6f/3:0x44": "1:0x6f/3" is no channel of a multiplexer (write sht3x@1:0x70/3:0x44 for channel 3 of the one at 0x70)`,
	} {
		_, err := run(t, "read", "--simulate", arg)
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want || !errors.As(err, new(console.UsageError))) {
			t.Errorf("%s: %v, want %s", arg, err, want)
		}
	}
	if _, err := run(t, "read", "--simulate=nope"); !errors.As(err, new(console.UsageError)) {
		t.Error(err)
	}
}

func TestScanPrintsWhatToWrite(t *testing.T) {
	out, err := run(t, "scan", "--simulate")
	if err != nil {
		t.Fatal(err)
	}
	wantAll(t, out, "bus 1, emulated\n", "bus 2, emulated\n", "  0x44  SHT3x, status ", "  0x76  BME280, id 0x60\n", "  0x38  AHT20, status ")
	_, yaml, _ := strings.Cut(out, "For the configuration, with names of your own:\n\n")
	cfg, err := config.Parse("scan.yaml", []byte(yaml), map[string]config.Chip{
		"sht3x": {Addresses: []uint16{0x44}}, "bme280": {Addresses: []uint16{0x76}}, "aht20": {Addresses: []uint16{0x38}},
	})
	if err != nil || len(cfg.Sensors) != 3 || strings.Count(yaml, "also") != 1 || !strings.Contains(yaml, "    chip: bme280\n    bus: 1\n    address: 0x76\n    #also: [pressure]\n") {
		t.Errorf("%v\n%s", err, yaml)
	}
	out, err = run(t, "scan", "--simulate", "--json", "2")
	var r scan.Result
	if err := errors.Join(err, json.Unmarshal([]byte(out), &r)); err != nil || r.Bus != "2" || len(r.Found) != 1 || r.Found[0].Chip != "aht20" {
		t.Errorf("%v %+v", err, r)
	}
}

// answers is a bus with chips, which are functions of what is written and read.
type answers map[uint16]func(w, r []byte) error

func (answers) String() string                  { return "bus 1" }
func (answers) SetSpeed(physic.Frequency) error { return nil }
func (a answers) Tx(addr uint16, w, r []byte) error {
	if chip := a[addr]; chip != nil {
		return chip(w, r)
	}
	return failure(addr, wire.NoAck, syscall.Errno(121))
}

func failure(addr uint16, f wire.Fault, cause error) error {
	return &bus.Error{Bus: "bus 1", Addr: addr, Op: "write", Fault: f, Err: cause}
}

// chipWith is a chip whose registers are read one by one, from a pointer on.
func chipWith(values map[byte]byte) func(w, r []byte) error {
	pointer := byte(0)
	return func(w, r []byte) error {
		if len(w) > 0 {
			pointer = w[0]
		}
		for i := range r {
			r[i] = values[pointer+byte(i)]
		}
		return nil
	}
}

// sht4x acknowledges one byte only, and answers with its serial number.
func sht4x(w, r []byte) error {
	switch {
	case len(w) == 1 && w[0] == 0x89:
		return nil
	case len(w) == 0 && len(r) == 6:
		copy(r, "\xBE\xEF\x92\xBE\xEF\x92")
		return nil
	}
	return failure(0x44, wire.NoAck, syscall.Errno(121))
}

func TestFix(t *testing.T) {
	emulated := func() i2c.Bus { // with the clock of the test
		b := sim.NewBus("bus 1", sim.NewEnvironment(1), 1)
		if err := b.Add("sht3x", 0x45, sim.Indoor); err != nil {
			t.Fatal(err)
		}
		return b
	}
	stuck := answers{}
	for addr := uint16(0); addr < 0x80; addr++ {
		stuck[addr] = func(_, _ []byte) error { return failure(addr, wire.Timeout, syscall.Errno(110)) }
	}
	noAck, checksum := failure(0x44, wire.NoAck, syscall.Errno(121)), fmt.Errorf("read: %w", wire.Checksum)
	sht, bme := config.Sensor{Chip: "sht3x", Bus: "1", Address: 0x44}, config.Sensor{Chip: "bme280", Bus: "1", Address: 0x76}
	behind := sht
	behind.Mux = config.Mux{Address: 0x70, Channel: 3}
	for _, tt := range []struct {
		name    string
		bus     i2c.Bus // nil: emulated, with an SHT3x at 0x45
		sensor  config.Sensor
		failure error
		want    string
	}{
		{"nobody", answers{}, sht, noAck, "nothing answers at 0x44 of bus 1: check power and wiring (SDA and SCL may be swapped), and look at the other buses: gateway scan"},
		{"the other address", nil, sht, noAck, "nothing answers at 0x44, but an SHT3x does at 0x45: write address: 0x45"},
		{"a BMP388", answers{0x76: chipWith(map[byte]byte{0x00: 0x50})}, bme, errors.New("chip id"),
			"0x76 answers as a BMP388 (id 0x50 in register 0x00), for which the gateway has no driver"},
		{"unknown", answers{0x76: chipWith(nil)}, bme, errors.New("chip id"),
			"0x76 answers, but not as BME280 (it acknowledges, but is not one of the chips known at this address): is that the chip?"},
		{"now and then", nil, config.Sensor{Chip: "sht3x", Bus: "1", Address: 0x45}, checksum,
			"the chip answers now: a loose contact, a cable that is too long, or a bus that is too fast for it (dtparam=i2c_arm_baudrate=50000 in /boot/firmware/config.txt)"},
		{"stuck", stuck, sht, failure(0x44, wire.Timeout, syscall.Errno(110)), bus.StuckFix},
		{"nobody behind a channel", answers{}, behind, noAck, "nothing answers at 0x44 of bus 1, channel 3 of multiplexer 0x70: check power and wiring (SDA and SCL may be swapped), and look at the other channels: gateway scan"},
		{"no bus", answers{}, sht, failure(0x44, wire.BusDown, os.ErrNotExist), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.bus == nil {
					tt.bus = emulated()
				}
				if got := fixFor(tt.bus, tt.sensor, tt.failure); got != tt.want {
					t.Errorf("\n got %s\nwant %s", got, tt.want)
				}
			})
		})
	}
	// Whether there is a driver for it or not, an SHT4x is called by its name.
	if got := fixFor(answers{0x44: sht4x}, sht, noAck); !strings.HasPrefix(got, "0x44 answers as an SHT4x (serial number beefbeef)") {
		t.Error(got)
	}
}

// A chip that a kernel's driver has is not read, nor one behind a multiplexer that it has.
func TestReadLeavesTheKernelsChips(t *testing.T) {
	root := t.TempDir()
	for device, driver := range map[string]string{"1-0044": "sht3x", "1-0070": "pca954x"} {
		dir := filepath.Join(root, "sys/bus/i2c/devices", device)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../../drivers/"+driver, filepath.Join(dir, "driver")); err != nil {
			t.Fatal(err)
		}
	}
	for target, want := range map[string]string{
		"sht3x@1:0x44": "sht3x@1:0x44  sht3x 0x44 on bus 1  FAIL: the kernel's driver sht3x has the chip, and both would disturb each other\n" +
			"  echo 1-0044 | sudo tee /sys/bus/i2c/drivers/sht3x/unbind, and take its overlay out of /boot/firmware/config.txt; or write the chip as what the kernel reads: gateway scan shows it\n",
		"sht3x@1:0x70/3:0x45": "sht3x@1:0x70/3:0x45  sht3x 0x45 on bus 1, channel 3 of multiplexer 0x70  FAIL: the kernel's driver pca954x has the multiplexer, and both would disturb each other\n" +
			"  each channel is a bus of the kernel's: instead of mux write bus: i2c-1-mux (chan_id 3)\n",
	} {
		if said, err := run(t, "read", "--root", root, target); err == nil || said != want {
			t.Errorf("%v\n got %s\nwant %s", err, said, want)
		}
	}
}

// One chip that fails alone is no stuck bus, and what the kernel has is left alone.
func TestScanGoesOn(t *testing.T) {
	root := t.TempDir()
	device := filepath.Join(root, "sys/bus/i2c/devices/1-0045")
	if err := os.MkdirAll(device, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../drivers/sht3x", filepath.Join(device, "driver")); err != nil {
		t.Skip(err)
	}
	b := answers{
		0x44: func(_, _ []byte) error { return failure(0x44, wire.Timeout, syscall.Errno(110)) },
		0x45: func(_, _ []byte) error { t.Error("the kernel's chip was asked"); return nil },
		0x50: func(_, r []byte) error { r[0] = 7; return nil },
		0x76: chipWith(map[byte]byte{0xD0: 0x60}),
	}
	synctest.Test(t, func(t *testing.T) {
		r := scan.Result{Bus: "1"}
		r.Ask(t.Context(), b, (&source{root: root}).others("1", false, nil))
		if r.Error != "" || len(r.Found) != 4 {
			t.Fatalf("%+v", r)
		}
		var out bytes.Buffer
		printScanned(&printer{w: &out}, &r)
		wantAll(t, out.String(), "0x44  ?  a transfer fails: "+syscall.Errno(110).Error()+"\n", "0x45  the kernel's driver sht3x has it\n", "0x50  ?  read 07\n", "0x76  BME280, id 0x60\n")
	})
}

// A chip that measures by itself, and has nothing yet, is waited for.
func TestReadWaitsForTheFirstMeasurement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		emulated := sim.NewBus("bus 1", sim.NewEnvironment(1), 1)
		if err := emulated.Add("scd4x", 0x62, sim.Indoor); err != nil {
			t.Fatal(err)
		}
		b := bus.New("bus 1", emulated.Open, quiet)
		defer b.Close()
		chip := sensors.Chips()["scd4x"]
		r := readOnce(chip, b, config.Sensor{Name: "air", Chip: "scd4x", Bus: "1", Address: 0x62})
		if r.Error != "" || !strings.HasSuffix(r.Text, " ppm") {
			t.Errorf("%+v", r)
		}
		c := count(t.Context(), chip, b, 0x62, 3)
		if len(c.faults) > 0 || c.err != nil {
			t.Errorf("%+v", c)
		}
	})
}
