package alarm

import (
	"errors"
	"time"

	"sensorgateway/wire"
)

// Names of built-in alarms. Those of a sensor or a motor end with its name:
// "sensor_lost:indoor".
const (
	SensorLost         = wire.EventSensorLost
	MotorFault         = "motor_fault"
	StorageFailed      = wire.EventStorageFailed
	CertificateExpires = "certificate_expires"
	ClockUnsynced      = "clock_unsynced"
	UpdateFailed       = "update_failed"
)

// Settle is how long something that failed must work before its alarm is cleared. Without it,
// what fails again and again would call people, and write to the disk, each time.
const Settle = 10 * time.Second

// BuiltIn returns whether a name is that of a built-in alarm.
func BuiltIn(name string) bool {
	switch name {
	case SensorLost, MotorFault, StorageFailed, CertificateExpires, ClockUnsynced, UpdateFailed:
		return true
	}
	return false
}

// Check is a built-in alarm.
type Check struct {
	Name, Severity string
	Motor          string        // that it concerns
	For            time.Duration // it must fail for so long
	Settle         time.Duration // and must not fail for so long to clear the alarm
	// Failure returns why the alarm is to be raised, nil if it is not, and [ErrUnknown]
	// if that is not known yet. It is called once a second, and after each event and
	// motor's change.
	Failure func() error
}

// ErrUnknown is the failure of a check that neither raises nor clears its alarm.
var ErrUnknown = errors.New("not known")

type check struct {
	*alarm
	failure func() error
}

// Event notes that a sensor is lost. After any event the checks are made, because one may
// have another result.
func (a *Alarms) Event(e wire.Event) {
	if e.Kind == wire.EventAlarm { // it is one of these alarms', whose change is notified
		return
	}
	if e.Kind == wire.EventSensorLost {
		a.mu.Lock()
		for i, s := range a.opts.Sensors {
			if s.Name == e.Sensor {
				a.sensors[i].lost = e.Fault
			}
		}
		a.mu.Unlock()
	}
	signal(a.wake)
}

// MotorChanged has the checks made soon.
func (a *Alarms) MotorChanged(wire.MotorState) { signal(a.wake) }

// failure is why the sensor is lost. [Alarms].mu is held.
func (s sensor) failure() error {
	switch {
	case s.lost != "":
		return errors.New(s.lost)
	case s.good.IsZero() || s.fails:
		return ErrUnknown
	}
	return nil
}

// check makes all checks, and evaluates conditions on ages. It calls other parts of the
// gateway before it takes a lock that a tick needs.
func (a *Alarms) check() {
	failures := make([]error, len(a.checks))
	own := len(a.opts.Sensors)
	for i, c := range a.checks[own:] {
		failures[own+i] = c.failure()
	}
	a.order.Lock()
	defer a.order.Unlock()
	now := time.Now()
	a.mu.Lock()
	for i, c := range a.checks {
		if i < own {
			failures[i] = c.failure()
		}
		switch err := failures[i]; {
		case errors.Is(err, ErrUnknown):
			c.doubt(now)
		case c.decide(err != nil, err == nil, now):
			a.change(c.alarm, nil, text(err), unix(now))
		}
	}
	for _, c := range a.onAge {
		c.evaluateAge(a, now)
	}
	a.mu.Unlock()
	a.publish()
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
