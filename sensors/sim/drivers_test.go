package sim_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/devices/v3/aht20"
	"periph.io/x/devices/v3/bmxx80"

	"sensorgateway/sensors/sim"
)

// periph's drivers read what the environment says: on average of a few readings
// within the chip's resolution, and each within its noise.
func TestPeriphDrivers(t *testing.T) {
	for _, tt := range []struct {
		name       string
		open       func(t *testing.T, b *sim.Bus) interface{ Sense(*physic.Env) error }
		resolution sim.Air // of the mean: the driver's, and what is left of the noise
		noise      sim.Air // five standard deviations and the resolution
	}{
		{"bmxx80",
			func(t *testing.T, b *sim.Bus) interface{ Sense(*physic.Env) error } {
				d, err := bmxx80.NewI2C(b, bme, &bmxx80.DefaultOpts)
				if err != nil {
					t.Fatal(err)
				}
				return d
			},
			sim.Air{Temperature: 0.01, Humidity: 0.04, Pressure: 2.5},
			sim.Air{Temperature: 0.025, Humidity: 0.23, Pressure: 12}},
		{"aht20",
			func(t *testing.T, b *sim.Bus) interface{ Sense(*physic.Env) error } {
				d, err := aht20.NewI2C(b, nil)
				if err != nil {
					t.Fatal(err)
				}
				return d
			},
			sim.Air{Temperature: 0.015, Humidity: 0.03, Pressure: math.Inf(1)},
			sim.Air{Temperature: 0.11, Humidity: 0.21, Pressure: math.Inf(1)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // whose clock begins in January
				const seed, readings = 11, 50
				environment := sim.NewEnvironment(seed)
				dev := tt.open(t, newBus(t, seed))
				coldest, warmest := math.Inf(1), math.Inf(-1)
				for range 2 * 24 {
					var off sim.Air
					for range readings {
						var e physic.Env
						if err := dev.Sense(&e); err != nil {
							t.Fatal(err)
						}
						air := environment.At(sim.Outdoor, time.Now())
						dt := e.Temperature.Celsius() - air.Temperature
						dh := float64(e.Humidity)/float64(physic.PercentRH) - air.Humidity
						dp := float64(e.Pressure)/float64(physic.Pascal) - air.Pressure
						if math.Abs(dt) > tt.noise.Temperature || math.Abs(dh) > tt.noise.Humidity || math.Abs(dp) > tt.noise.Pressure {
							t.Fatalf("%v: off by %.3f °C, %.3f %%, %.1f Pa", air, dt, dh, dp)
						}
						off.Temperature += dt / readings
						off.Humidity += dh / readings
						off.Pressure += dp / readings
						coldest, warmest = min(coldest, air.Temperature), max(warmest, air.Temperature)
					}
					if math.Abs(off.Temperature) > tt.resolution.Temperature || math.Abs(off.Humidity) > tt.resolution.Humidity ||
						math.Abs(off.Pressure) > tt.resolution.Pressure {
						t.Fatalf("at %v on average off by %+v", time.Now(), off)
					}
					time.Sleep(30 * time.Minute)
				}
				if coldest > -1 || warmest < 1 {
					t.Errorf("between %.1f and %.1f °C only: choose another seed", coldest, warmest)
				}
			})
		})
	}
}
