package sensors_test

import (
	"context"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/sensors"
	"sensorgateway/sensors/sim"
	"sensorgateway/sensors/sim/tree"
	"sensorgateway/wire"
)

// ofKernel are chips that the kernel reads: by their names in a configuration, and of
// devices by the device behind a blank.
var ofKernel = []string{"ds18b20", "dht22", "hwmon sht3x", "hwmon sht4x", "hwmon cpu_thermal", "iio bme280", "iio si7020", "iio dht11"}

// kernelChip returns such a chip, emulated indoors.
func kernelChip(t *testing.T, name string) (sensors.Chip, *tree.Tree) {
	t.Helper()
	name, device, _ := strings.Cut(name, " ")
	chip, ok := sensors.Lookup(name, device)
	if !ok {
		t.Fatal("there is no chip", name)
	}
	emulated := tree.New(sim.NewEnvironment(1), 1)
	if err := emulated.Add(string(chip.Kernel.Class), chip.Kernel.Name, "", sim.Indoor); err != nil {
		t.Fatal(err)
	}
	return chip, emulated
}

// sample runs a sampler and returns each tick's records.
func sample(t *testing.T, d time.Duration, configs []sensors.Config, tick func(records []wire.Record)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	s := sensors.NewSampler(sensors.Options{
		Sensors: configs, Clock: sensors.NewClock(sensors.ClockOptions{}), Log: slog.New(slog.DiscardHandler),
		Publish: func(records []wire.Record, _ int64) { tick(records) },
	})
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}

// Each value is that of the air at any interval; a chip that is lost comes back.
func TestKernelChips(t *testing.T) {
	for _, name := range ofKernel {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chip, tree := kernelChip(t, name)
				id, environment := "emulated-0", sim.NewEnvironment(1)
				if chip.Kernel.Class == "w1" {
					id = "28-000000000001"
				}
				ticks, good, failed := 0, 0, map[wire.Fault]int{}
				sample(t, 60*chip.MinInterval, []sensors.Config{{
					Name: "s", Chip: chip.Of(t.Context(), tree, "", chip.MinInterval), Interval: chip.MinInterval,
				}}, func(records []wire.Record) {
					r := records[0]
					switch ticks++; ticks {
					case 20:
						if err := tree.Inject(id, sim.Failure{Kind: sim.Vanish}); err != nil {
							t.Error(err)
						}
					case 30:
						tree.Repair(id)
					}
					if r.Fault != wire.Good {
						failed[r.Fault]++
						return
					}
					good++
					air := environment.At(sim.Indoor, time.UnixMilli(r.UnixMilli))
					if off := float64(r.Values[0]) - air.Temperature; math.Abs(off) > 0.3 {
						t.Errorf("tick %d is off by %v", ticks, off)
					}
					if len(chip.Measures) == 2 && math.Abs(float64(r.Values[1])-air.Humidity) > 1.5 {
						t.Errorf("tick %d: humidity %v, it is %v", ticks, r.Values[1], air.Humidity)
					}
					if len(chip.Measures) == 1 && !math.IsNaN(float64(r.Values[1])) {
						t.Errorf("a thermometer's humidity is %v", r.Values[1])
					}
				})
				if good < 45 || failed[wire.Absent] < 8 || failed[wire.Absent] > 12 {
					t.Errorf("of %d ticks %d were good, failed %v", ticks, good, failed)
				}
			})
		})
	}
}

// A reading that blocks in the kernel delays nobody else, and the stop by a second at most.
func TestKernelHoldsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, tree := kernelChip(t, "ds18b20")
		quick := sensors.Chips()["sht3x"]
		b := emulate(t, "sht3x", 0x44)
		count := map[uint16]int{}
		begin := time.Now()
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
		defer stop()
		sample(t, 20*time.Second, []sensors.Config{
			{ID: 0, Name: "slow", Chip: slow.Of(ctx, tree, "", time.Second), Interval: time.Second},
			{ID: 1, Name: "quick", Chip: quick, Bus: b, Address: 0x44, Interval: 100 * time.Millisecond},
		}, func(records []wire.Record) {
			for _, r := range records {
				late := time.Since(time.UnixMilli(r.UnixMilli))
				if limit := map[uint16]time.Duration{0: 800 * time.Millisecond, 1: 95 * time.Millisecond}[r.Sensor]; r.Fault != wire.Good || late > limit {
					t.Errorf("sensor %d: %v, %v late", r.Sensor, r.Fault, late)
				}
				count[r.Sensor]++
			}
		})
		if took := time.Since(begin); count[0] < 19 || count[1] < 195 || took > 21*time.Second {
			t.Errorf("%v records in %v", count, took)
		}
	})
}

// Many answers of a DHT22 are damaged: a reading that failed is made again within its tick.
func TestKernelRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip, tree := kernelChip(t, "dht22")
		if err := tree.Inject("emulated-0", sim.Failure{Kind: sim.Corrupt, Share: 0.2}); err != nil {
			t.Fatal(err)
		}
		good, bad := 0, 0
		sample(t, 200*chip.MinInterval, []sensors.Config{{
			Name: "s", Chip: chip.Of(t.Context(), tree, "", chip.MinInterval), Interval: chip.MinInterval,
		}}, func(records []wire.Record) {
			if good++; records[0].Fault != wire.Good {
				good--
				bad++
			}
		})
		if bad > 20 || good < 175 { // a reading is two files: 36 % fail once, 5 % three times
			t.Errorf("%d good, %d failed", good, bad)
		}
	})
}

// The steps of a DHT11 and a DHT22 are wide, whichever way they are configured: values that stay the
// same in a quiet room are not stuck.
func TestCoarseKernelChips(t *testing.T) {
	for name, want := range map[string]bool{"dht22": true, "iio dht11": true, "ds18b20": true, "hwmon cpu_thermal": true, "iio si7020": false, "hwmon sht3x": false} {
		chip, _ := kernelChip(t, name)
		for _, m := range chip.Measures {
			if m.Coarse != want {
				t.Errorf("%s: coarse %s: %v, want %v", name, m.Name, m.Coarse, want)
			}
		}
	}
}
