package motor

import (
	"slices"
	"sync"
	"time"

	"sensorgateway/wire"
)

// interlocks has the interlocks of all motors, and the states of sensors from which
// their conditions are evaluated. Its lock is never held over a write to a pin, so a tick never
// waits for one.
type interlocks struct {
	mu       sync.Mutex
	sensors  []sensorState
	bySensor [][]*interlock
	byMotor  [][]*interlock
}

func newInterlocks(byMotor [][]*interlock) *interlocks {
	all := &interlocks{byMotor: byMotor}
	for _, i := range slices.Concat(byMotor...) {
		for len(all.bySensor) <= i.Sensor {
			all.bySensor = append(all.bySensor, nil)
		}
		all.bySensor[i.Sensor] = append(all.bySensor[i.Sensor], i)
	}
	all.sensors = make([]sensorState, len(all.bySensor))
	return all
}

// observe takes the records of a tick, and returns whether one of them trips an
// interlock.
func (all *interlocks) observe(records []wire.Record, now time.Time) (tripped bool) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, r := range records {
		if int(r.Sensor) >= len(all.sensors) {
			continue
		}
		s := &all.sensors[r.Sensor]
		s.heard, s.fault = true, r.Fault
		if r.Fault == wire.Good {
			s.values, s.good = r.Values, now
		}
		for _, i := range all.bySensor[r.Sensor] {
			if !i.tripped && !i.holds(*s, now) {
				i.tripped, tripped = true, true
			}
		}
	}
	return tripped
}

// permit returns the first of a motor's interlocks that does not hold now, and
// why. If all hold, it returns nil, and none counts as tripped any longer.
func (all *interlocks) permit(motor int, now time.Time) (first *interlock, why string) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, i := range all.byMotor[motor] {
		if s := all.sensors[i.Sensor]; !i.holds(s, now) {
			return i, i.why(s, now)
		}
	}
	for _, i := range all.byMotor[motor] {
		i.tripped = false
	}
	return nil, ""
}

// violated returns the first of a motor's interlocks that does not hold, or
// that any record has tripped since permit. If there is none, until is when the
// first will be violated if no reading comes; zero is never.
func (all *interlocks) violated(motor int, now time.Time) (first *interlock, until time.Time) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, i := range all.byMotor[motor] {
		s := all.sensors[i.Sensor]
		if i.tripped || !i.holds(s, now) {
			return i, time.Time{}
		}
		if i.maxAge > 0 {
			until = earlier(until, s.good.Add(i.maxAge))
		}
	}
	return nil, until
}

// states returns a motor's interlocks as they are now, nil if it has none.
func (all *interlocks) states(motor int, now time.Time) []wire.Interlock {
	all.mu.Lock()
	defer all.mu.Unlock()
	var states []wire.Interlock
	for _, i := range all.byMotor[motor] {
		states = append(states, wire.Interlock{Condition: i.Text, Holds: i.holds(all.sensors[i.Sensor], now)})
	}
	return states
}
