package hub

import (
	"slices"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// Listener is notified of what comes from a gateway, one call after the other but for
// Stored. Nil functions are left out. They are called without locks, must not block, and
// copy what they keep longer than the call.
type Listener struct {
	// Records are live ones, of a tick. The number of a record's sensor is that of sensors,
	// which are hello's. The gateway is asked for them while somebody has this function.
	Records      func(sensors []wire.SensorInfo, records []wire.Record)
	MotorChanged func(wire.MotorState)
	Event        func(wire.Event)
	Hello        func(fleet.Hello) // at each connection, and when any of it has changed
	Presence     func(Presence)
	Stored       func(fleet.Blocks) // these are durable now; some of the records may have been before
}

// Listen notifies l of what comes from now on, until stop is called. A call that has
// begun before stop may end after it.
func (r *Remote) Listen(l Listener) (stop func()) {
	entry := &l
	r.mu.Lock()
	r.listeners = append(slices.Clone(r.listeners), entry) // whoever is notifying has the old list
	r.mu.Unlock()
	r.registry.attendTo(r)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.listeners = slices.DeleteFunc(slices.Clone(r.listeners), func(x *Listener) bool { return x == entry })
	}
}

// listening returns who is to be notified.
func (r *Remote) listening() []*Listener {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.listeners
}
