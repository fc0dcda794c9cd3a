package sim_test

import (
	"math"
	"testing"
	"time"

	"sensorgateway/sensors/sim"
)

var aDay = time.Date(2026, 4, 20, 0, 0, 0, 0, time.UTC)

func TestEnvironmentIsAPureFunction(t *testing.T) {
	a, b, other := sim.NewEnvironment(1), sim.NewEnvironment(1), sim.NewEnvironment(2)
	differ := 0
	for i := range 100 {
		at := aDay.Add(time.Duration(i) * 1234 * time.Second)
		for _, place := range []sim.Place{sim.Outdoor, sim.Indoor} {
			b.At(place, at.Add(time.Hour)) // what was asked before does not matter
			if a.At(place, at) != b.At(place, at) {
				t.Fatalf("place %d at %v: %v and %v for the same seed", place, at, a.At(place, at), b.At(place, at))
			}
			if a.At(place, at) != other.At(place, at) {
				differ++
			}
		}
	}
	if differ < 200 {
		t.Errorf("another seed's environment differs in %d of 200 moments only", differ)
	}
}

func TestEnvironmentStaysSensible(t *testing.T) {
	coldest, warmest := math.Inf(1), math.Inf(-1)
	for seed := range uint64(5) {
		environment := sim.NewEnvironment(seed)
		for at := aDay; at.Before(aDay.AddDate(1, 0, 0)); at = at.Add(2 * time.Hour) {
			out, in := environment.At(sim.Outdoor, at), environment.At(sim.Indoor, at)
			coldest, warmest = min(coldest, out.Temperature), max(warmest, out.Temperature)
			if out.Temperature < -25 || out.Temperature > 38 || in.Temperature < 20.9 || in.Temperature > 23.1 {
				t.Fatalf("seed %d at %v: %.1f °C outside, %.1f °C inside", seed, at, out.Temperature, in.Temperature)
			}
			if out.Humidity < 10 || out.Humidity > 100 || in.Humidity < 20 || in.Humidity > 70 {
				t.Fatalf("seed %d at %v: %.1f %% outside, %.1f %% inside", seed, at, out.Humidity, in.Humidity)
			}
			if out.Pressure < 99_000 || out.Pressure > 103_500 || in.Pressure != out.Pressure {
				t.Fatalf("seed %d at %v: %.0f Pa outside, %.0f Pa inside", seed, at, out.Pressure, in.Pressure)
			}
		}
	}
	if coldest > -3 || warmest < 22 {
		t.Errorf("between %.1f and %.1f °C in five years: no seasons", coldest, warmest)
	}
}

// The day is the local one, and the humidity falls when the temperature rises.
func TestEnvironmentOutdoorFollowsTheDay(t *testing.T) {
	zone := time.FixedZone("UTC+9", 9*3600)
	environment := sim.NewEnvironment(3)
	var afternoon, night, temps, humidities []float64
	for day := range 60 {
		midnight := time.Date(2026, 5, 1+day, 0, 0, 0, 0, zone)
		afternoon = append(afternoon, environment.At(sim.Outdoor, midnight.Add(15*time.Hour)).Temperature)
		night = append(night, environment.At(sim.Outdoor, midnight.Add(3*time.Hour)).Temperature)
	}
	if d := mean(afternoon) - mean(night); d < 4 || d > 13 {
		t.Errorf("afternoons are %.1f °C warmer than nights", d)
	}
	for i := range 48 {
		air := environment.At(sim.Outdoor, aDay.Add(time.Duration(i)*30*time.Minute))
		temps, humidities = append(temps, air.Temperature), append(humidities, air.Humidity)
	}
	if c := correlation(temps, humidities); c > -0.5 {
		t.Errorf("correlation of temperature and humidity over a day is %.2f", c)
	}
}

func TestEnvironmentIsAliveAndSmooth(t *testing.T) {
	const step = 100 * time.Millisecond
	for _, place := range []sim.Place{sim.Outdoor, sim.Indoor} {
		var wander []float64
		for seed := range uint64(20) {
			environment := sim.NewEnvironment(seed)
			low, high := math.Inf(1), math.Inf(-1)
			before := environment.At(place, aDay)
			for at := aDay.Add(step); at.Before(aDay.Add(time.Minute)); at = at.Add(step) {
				air := environment.At(place, at)
				if d := math.Abs(air.Temperature - before.Temperature); d > 0.02 {
					t.Fatalf("place %d, seed %d: jumps by %.3f °C in %v", place, seed, d, step)
				}
				if air == before {
					t.Fatalf("place %d, seed %d: the same air twice at %v", place, seed, at)
				}
				low, high = min(low, air.Temperature), max(high, air.Temperature)
				before = air
			}
			wander = append(wander, high-low)
		}
		if m := mean(wander); m < 0.15 || m > 1 {
			t.Errorf("place %d wanders by %.2f °C in a minute on average", place, m)
		}
	}
}

func TestEnvironmentAllocatesNothing(t *testing.T) {
	environment := sim.NewEnvironment(1)
	if n := testing.AllocsPerRun(100, func() { environment.At(sim.Indoor, aDay) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEnvironment(b *testing.B) {
	environment := sim.NewEnvironment(1)
	for b.Loop() {
		environment.At(sim.Indoor, aDay)
	}
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

func correlation(x, y []float64) float64 {
	mx, my := mean(x), mean(y)
	var xy, xx, yy float64
	for i := range x {
		xy += (x[i] - mx) * (y[i] - my)
		xx += (x[i] - mx) * (x[i] - mx)
		yy += (y[i] - my) * (y[i] - my)
	}
	return xy / math.Sqrt(xx*yy)
}
