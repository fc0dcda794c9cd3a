package sensors_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors"
	"sensorgateway/sensors/bus"
	"sensorgateway/sensors/identify"
	"sensorgateway/sensors/sim"
	"sensorgateway/wire"
)

// emulate returns an emulated bus with one chip.
func emulate(t *testing.T, name string, addr uint16) *sim.Bus {
	t.Helper()
	b := sim.NewBus("bus 1", sim.NewEnvironment(1), 1)
	if err := b.Add(name, addr, sim.Indoor); err != nil {
		t.Fatal(err)
	}
	return b
}

// onI2C are the chips on I²C buses; those that the kernel reads have no address.
func onI2C() map[string]sensors.Chip {
	chips := sensors.Chips()
	maps.DeleteFunc(chips, func(_ string, c sensors.Chip) bool { return c.Kernel != nil })
	return chips
}

// What holds of every chip: the table, the drivers and the emulation agree.
func TestEveryChip(t *testing.T) {
	for name, chip := range onI2C() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if n := len(chip.Measures); n < 1 || n > 2 || len(chip.Also) > 2 {
				t.Errorf("it measures %d and %d quantities", n, len(chip.Also))
			}
			for _, addr := range chip.Addresses {
				synctest.Test(t, func(t *testing.T) { measuresTheAir(t, name, chip, addr) })
				synctest.Test(t, func(t *testing.T) {
					if who, err := identify.At(emulate(t, name, addr), addr); err != nil || who.Chip != name {
						t.Errorf("0x%02x is identified as %+v, %v", addr, who, err)
					}
				})
			}
			synctest.Test(t, func(t *testing.T) { comesBack(t, name, chip) })
		})
	}
}

// near is how far a value may be from the air's: accuracy is not emulated, noise and
// resolution are.
var near = map[wire.Quantity]float64{wire.Temperature: 0.2, wire.Humidity: 0.6, wire.Pressure: 0.2, wire.CO2: 20}

// of returns a quantity of the air.
func of(air sim.Air, q wire.Quantity) float64 {
	switch q {
	case wire.Temperature:
		return air.Temperature
	case wire.Humidity:
		return air.Humidity
	case wire.Pressure:
		return air.Pressure / 100
	}
	return air.CO2
}

// measuresTheAir reads a chip as often as it may be, each time from the bus's first
// transfer to its last without a failure.
func measuresTheAir(t *testing.T, name string, chip sensors.Chip, addr uint16) {
	environment := sim.NewEnvironment(1)
	device, err := chip.Open(emulate(t, name, addr), addr)
	if err != nil {
		t.Fatal(err)
	}
	values := make([]float32, len(chip.All()))
	for i := range 50 {
		begin := time.Now()
		time.Sleep(chip.MinInterval)
		if err := device.Sense(values); err != nil {
			t.Fatalf("reading %d: %v", i, err)
		}
		if took := time.Since(begin) - chip.MinInterval; took > min(chip.MinInterval, time.Second) {
			t.Fatalf("it took %v, and the next one is due after %v", took, chip.MinInterval)
		}
		air := environment.At(sim.Indoor, time.Now())
		for k, m := range chip.All() {
			if off := float64(values[k]) - of(air, m.Quantity); math.Abs(off) > near[m.Quantity] {
				t.Fatalf("reading %d: %s is off by %v", i, m.Text(values[k]), off)
			}
		}
	}
	if err := device.Halt(); err != nil {
		t.Error(err)
	}
	if want := fmt.Sprintf("%s 0x%02x on bus 1", name, addr); device.String() != want {
		t.Errorf("String: %q, want %q", device, want)
	}
}

