package motor

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"sensorgateway/gateway/condition"
	"sensorgateway/wire"
)

// StaleAfter is the age at which a reading fails a condition on its value,
// unless the motor has a condition on that sensor's age.
const StaleAfter = 3 * time.Second

// ParseInterlock reads the condition of an interlock. The age of a sensor's last good
// reading takes < and <= only.
//
// A failed reading fails a condition on its value, and so does one that is
// older than 3 s, unless the motor has a condition on that sensor's age, which
// then decides (and is needed for a sensor that measures more rarely). A sensor
// that has not been heard yet fails all its conditions.
func ParseInterlock(text string, find condition.Find) (condition.Condition, error) {
	c, err := condition.Parse(text, find)
	if err == nil && c.OnAge && c.Above() {
		err = errors.New("an age takes < or <=")
	}
	if err != nil {
		return condition.Condition{}, fmt.Errorf("interlock %q: %w", text, err)
	}
	return c, nil
}

// interlock is a condition of one motor.
type interlock struct {
	condition.Condition
	maxAge  time.Duration // a good reading fails it at this age; 0: at none
	tripped bool          // a record failed it since the motor was started; the lock of [interlocks] guards it
}

func interlocksOf(conditions []condition.Condition) []*interlock {
	aged := map[int]bool{} // sensors with a condition on their age
	for _, c := range conditions {
		aged[c.Sensor] = aged[c.Sensor] || c.OnAge
	}
	var list []*interlock
	for _, c := range conditions {
		i := &interlock{Condition: c}
		switch {
		case !c.OnAge && !aged[c.Sensor]:
			i.maxAge = StaleAfter
		case c.Op == "<":
			i.maxAge = c.Bound
		case c.OnAge: // <=
			i.maxAge = c.Bound + 1
		}
		list = append(list, i)
	}
	return list
}

// sensorState is what is known of a sensor.
type sensorState struct {
	heard  bool       // any record came
	fault  wire.Fault // of the last record
	values [2]float32 // of the last good record
	good   time.Time  // when the last good record came
}

// holds returns whether the condition holds at now. A NaN meets no condition.
func (i *interlock) holds(s sensorState, now time.Time) bool {
	if s.good.IsZero() || i.maxAge > 0 && now.Sub(s.good) >= i.maxAge {
		return false
	}
	if i.OnAge {
		return true
	}
	if s.fault != wire.Good {
		return false
	}
	return i.Meets(s.values[i.Value])
}

// why returns why the condition does not hold.
func (i *interlock) why(s sensorState, now time.Time) string {
	switch {
	case !s.heard:
		return "no reading yet"
	case s.good.IsZero() || s.fault != wire.Good && !i.OnAge:
		return "failed: " + s.fault.String()
	case i.maxAge > 0 && now.Sub(s.good) >= i.maxAge:
		return fmt.Sprintf("age is %v", now.Sub(s.good).Round(time.Millisecond))
	}
	return "is " + strconv.FormatFloat(float64(s.values[i.Value]), 'f', -1, 32)
}
