// Package calibration reads the constants that correct a quantity, as people write them,
// and refuses what cannot be meant. It refuses to know where they are written.
package calibration

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/wire"
)

// NumberForm is what a number looks like. Exponents are no way to write these.
const NumberForm = `[-+]?[0-9]{1,6}(\.[0-9]{1,20})?`

// PointForm is what two values look like: what the gateway showed, and the true one.
const PointForm = `^\s*(` + NumberForm + `)\s*->\s*(` + NumberForm + `)\s*$`

var (
	numberForm = regexp.MustCompile("^" + NumberForm + "$")
	pointForm  = regexp.MustCompile(PointForm)
)

// A sensor that is further off than this is broken, or its values are meant in another
// unit.
const (
	leastScale = 0.5
	mostScale  = 1.5
)

// number reads a number.
func number(text string) (float64, error) {
	if !numberForm.MatchString(text) {
		fix := "write one such as -0.4 or 1.02"
		if point := strings.Replace(text, ",", ".", 1); numberForm.MatchString(point) {
			fix = "write " + point
		}
		return 0, fmt.Errorf("%s is not a number (%s)", phrase.Quote(text), fix)
	}
	return strconv.ParseFloat(text, 64)
}

// Offset reads what is added to the values of a quantity.
func Offset(q wire.Quantity, text string) (v float64, err error) {
	if v, err = number(text); err != nil {
		return 0, err
	}
	return v, checkOffset(q, phrase.Quote(text), v)
}

func checkOffset(q wire.Quantity, what string, v float64) error {
	if math.Abs(v) > q.MaxOffset {
		return fmt.Errorf("%s corrects by more than %v %s: so far off, a sensor is broken (replace it, or check the value; the unit stays %[3]s)", what, q.MaxOffset, q.Unit)
	}
	return nil
}

// Scale reads by what the values of a quantity are multiplied.
func Scale(q wire.Quantity, text string) (v float64, err error) {
	if v, err = number(text); err != nil {
		return 0, err
	}
	return v, checkScale(q, phrase.Quote(text), v)
}

func checkScale(q wire.Quantity, what string, v float64) error {
	switch {
	case v == 0:
		return fmt.Errorf("%s would make all values the same (write 1, or remove it)", what)
	case v < leastScale || v > mostScale:
		return fmt.Errorf("%s is not between %v and %v: so far off, a sensor is broken (replace it, or check the value; the unit stays %s)", what, leastScale, mostScale, q.Unit)
	}
	return nil
}

// Points returns the calibration that two points such as "11.9 -> 11.3" give. If one of
// them is wrong, at is its index, else -1.
func Points(q wire.Quantity, texts []string) (c wire.Calibration, at int, err error) {
	if len(texts) != 2 {
		return c, -1, fmt.Errorf("%d points where two must be, low and high (write [11.9 -> 11.3, 74.1 -> 75.3]; for one, write offset)", len(texts))
	}
	var measured, actual [2]float64
	for i, text := range texts {
		m := pointForm.FindStringSubmatch(text)
		if m == nil {
			return c, i, fmt.Errorf("%s is not a point (write what is measured, -> and the true value, such as 11.9 -> 11.3)", phrase.Quote(text))
		}
		measured[i], _ = strconv.ParseFloat(m[1], 64) // the form allows numbers only
		actual[i], _ = strconv.ParseFloat(m[3], 64)
		if err := checkOffset(q, phrase.Quote(text), actual[i]-measured[i]); err != nil {
			return c, i, err
		}
	}
	if measured[0] == measured[1] {
		return c, 1, errors.New("both points have the same measured value (take two that are far apart)")
	}
	c.Scale = (actual[1] - actual[0]) / (measured[1] - measured[0])
	c.Offset = actual[0] - c.Scale*measured[0]
	if err := checkScale(q, fmt.Sprintf("the scale %.3g that the points give", c.Scale), c.Scale); err != nil {
		return c, -1, err
	}
	return c, -1, checkOffset(q, fmt.Sprintf("the offset %.4g that the points give", c.Offset), c.Offset)
}
