package hub

import (
	"cmp"
	"slices"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// AlarmStates returns all alarms of the gateway in its order, and those that were cleared,
// the newest last.
func (r *Remote) AlarmStates() (all, recent []wire.Alarm) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.alarms), slices.Clone(r.recent)
}

// raised returns the alarms that are raised, the newest first.
func raised(all []wire.Alarm) []wire.Alarm {
	list := slices.DeleteFunc(append([]wire.Alarm{}, all...), func(a wire.Alarm) bool { return !a.Raised() })
	slices.SortStableFunc(list, func(a, b wire.Alarm) int { return cmp.Compare(b.Since, a.Since) })
	return list
}

// takeAlarms moves the alarms out of a hello. If the gateway does not list its cleared alarms,
// the hub keeps those that it knows from events. r.mu is held.
func (r *Remote) takeAlarms(h *fleet.Hello) {
	r.alarms = h.Alarms
	if h.Recent != nil {
		r.recent = h.Recent
	}
	h.Alarms, h.Recent = nil, nil
}

// setAlarm applies an event to an alarm. A hello is sent before events that wait, so it may
// already have this change, or a later one. r.mu is held.
func (r *Remote) setAlarm(e wire.Event) {
	a := wire.Alarm{
		Name: e.Alarm, State: e.State, Severity: e.Severity, Condition: e.Condition, Sensor: e.Sensor, Motor: e.Motor,
		Value: e.Value, Reason: e.Reason, Since: e.Since,
	}
	i := slices.IndexFunc(r.alarms, func(x wire.Alarm) bool { return x.Name == e.Alarm })
	if i < 0 { // the hello that lists it has not come yet
		if len(r.alarms) >= listed {
			return
		}
		i, r.alarms = len(r.alarms), append(r.alarms, wire.Alarm{Name: e.Alarm, State: wire.AlarmCleared})
	}
	known := r.alarms[i]
	same := known.Since == a.Since // the event and what is known are about the same raising
	if same {
		a.Acknowledged = known.Acknowledged
	}
	switch e.State {
	case wire.AlarmAcknowledged:
		a.Acknowledged = &wire.Acknowledgement{By: e.By, TS: e.TS}
	case wire.AlarmCleared:
		a.Cleared = e.TS
		r.remember(a)
	}
	later := !same && (a.State == wire.AlarmRaised || !known.Raised())
	if later || same && stage(a) > stage(known) {
		r.alarms[i] = a
	}
}

// stage returns the position of the alarm's state in the order raised, acknowledged, cleared.
func stage(a wire.Alarm) int {
	return slices.Index([]string{wire.AlarmRaised, wire.AlarmAcknowledged, wire.AlarmCleared}, a.State)
}

// remember adds a cleared alarm to the recent ones, unless it is there. r.mu is held.
func (r *Remote) remember(a wire.Alarm) {
	if slices.ContainsFunc(r.recent, func(x wire.Alarm) bool { return x.Name == a.Name && x.Since == a.Since }) {
		return
	}
	r.recent = append(r.recent, a)
	r.recent = slices.Delete(r.recent, 0, max(len(r.recent)-wire.RecentAlarms, 0))
}