// comesBack unplugs the chip while it is sampled, and plugs it in again: with its
// power it has lost its settings. Every good reading is that of the air.
func comesBack(t *testing.T, name string, chip sensors.Chip) {
	addr, environment := chip.Addresses[0], sim.NewEnvironment(1)
	emulated := emulate(t, name, addr)
	b := bus.New("bus 1", func() (i2c.BusCloser, error) { return emulated, nil }, slog.New(slog.DiscardHandler))
	defer b.Close()
	interval := max(100*time.Millisecond, chip.MinInterval)
	ctx, cancel := context.WithTimeout(context.Background(), 120*interval)
	defer cancel()
	lost, ticks, good := 0, 0, 0
	s := sensors.NewSampler(sensors.Options{
		Sensors: []sensors.Config{{Name: "s", Chip: chip, Bus: b, Address: addr, Interval: interval}},
		Clock:   sensors.NewClock(sensors.ClockOptions{}), Log: slog.New(slog.DiscardHandler),
		Publish: func(records []wire.Record, _ int64) {
			ticks++
			switch ticks {
			case 50:
				if err := emulated.Inject(addr, sim.Failure{Kind: sim.Unplug}); err != nil {
					t.Error(err)
				}
			case 60:
				emulated.Repair(addr)
			}
			r := records[0]
			if r.Fault != wire.Good {
				lost++
				return
			}
			if ticks > 100 {
				good++
			}
			q := chip.Measures[0].Quantity
			if air := of(environment.At(sim.Indoor, time.UnixMilli(r.UnixMilli)), q); math.Abs(float64(r.Values[0])-air) > 2*near[q] {
				t.Errorf("tick %d: %v, but it is %v", ticks, r.Values[0], air)
			}
		},
	})
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if good < 15 || lost < 8 || lost > 60 {
		t.Errorf("of %d ticks %d failed, and %d of the last 20 were good", ticks, lost, good)
	}
}

// A driver refuses a chip that is another one.
func TestForeignChips(t *testing.T) {
	// Those that understand all that the driver asks for.
	like := map[string][]string{"sht3x": {"hdc302x"}, "htu21d": {"sht2x", "si7021"}, "sht2x": {"htu21d", "si7021"}}
	for name, chip := range onI2C() {
		for other, there := range onI2C() {
			for _, addr := range there.Addresses {
				if other == name || slices.Contains(like[name], other) {
					continue
				}
				synctest.Test(t, func(t *testing.T) {
					if d, err := chip.Open(emulate(t, other, addr), addr); err == nil {
						t.Errorf("the driver of %s takes %s at 0x%02x for its chip: %v", name, other, addr, d)
					}
				})
			}
		}
	}
}

// The list of chips for people has them all.
func TestEveryChipIsInTheREADME(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, chip := range sensors.Chips() {
		row := ""
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "| `"+name+"` |") {
				row = line
			}
		}
		sold, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		for _, part := range strings.Split(sold, ", ") {
			part = strings.ReplaceAll(strings.ToLower(strings.TrimSuffix(part, " boards")), "-", "")
			if part != name && !slices.Contains(chip.Sold, part) && !sensors.NamesDevice(name) {
				t.Errorf("%s: who writes %s is not told to", name, part)
			}
		}
		for _, addr := range chip.Addresses {
			if !strings.Contains(row, fmt.Sprintf("0x%02x", addr)) && !strings.Contains(row, "to 0x") {
				t.Errorf("%s: 0x%02x is not in its row %q", name, addr, row)
			}
		}
		if !strings.Contains(row, fmt.Sprintf(" %v |", strings.Replace(chip.MinInterval.String(), "ms", " ms", 1))) && !strings.Contains(row, strings.Replace(chip.MinInterval.String(), "s", " s", 1)) {
			t.Errorf("%s: %v is not in its row %q", name, chip.MinInterval, row)
		}
	}
}

// The documentation of every driver shows how it is used.
func TestEveryDriverHasAnExample(t *testing.T) {
	drivers, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range drivers {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(source), "\nfunc NewI2C(") {
			continue
		}
		example, err := os.ReadFile(filepath.Join(filepath.Dir(file), "example_test.go"))
		if err != nil || !strings.Contains(string(example), "\nfunc Example()") {
			t.Errorf("%s has no example: %v", file, err)
		}
	}
}
