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
	a.order.Lock()
	defer a.order.Unlock()
	a.mu.Lock()
	repeat := cmd.ID != "" && one.command.client == cl.ID && one.command.id == cmd.ID && now.Sub(one.command.at) < repeatTime
	if !repeat {
		one.acknowledge(a, cl, cmd.ID, now)
	}
	w := one.Alarm
	a.mu.Unlock()
	if !repeat && !w.Raised() {
		return wire.Ack{}, wire.Errorf(http.StatusConflict, "%s is not raised", cmd.Target)
	}
	if len(a.changes) > 0 {
		a.urgent.Store(true) // nobody acknowledges it again after a restart
	}
	a.publish()
	return wire.Ack{Action: cmd.Action, Target: cmd.Target, Status: "ok", Alarm: &w, Repeat: repeat}, nil
}

// acknowledge notes who knows of an alarm that is raised. a.mu and a.order are held.
func (one *alarm) acknowledge(a *Alarms, cl Client, id string, now time.Time) {
	if one.State != wire.AlarmRaised {
		return
	}
	one.State, one.Acknowledged = wire.AlarmAcknowledged, &wire.Acknowledgement{By: cl.Name, TS: unix(now)}
	one.command = command{cl.ID, id, now}
	a.changes = append(a.changes, one.Alarm)
}
