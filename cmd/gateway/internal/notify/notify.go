// Package notify is the one way to listen: whatever wants to know of ticks, events
// and motors' changes is a [Listener] in the list of a [Notifier].
//
// It refuses to know who listens and what a notification means. It has no queue, no
// lock and no goroutine: the goroutine that notifies calls the listeners.
package notify

import "sensorgateway/wire"

// A Listener is notified of what happens in the gateway. It is called by several
// goroutines at the same time: ticks by the sampler's, one after the other;
// events and motors' changes by those that make them. A call must not wait, for
// the listeners after it wait too. It may itself notify, as an interlock does that
// stops a motor in a tick: then all listeners get that change before the listeners
// after it get the tick.
type Listener interface {
	// Tick is called with the records of one tick, which the listener must not retain,
	// and the offset that their times were made with: the Unix time minus the time
	// since the machine started, in milliseconds. It is on the path from a chip to the
	// sockets and allocates nothing.
	Tick(records []wire.Record, offset int64)
	Event(e wire.Event)
	MotorChanged(m wire.MotorState)
}

// Nop is embedded by a listener that needs some of the notifications only.
type Nop struct{}

// Tick does nothing.
func (Nop) Tick([]wire.Record, int64) {}

// Event does nothing.
func (Nop) Event(wire.Event) {}

// MotorChanged does nothing.
func (Nop) MotorChanged(wire.MotorState) {}

// Notifier is a Listener that notifies others, in their order. The zero value
// notifies nobody.
type Notifier struct {
	listeners []Listener
}

// Listen sets who is notified, in this order. It is called before anything is
// notified by another goroutine.
func (n *Notifier) Listen(listeners ...Listener) { n.listeners = listeners }

// Tick notifies all of a tick.
func (n *Notifier) Tick(records []wire.Record, offset int64) {
	for _, l := range n.listeners {
		if c, ok := l.(*Calibrated); ok {
			records = c.of(records)
		}
		l.Tick(records, offset)
	}
}

// Calibrated stands among the listeners of a [Notifier]: those before it get what was
// measured, those after it the calibrated values.
type Calibrated struct {
	Nop
	calibrations []wire.Calibrations // by sensor; nil: none is corrected
	records      []wire.Record       // of the tick under way
}

// NewCalibrated returns a Calibrated for the sensors, by their numbers.
func NewCalibrated(sensors []wire.SensorInfo) *Calibrated {
	c := &Calibrated{records: make([]wire.Record, 0, len(sensors))}
	all := make([]wire.Calibrations, len(sensors))
	for i := range sensors {
		if all[i] = sensors[i].Calibrations(); all[i] != (wire.Calibrations{}) {
			c.calibrations = all
		}
	}
	return c
}

// of returns the records of a tick with calibrated values, which are valid until the next tick.
func (c *Calibrated) of(measured []wire.Record) []wire.Record {
	if c.calibrations == nil {
		return measured
	}
	c.records = append(c.records[:0], measured...)
	for i := range c.records {
		r := &c.records[i]
		c.calibrations[r.Sensor].Apply(r)
	}
	return c.records
}

// Event notifies all of an event.
func (n *Notifier) Event(e wire.Event) {
	for _, l := range n.listeners {
		l.Event(e)
	}
}

// MotorChanged notifies all of a motor's new state.
func (n *Notifier) MotorChanged(m wire.MotorState) {
	for _, l := range n.listeners {
		l.MotorChanged(m)
	}
}
