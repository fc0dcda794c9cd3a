package motor

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sensorgateway/wire"
)

const (
	// staleAfter is the age at which a reading fails a condition on its value,
	// unless the motor has a condition on that sensor's age.
	staleAfter = 3 * time.Second
	// maxBound is the largest age that a condition can ask for.
	maxBound = 24 * time.Hour
)

// age is the name of a condition on the age of a sensor's last good reading, on
// the monotonic clock; all other names are quantities.
const age = "age"

// Condition is what an interlock requires of a sensor; [ParseCondition] makes it.
type Condition struct {
	text   string
	sensor int
	onAge  bool
	value  int    // which of the reading's values, unless it is on the age
	op     string // <, <=, > or >=
	limit  float32
	bound  time.Duration // of the age
}

// String returns the condition as clients see it: "indoor.temperature < 60".
func (c Condition) String() string { return c.text }

// ParseCondition reads a condition: SENSOR.QUANTITY OP LIMIT. A quantity that the
// sensor measures takes <, <=, > and >= and a number in its unit; age, that of
// the sensor's last good reading, takes < and <= and a duration. find returns the
// sensor of a name.
//
//	indoor.temperature < 60
//	indoor.age < 500ms
//
// A failed reading fails a condition on its value, and so does one that is
// older than 3 s, unless the motor has a condition on that sensor's age, which
// then decides (and is needed for a sensor that measures more rarely). A sensor
// that has not been heard yet fails all its conditions.
func ParseCondition(text string, find func(name string) (*wire.SensorInfo, bool)) (Condition, error) {
	fail := func(format string, args ...any) (Condition, error) {
		return Condition{}, fmt.Errorf("interlock %q: "+format, append([]any{text}, args...)...)
	}
	at := strings.IndexAny(text, "<>=!")
	if at < 0 {
		return fail("want SENSOR.QUANTITY < LIMIT, such as indoor.temperature < 60")
	}
	rest := strings.TrimLeft(text[at:], "<>=!")
	op := text[at : len(text)-len(rest)]
	subject, limit := strings.TrimSpace(text[:at]), strings.TrimSpace(rest)
	dot := strings.LastIndexByte(subject, '.')
	if dot < 0 {
		return fail("%q names no quantity: write SENSOR.QUANTITY or SENSOR.age, such as indoor.temperature", subject)
	}
	sensor, known := find(subject[:dot])
	if !known {
		return fail("unknown sensor %q", subject[:dot])
	}
	quantity := subject[dot+1:]
	c := Condition{sensor: int(sensor.ID), onAge: quantity == age, op: op, text: subject + " " + op + " " + limit}
	switch op {
	case "<", "<=", ">", ">=":
	default:
		return fail("unknown comparison %q: write <, <=, > or >=", op)
	}
	var err error
	if c.onAge {
		if op == ">" || op == ">=" {
			return fail("an age takes < or <=")
		}
		if c.bound, err = time.ParseDuration(limit); err != nil {
			return fail("%q is not a duration such as 500ms", limit)
		}
		if c.bound <= 0 || c.bound > maxBound {
			return fail("an age must be above 0 and at most %v", maxBound)
		}
		return c, nil
	}
	c.value = slices.IndexFunc(sensor.Quantities(), func(q wire.Quantity) bool { return q.Name == quantity })
	if c.value < 0 {
		var names []string
		for _, q := range sensor.Quantities() {
			names = append(names, q.Name)
		}
		return fail("unknown quantity %q: write %s or %s", quantity, strings.Join(names, ", "), age)
	}
	if c.limit, err = number(limit); err != nil {
		return fail("%q is not a number", limit)
	}
	return c, nil
}

var errNotFinite = errors.New("not finite")

// number reads a plain decimal number.
func number(text string) (float32, error) {
	v, err := strconv.ParseFloat(text, 32)
	if err == nil && strings.ContainsAny(text, "xXnNiI") { // hexadecimal, NaN, infinite
		err = errNotFinite
	}
	return float32(v), err
}

// interlock is a condition of one motor.
type interlock struct {
	Condition
	maxAge  time.Duration // a good reading of this age fails it; 0: none does
	tripped bool          // a record failed it since the motor was started; the lock of [interlocks] guards it
}

func interlocksOf(conditions []Condition) []*interlock {
	aged := map[int]bool{} // sensors with a condition on their age
	for _, c := range conditions {
		aged[c.sensor] = aged[c.sensor] || c.onAge
	}
	var list []*interlock
	for _, c := range conditions {
		i := &interlock{Condition: c}
		switch {
		case !c.onAge && !aged[c.sensor]:
			i.maxAge = staleAfter
		case c.op == "<":
			i.maxAge = c.bound
		case c.onAge: // <=
			i.maxAge = c.bound + 1
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

// holds returns whether the condition holds at now. A NaN meets none.
func (i *interlock) holds(s sensorState, now time.Time) bool {
	if s.good.IsZero() || i.maxAge > 0 && now.Sub(s.good) >= i.maxAge {
		return false
	}
	if i.onAge {
		return true
	}
	if s.fault != wire.Good {
		return false
	}
	switch v := s.values[i.value]; i.op {
	case "<":
		return v < i.limit
	case "<=":
		return v <= i.limit
	case ">":
		return v > i.limit
	default:
		return v >= i.limit
	}
}

// why returns why the condition does not hold.
func (i *interlock) why(s sensorState, now time.Time) string {
	switch {
	case !s.heard:
		return "no reading yet"
	case s.good.IsZero() || s.fault != wire.Good && !i.onAge:
		return "failed: " + s.fault.String()
	case i.maxAge > 0 && now.Sub(s.good) >= i.maxAge:
		return fmt.Sprintf("age is %v", now.Sub(s.good).Round(time.Millisecond))
	}
	return "is " + strconv.FormatFloat(float64(s.values[i.value]), 'f', -1, 32)
}
