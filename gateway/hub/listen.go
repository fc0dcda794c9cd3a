package hub

import (
	"slices"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// Listener is notified of what comes from a gateway, by one call at a time except for Stored.
// Nil functions are skipped. They are called without locks, must not block, and must copy
// what they keep longer than the call.
type Listener struct {
	// Records gets the live records of a tick. Their sensor numbers are those of sensors, which
	// are from hello. While a listener has this function, the gateway is asked for ticks.
	Records      func(sensors []wire.SensorInfo, records []wire.Record)
	MotorChanged func(wire.MotorState)
	Event        func(wire.Event)
	Hello        func(fleet.Hello) // at each connection, and when any of it has changed
	Presence     func(Presence)
	Stored       func(fleet.Blocks) // these are durable now; some of the records may have been durable before
}

// Listen notifies l of what comes from now on, until stop is called. A call that has
// begun before stop may end after it.
func (r *Remote) Listen(l Listener) (stop func()) {
	entry := &l
	r.mu.Lock()
	r.listeners = append(slices.Clone(r.listeners), entry) // a notification that is under way has the old list
	r.mu.Unlock()
	r.registry.attendTo(r)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.listeners = slices.DeleteFunc(slices.Clone(r.listeners), func(x *Listener) bool { return x == entry })
	}
}

// notify calls each listener.
func (r *Remote) notify(call func(*Listener)) {
	r.mu.Lock()
	all := r.listeners
	r.mu.Unlock()
	for _, l := range all {
		call(l)
	}
}

// tell calls a listener's function, unless it is nil.
func tell[T any](of func(T), what T) {
	if of != nil {
		of(what)
	}
}
