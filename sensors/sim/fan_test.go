package sim

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestFanCoolsTheInsideWithinSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, still := NewEnvironment(1), NewEnvironment(1)
		cooling := func() float64 {
			now := time.Now()
			if out := r.At(Outdoor, now).Temperature - still.At(Outdoor, now).Temperature; out != 0 {
				t.Errorf("the fan changes the weather by %v", out)
			}
			return still.At(Indoor, now).Temperature - r.At(Indoor, now).Temperature
		}
		want := func(what string, low, high float64) {
			t.Helper()
			if c := cooling(); c < low || c > high {
				t.Errorf("%s: cooler by %.2f °C, want %v to %v", what, c, low, high)
			}
		}
		want("before", 0, 0)
		r.SetFan(1)
		want("at once", 0, 1e-9)
		time.Sleep(5 * time.Second)
		want("5 s at full speed", 3.5, 4)
		time.Sleep(time.Minute)
		want("a minute", 5.99, 6)
		if wet, dry := r.At(Indoor, time.Now()).Humidity, still.At(Indoor, time.Now()).Humidity; wet <= dry {
			t.Errorf("the humidity does not rise in the cooler air: %v, %v", wet, dry)
		}
		for range 2000 { // half speed, by PWM of 100 Hz
			r.SetFan(0)
			time.Sleep(5 * time.Millisecond)
			r.SetFan(1)
			time.Sleep(5 * time.Millisecond)
		}
		want("20 s at half speed", 2.9, 3.15)
		r.SetFan(0)
		time.Sleep(time.Minute)
		want("a minute after it stopped", 0, 0.001)
	})
}
