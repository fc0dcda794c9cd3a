package field

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/field/doctor"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/sensors/bus"
	"sensorgateway/sensors/sim"
)

// For a chip that fails, doctor says why, and what helps.
func TestDoctorReadsTheChips(t *testing.T) {
	unplugged, disturbed := sim.Failure{Kind: sim.Unplug}, sim.Failure{Kind: sim.Corrupt, Share: 0.3}
	claim := func(t *testing.T, root string) {
		driver := filepath.Join(root, "sys/bus/i2c/drivers/sht3x")
		device := filepath.Join(root, "sys/bus/i2c/devices/1-0044")
		for _, dir := range []string{driver, device} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(driver, filepath.Join(device, "driver")); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name          string
		chip          string
		addr          uint16
		reads         int
		failure       *sim.Failure
		machine       func(t *testing.T, root string)
		verdict       doctor.Verdict
		evidence, fix string
	}{
		{"all is well", "sht3x", 0x44, 3, nil, nil, doctor.Pass, "; 3 reads good, ", ""},
		{"the kernel's driver", "sht3x", 0x44, 3, nil, claim, doctor.Fail, "the kernel's driver sht3x has the chip", "echo 1-0044 | sudo tee /sys/bus/i2c/drivers/sht3x/unbind"},
		{"nobody there", "sht3x", 0x44, 3, &unplugged, nil, doctor.Fail, "SHT3x at 0x44 of bus 1: ", "nothing answers at 0x44 of bus 1"},
		{"a wrong chip", "bme280", 0x77, 3, nil, nil, doctor.Fail, "BME280 at 0x77 of bus 1: ", "nothing answers at 0x77"},
		{"bad wires", "sht3x", 0x44, 20, &disturbed, nil, doctor.Warn, "reads failed: checksum ", "dtparam=i2c_arm_baudrate=50000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			emulated := sim.NewBus("bus 1", sim.NewEnvironment(1), 1)
			if err := emulated.Add("sht3x", 0x44, sim.Indoor); err != nil {
				t.Fatal(err)
			}
			if tt.failure != nil {
				if err := emulated.Inject(0x44, *tt.failure); err != nil {
					t.Fatal(err)
				}
			}
			root := t.TempDir()
			if err := os.MkdirAll(filepath.Join(root, "dev/i2c-1"), 0o755); err != nil {
				t.Fatal(err)
			}
			if tt.machine != nil {
				tt.machine(t, root)
			}
			p := &patient{Patient: doctor.New(t.Context(), root), reads: tt.reads,
				buses: machine.Buses{"1": bus.New("bus 1", emulated.Open, quiet)}}
			p.Cfg = &config.Config{Sensors: []config.Sensor{{Name: "indoor", Chip: tt.chip, Bus: "1", Address: tt.addr}}}
			defer p.buses.Close()
			r := p.examine(t.Context())
			i := slices.IndexFunc(r, func(c doctor.Check) bool { return c.Name == "indoor" })
			if c := r[i]; c.Verdict != tt.verdict || !strings.Contains(c.Evidence, tt.evidence) || !strings.Contains(c.Fix, tt.fix) || (tt.fix != "") != (c.Fix != "") {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestDoctorPrints(t *testing.T) {
	r := doctor.Report{{Name: "board", Verdict: doctor.Pass, Evidence: "Raspberry Pi 4"}, {Name: "bus 1", Verdict: doctor.Warn, Evidence: "one\ntwo", Fix: "mend it"}}
	var out bytes.Buffer
	if err := printReport(&out, r, false); err != nil {
		t.Error(err)
	}
	wantAll(t, out.String(), "PASS  board        Raspberry Pi 4\nWARN  bus 1        one\n                   two\n                   fix: mend it\n",
		"\n2 checks: 1 pass, 1 warn, 0 fail, 0 could not be made\n")
	for _, asJSON := range []bool{false, true} {
		if err := printReport(&out, append(r, doctor.Check{Name: "port", Verdict: doctor.Fail}), asJSON); err == nil {
			t.Error("a check has failed, and the command has not")
		}
	}
	wantAll(t, out.String(), `{"checks":[{"check":"board","verdict":"PASS","evidence":"Raspberry Pi 4"},`, `"ok":false}`)
}
