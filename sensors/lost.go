package sensors

import (
	"time"

	"sensorgateway/wire"
)

const (
	// lostTicks and lostTime are how many failures in a row make a sensor lost,
	// whichever is less: its driver is dropped, and the chip is opened again with a
	// growing pause.
	lostTicks = 5
	lostTime  = 30 * time.Second
)

// lostAfter returns how many failed ticks in a row make a sensor lost: those that
// begin within lostTime, and one where the interval is longer.
func lostAfter(interval time.Duration) int {
	return min(lostTicks, int((lostTime+interval-1)/interval))
}

// detect notices when a sensor is lost and when it is back, by the record of its
// last tick; what fails for a tick or two is in the records only.
func (s *Sampler) detect(sl *slot, f wire.Fault) {
	before, lost := sl.failed, lostAfter(sl.cfg.Interval)
	sl.failed++
	if f == wire.Good {
		sl.failed = 0
	}
	e := wire.Event{Sensor: sl.cfg.Name, TS: float64(sl.tick.stamp) / 1000}
	switch {
	case sl.failed == lost:
		sl.lostAt = time.Now()
		s.log.Warn("sensor lost", "sensor", sl.cfg.Name, "cause", f, "err", sl.noted())
		e.Kind, e.Fault = wire.EventSensorLost, f.String()
	case sl.failed == 0 && before >= lost:
		s.log.Info("sensor back", "sensor", sl.cfg.Name, "after", time.Since(sl.lostAt).Round(time.Millisecond))
		e.Kind = wire.EventSensorBack
	default:
		return
	}
	s.event(e)
}
