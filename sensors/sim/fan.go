package sim

import (
	"math"
	"sync"
	"time"
)

const (
	fanCooling = 6.0             // °C by which a fan at full speed cools the inside in the end
	fanTime    = 5 * time.Second // after which 63 % of that is done
)

// fan is what makes the inside cooler, and warmer again when it stops.
type fan struct {
	mu    sync.Mutex
	speed float64   // 0…1
	since time.Time // when it got this speed
	was   float64   // the cooling at that moment, °C
}

// SetFan runs the fan at a speed, 0…1, from now on. A fan that is
// switched on and off quickly, as by PWM, has the effect of its mean speed.
func (e *Environment) SetFan(speed float64) {
	now := time.Now()
	f := &e.fan
	f.mu.Lock()
	defer f.mu.Unlock()
	f.was, f.since, f.speed = f.at(now), now, speed
}

func (f *fan) cooling(t time.Time) float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at(t)
}

// at returns the cooling at t, in °C: it approaches what the speed can reach.
func (f *fan) at(t time.Time) float64 {
	left := math.Exp(-max(t.Sub(f.since), 0).Seconds() / fanTime.Seconds())
	end := fanCooling * f.speed
	return end + (f.was-end)*left
}
