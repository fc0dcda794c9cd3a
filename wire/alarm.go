package wire

// States of an alarm.
const (
	AlarmRaised       = "raised"
	AlarmAcknowledged = "acknowledged" // it is raised, and somebody has acknowledged it
	AlarmCleared      = "cleared"
)

// Severities of an alarm, the least first.
const (
	SeverityInfo     = "info"
	SeverityWarning  = "warning"
	SeverityCritical = "critical"
)

// RecentAlarms is how many cleared alarms are listed at most.
const RecentAlarms = 50

// Alarm is an alarm as it is: at /api/v1/alarms and in the acknowledgement of an
// acknowledge.
type Alarm struct {
	Name         string           `json:"name"`
	State        string           `json:"state"`
	Severity     string           `json:"severity"`
	Condition    string           `json:"condition,omitempty"` // as it was configured; a built-in alarm has none
	Sensor       string           `json:"sensor,omitempty"`    // that it concerns
	Motor        string           `json:"motor,omitempty"`     // that it concerns
	Value        *float32         `json:"value,omitempty"`     // that raised it, or cleared it: in the quantity's unit, of an age in seconds
	Reason       string           `json:"reason,omitempty"`    // why a built-in alarm was raised
	Since        float64          `json:"since,omitempty"`     // when it was raised, Unix seconds
	Acknowledged *Acknowledgement `json:"acknowledged,omitempty"`
	Cleared      float64          `json:"cleared,omitempty"` // when it was, Unix seconds
}

// Raised returns whether the alarm is raised, acknowledged or not.
func (a Alarm) Raised() bool { return a.State == AlarmRaised || a.State == AlarmAcknowledged }

// Acknowledgement is who acknowledged an alarm first, and when.
type Acknowledgement struct {
	By string  `json:"by"`
	TS float64 `json:"ts"` // Unix seconds
}

// Event returns the event that says in which state the alarm is.
func (a Alarm) Event() Event {
	e := Event{
		Kind: EventAlarm, Alarm: a.Name, State: a.State, Severity: a.Severity, Condition: a.Condition,
		Sensor: a.Sensor, Motor: a.Motor, Value: a.Value, Reason: a.Reason, Since: a.Since, TS: a.Since,
	}
	switch a.State {
	case AlarmAcknowledged:
		e.By, e.TS = a.Acknowledged.By, a.Acknowledged.TS
	case AlarmCleared:
		e.TS = a.Cleared
	}
	return e
}
