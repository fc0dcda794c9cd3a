// Package condition reads conditions on a sensor's readings from a line of text:
// indoor.temperature < 60. Interlocks and alarms are made of conditions.
//
// It refuses to know what follows when a condition holds, or does not.
package condition

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sensorgateway/wire"
)

// MaxAge is the largest age in a condition.
const MaxAge = 24 * time.Hour

// Age is the name of a condition on the age of a sensor's last good reading, on
// the monotonic clock; all other names are quantities.
const Age = "age"

// Condition is a condition on the readings of a sensor; [Parse] makes it.
type Condition struct {
	Text   string // as people see it: "indoor.temperature < 60"
	Sensor int
	OnAge  bool
	Value  int    // which of the reading's values, unless it is on the age
	Op     string // <, <=, > or >=
	Limit  float32
	Bound  time.Duration // of the age
}

// String returns the text.
func (c Condition) String() string { return c.Text }

// Find returns the sensor of a name.
type Find func(name string) (*wire.SensorInfo, bool)

// Parse reads a condition: SENSOR.QUANTITY OP LIMIT. The operators are <, <=, > and >=.
// The limit of a quantity that the sensor measures is a number in its unit; that of age,
// the age of the sensor's last good reading, is a duration.
//
//	indoor.temperature < 60
//	indoor.age < 500ms
func Parse(text string, find Find) (Condition, error) {
	fail := func(format string, args ...any) (Condition, error) {
		return Condition{}, fmt.Errorf(format, args...)
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
	c := Condition{Sensor: int(sensor.ID), OnAge: quantity == Age, Op: op, Text: subject + " " + op + " " + limit}
	switch op {
	case "<", "<=", ">", ">=":
	default:
		return fail("unknown comparison %q: write <, <=, > or >=", op)
	}
	var err error
	if c.OnAge {
		if c.Bound, err = time.ParseDuration(limit); err != nil {
			return fail("%q is not a duration such as 500ms", limit)
		}
		if c.Bound <= 0 || c.Bound > MaxAge {
			return fail("an age must be above 0 and at most %v", MaxAge)
		}
		return c, nil
	}
	c.Value = slices.IndexFunc(sensor.Quantities(), func(q wire.Quantity) bool { return q.Name == quantity })
	if c.Value < 0 {
		var names []string
		for _, q := range sensor.Quantities() {
			names = append(names, q.Name)
		}
		return fail("unknown quantity %q: write %s or %s", quantity, strings.Join(names, ", "), Age)
	}
	if c.Limit, err = number(limit); err != nil {
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

// Above returns whether the condition demands more than its limit.
func (c Condition) Above() bool { return c.Op[0] == '>' }

// Meets returns whether a value meets the condition. A NaN meets none.
func (c Condition) Meets(v float32) bool { return meets(c.Op, v, c.Limit) }

// MeetsAge returns whether an age meets the condition.
func (c Condition) MeetsAge(age time.Duration) bool { return meets(c.Op, age, c.Bound) }

func meets[T float32 | time.Duration](op string, v, limit T) bool {
	switch op {
	case "<":
		return v < limit
	case "<=":
		return v <= limit
	case ">":
		return v > limit
	default:
		return v >= limit
	}
}
