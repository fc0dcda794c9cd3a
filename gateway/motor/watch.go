package motor

import (
	"slices"
	"sync"
	"time"

	"sensorgateway/wire"
)

// watch keeps what the needs of all motors ask about. Its lock is never held
// over a write to a pin, so a tick never waits for one.
type watch struct {
	mu     sync.Mutex
	last   []sighting // by sensor
	needs  [][]*need  // by sensor
	motors [][]*need  // by motor
}

func newWatch(motors [][]*need) *watch {
	w := &watch{motors: motors}
	for _, n := range slices.Concat(motors...) {
		for len(w.needs) <= n.sensor {
			w.needs = append(w.needs, nil)
		}
		w.needs[n.sensor] = append(w.needs[n.sensor], n)
	}
	w.last = make([]sighting, len(w.needs))
	return w
}

// observe takes a tick, and tells whether it newly fails a need.
func (w *watch) observe(records []wire.Record, now time.Time) (failed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range records {
		if int(r.Sensor) >= len(w.last) {
			continue
		}
		s := &w.last[r.Sensor]
		s.heard, s.fault = true, r.Fault
		if r.Fault == wire.Good {
			s.temperature, s.humidity, s.good = r.Values[0], r.Values[1], now
		}
		for _, n := range w.needs[r.Sensor] {
			if !n.tripped && !n.holds(*s, now) {
				n.tripped, failed = true, true
			}
		}
	}
	return failed
}

// permit returns the first need that does not hold now, and why; nil if all
// do, and then what was is forgotten.
func (w *watch) permit(needs []*need, now time.Time) (*need, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range needs {
		if s := w.last[n.sensor]; !n.holds(s, now) {
			return n, n.why(s, now)
		}
	}
	for _, n := range needs {
		n.tripped = false
	}
	return nil, ""
}

// violated returns the first need that does not hold, or did not at any record
// since it was permitted; nil if there is none, and when one will be if no
// reading comes.
func (w *watch) violated(needs []*need, now time.Time) (first *need, until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range needs {
		s := w.last[n.sensor]
		if n.tripped || !n.holds(s, now) {
			return n, time.Time{}
		}
		if n.lasts > 0 {
			until = earlier(until, s.good.Add(n.lasts))
		}
	}
	return nil, until
}

// interlocks returns a motor's needs as they are now, nil if it has none.
func (w *watch) interlocks(motor int, now time.Time) []wire.Interlock {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []wire.Interlock
	for _, n := range w.motors[motor] {
		all = append(all, wire.Interlock{Condition: n.text, Holds: n.holds(w.last[n.sensor], now)})
	}
	return all
}
