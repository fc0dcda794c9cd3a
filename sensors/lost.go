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

// lostAfter returns how many failed ticks in a row make a sensor lost: those that begin
// within lostTime, at least one and at most lostTicks.
func lostAfter(interval time.Duration) int {
	return min(lostTicks, int((lostTime+interval-1)/interval))
}

// detect notices by the fault f of its last tick whether a sensor is lost, after so many
// failed ticks, or back. Shorter failures are in the records only.
func (s *Sampler) detect(p *part, lost int, f wire.Fault, stamp int64) {
	before := p.failed
	p.failed++
	if f == wire.Good {
		p.failed = 0
	}
	e := wire.Event{Sensor: p.name, TS: float64(stamp) / 1000}
	switch {
	case p.failed == lost:
		p.lostAt = time.Now()
		s.log.Warn("sensor lost", "sensor", p.name, "cause", f, "err", p.noted())
		e.Kind, e.Fault = wire.EventSensorLost, f.String()
	case p.failed == 0 && before >= lost:
		s.log.Info("sensor back", "sensor", p.name, "after", time.Since(p.lostAt).Round(time.Millisecond))
		e.Kind = wire.EventSensorBack
	default:
		return
	}
	s.event(e)
}
