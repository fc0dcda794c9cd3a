package homeassistant

import (
	"maps"
	"math"
	"slices"

	"sensorgateway/wire"
)

// motorState is what is published of a motor, and shown as its attributes.
type motorState struct {
	State     string  `json:"state"`     // ON or OFF
	Speed     int     `json:"speed"`     // in percent; of a motor that is off, 0
	Direction string  `json:"direction"` // that it turns in, or will
	Reason    string  `json:"reason"`
	By        string  `json:"by"`
	Holder    string  `json:"holder,omitempty"`
	Latched   bool    `json:"latched"`
	Fault     string  `json:"fault,omitempty"`
	Changed   float64 `json:"changed"` // Unix seconds
}

// alarmState is what is published of an alarm, and shown as its attributes.
type alarmState struct {
	State        string   `json:"state"` // ON or OFF
	Severity     string   `json:"severity"`
	Condition    string   `json:"condition,omitempty"`
	Value        *float32 `json:"value,omitempty"` // that raised it, or cleared it
	Reason       string   `json:"reason,omitempty"`
	Since        float64  `json:"since,omitempty"` // Unix seconds
	Acknowledged string   `json:"acknowledged,omitempty"`
}

// A message is published on a topic.
type message struct {
	topic   string
	payload string
}

// sensorStates returns what is to be published of the sensors.
func (b *Bridge) sensorStates() (all []message) {
	b.mu.Lock() // briefly: the next tick waits for it
	latest, seen := slices.Clone(b.latest), slices.Clone(b.seen)
	b.mu.Unlock()
	for i, s := range b.opts.Sensors {
		if !seen[i] {
			continue
		}
		r := latest[i]
		if r.Fault != wire.Good {
			all = append(all, message{b.topics.sensorAvailable(s.Name), offline})
			continue
		}
		values := map[string]*float64{}
		for k, q := range s.Quantities() {
			values[q.Name] = rounded(r.Values[k], q.Decimals)
		}
		all = append(all, message{b.topics.sensor(s.Name), marshal(values)}, message{b.topics.sensorAvailable(s.Name), online})
	}
	return all
}

// rounded returns a value with so many decimals, nil if it was not measured.
func rounded(value float32, decimals int) *float64 {
	v := float64(value)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	power := math.Pow10(decimals)
	v = math.Round(v*power) / power
	return &v
}

// motorStates returns what is to be published of the motors.
func (b *Bridge) motorStates() (all []message) {
	motors := b.opts.Motors()
	b.mu.Lock()
	directions := maps.Clone(b.directions)
	b.mu.Unlock()
	for _, m := range motors {
		s := motorState{
			State: "OFF", Direction: m.Direction, Reason: m.Reason, By: m.By, Holder: m.Holder, Latched: m.Latched, Fault: m.Fault, Changed: m.TS,
		}
		if m.Running {
			s.State, s.Speed = "ON", int(math.Round(100*m.Speed))
		} else if next := directions[m.Target]; next != "" {
			s.Direction = next
		}
		all = append(all, message{b.topics.motor(m.Target), marshal(s)})
	}
	// A motor is latched by the e-stop or by its own fault.
	latched := "OFF"
	if slices.ContainsFunc(motors, func(m wire.MotorState) bool { return m.Latched && m.Fault == "" }) {
		latched = "ON"
	}
	return append(all, message{b.topics.estop(), latched})
}

// alarmStates returns what is to be published of the alarms.
func (b *Bridge) alarmStates() (all []message) {
	b.opts.Alarms(func(a wire.Alarm) {
		s := alarmState{State: "OFF", Severity: a.Severity, Condition: a.Condition, Value: a.Value, Reason: a.Reason, Since: a.Since}
		if a.Raised() {
			s.State = "ON"
		}
		if a.Acknowledged != nil {
			s.Acknowledged = a.Acknowledged.By
		}
		all = append(all, message{b.topics.alarm(a.Name), marshal(s)})
	})
	return all
}

// marshal returns v, which is made to be JSON, as such.
func marshal(v any) string { return string(wire.JSON(v)) }
