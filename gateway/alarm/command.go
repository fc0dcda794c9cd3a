package alarm

import (
	"net/http"
	"time"

	"sensorgateway/wire"
)

// repeatTime is how long a command counts as a repeat of the one before with its ID.
const repeatTime = time.Minute

// Client is who sends a command.
type Client struct {
	ID   string                          // of its connection
	Name string                          // for people
	May  func(sensor, motor string) bool // see what concerns these
}

// command is the one that acknowledged an alarm.
type command struct {
	client, id string
	at         time.Time
}

// Acknowledge carries out the command; its error is a [*wire.Error]. An alarm is
// acknowledged once: whoever does it again is answered who was the first.
func (a *Alarms) Acknowledge(cl Client, cmd wire.Command) (wire.Ack, error) {
	ack, err := a.command(cl, cmd)
	if cmd.Expires != nil && a.opts.Synced != nil && !a.opts.Synced() {
		return wire.Unsynced(ack, err)
	}
	return ack, err
}

func (a *Alarms) command(cl Client, cmd wire.Command) (wire.Ack, error) {
	now := time.Now()
	if a.ended.Load() {
		return wire.Ack{}, wire.Errorf(http.StatusServiceUnavailable, "shutting down")
	}
	one, known := a.byName[cmd.Target]
	switch {
	case !known:
		return wire.Ack{}, wire.Errorf(http.StatusNotFound, "Unknown target: %s", cmd.Target)
	case !cl.May(one.Sensor, one.Motor):
		return wire.Ack{}, wire.Errorf(http.StatusForbidden, "%s is not in the scope of %s", cmd.Target, cl.Name)
	}
	if cmd.Expires != nil {
		if late := now.UnixMilli() - *cmd.Expires; late > 0 {
			return wire.Ack{}, wire.Errorf(http.StatusRequestTimeout, "the command expired %d ms ago", late)
		}
	}
	w, repeat, stored := a.acknowledge(one, cl, cmd.ID, now)
	if !repeat && !w.Raised() {
		return wire.Ack{}, wire.Errorf(http.StatusConflict, "%s is not raised", cmd.Target)
	}
	a.awaitStored(stored) // nobody acknowledges it again after a restart
	return wire.Ack{Action: cmd.Action, Target: cmd.Target, Status: "ok", Alarm: &w, Repeat: repeat}, nil
}

// acknowledge notes who knows of an alarm that is raised, and returns how it is then. If
// that is news, stored is closed when it is stored.
func (a *Alarms) acknowledge(one *alarm, cl Client, id string, now time.Time) (w wire.Alarm, repeat bool, stored <-chan struct{}) {
	a.order.Lock()
	defer a.order.Unlock()
	a.mu.Lock()
	repeat = id != "" && one.command.client == cl.ID && one.command.id == id && now.Sub(one.command.at) < repeatTime
	if !repeat && one.State == wire.AlarmRaised {
		one.State, one.Acknowledged = wire.AlarmAcknowledged, &wire.Acknowledgement{By: cl.Name, TS: unix(now)}
		one.command = command{cl.ID, id, now}
		a.changes = append(a.changes, one.Alarm)
		a.waiter()
		stored = a.stored
		a.urgent.Store(true)
	}
	w = one.Alarm
	a.mu.Unlock()
	a.publish()
	return w, repeat, stored
}
