package motor

import (
	"errors"
	"fmt"
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

type quantity string

const (
	temperature quantity = "temperature" // °C
	humidity    quantity = "humidity"    // % relative
	age         quantity = "age"         // of the last good reading, on the monotonic clock
)

// Condition is what an interlock requires of a sensor; [ParseCondition] makes it.
type Condition struct {
	text     string
	sensor   int
	quantity quantity
	op       string // <, <=, > or >=
	limit    float32
	bound    time.Duration // of the age
}

// String returns the condition as clients see it: "indoor.temperature < 60".
func (c Condition) String() string { return c.text }

// ParseCondition reads a condition: SENSOR.QUANTITY OP LIMIT. The quantities
// temperature (°C) and humidity (%) take <, <=, > and >= and a number; age,
// that of the sensor's last good reading, takes < and <= and a duration.
//
//	indoor.temperature < 60
//	indoor.age < 500ms
//
// A failed reading fails a condition on its value, and so does one that is
// older than 3 s, unless the motor has a condition on that sensor's age, which
// then decides (and is needed for a sensor that measures more rarely). A sensor
// that has not been heard yet fails all its conditions.
func ParseCondition(text string, sensorIndex func(name string) (int, bool)) (Condition, error) {
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
		return fail("%q names no quantity: write SENSOR.temperature, SENSOR.humidity or SENSOR.age", subject)
	}
	c := Condition{quantity: quantity(subject[dot+1:]), op: op, text: subject + " " + op + " " + limit}
	known := false
	if c.sensor, known = sensorIndex(subject[:dot]); !known {
		return fail("unknown sensor %q", subject[:dot])
	}
	switch op {
	case "<", "<=", ">", ">=":
	default:
		return fail("unknown comparison %q: write <, <=, > or >=", op)
	}
	var err error
	switch c.quantity {
	case temperature, humidity:
		if c.limit, err = number(limit); err != nil {
			return fail("%q is not a number", limit)
		}
	case age:
		if op == ">" || op == ">=" {
			return fail("an age takes < or <=")
		}
		if c.bound, err = time.ParseDuration(limit); err != nil {
			return fail("%q is not a duration such as 500ms", limit)
		}
		if c.bound <= 0 || c.bound > maxBound {
			return fail("an age must be above 0 and at most %v", maxBound)
		}
	default:
		return fail("unknown quantity %q: write temperature, humidity or age", c.quantity)
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
		aged[c.sensor] = aged[c.sensor] || c.quantity == age
	}
	var list []*interlock
	for _, c := range conditions {
		i := &interlock{Condition: c}
		switch {
		case c.quantity != age && !aged[c.sensor]:
			i.maxAge = staleAfter
		case c.op == "<":
			i.maxAge = c.bound
		case c.quantity == age: // <=
			i.maxAge = c.bound + 1
		}
		list = append(list, i)
	}
	return list
}

// sensorState is what is known of a sensor.
type sensorState struct {
	heard                 bool       // any record came
	fault                 wire.Fault // of the last record
	temperature, humidity float32    // of the last good record
	good                  time.Time  // when the last good record came
}

// holds returns whether the condition holds at now. A NaN meets none.
func (i *interlock) holds(s sensorState, now time.Time) bool {
	if s.good.IsZero() || i.maxAge > 0 && now.Sub(s.good) >= i.maxAge {
		return false
	}
	if i.quantity == age {
		return true
	}
	if s.fault != wire.Good {
		return false
	}
	switch v := i.value(s); i.op {
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

func (c Condition) value(s sensorState) float32 {
	if c.quantity == temperature {
		return s.temperature
	}
	return s.humidity
}

// why returns why the condition does not hold.
func (i *interlock) why(s sensorState, now time.Time) string {
	switch {
	case !s.heard:
		return "no reading yet"
	case s.good.IsZero() || s.fault != wire.Good && i.quantity != age:
		return "failed: " + s.fault.String()
	case i.maxAge > 0 && now.Sub(s.good) >= i.maxAge:
		return fmt.Sprintf("age is %v", now.Sub(s.good).Round(time.Millisecond))
	}
	return "is " + strconv.FormatFloat(float64(i.value(s)), 'f', -1, 32)
}
