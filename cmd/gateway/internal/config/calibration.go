package config

import (
	"fmt"
	"slices"

	"sensorgateway/cmd/gateway/internal/calibration"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/wire"
)

// calibration reads the constants that correct the quantities of a chip's sensors, and the
// number of ticks whose median their values are.
func (s *section) calibration(spec Chip, own []Sensor) {
	if n := s.number("median", wire.MaxMedian, "write 3 or 5", &own[0].Median); n != nil && (own[0].Median%2 == 0 || own[0].Median == 1) {
		s.fault(n, "median", "%s is not an odd number from 3 to %d (write 3, or remove the line)", phrase.Quote(n.Value), wire.MaxMedian)
	}
	if n := s.value("calibration"); n != nil {
		if all := s.section(n, s.at("calibration")); all != nil {
			own[0].Calibration = map[string]wire.Calibration{}
			all.quantities(spec, own)
			all.done()
		}
		if len(own[0].Calibration) == 0 {
			own[0].Calibration = nil
		}
	}
	for i := range own {
		own[i].Median, own[i].Calibration = own[0].Median, own[0].Calibration
	}
}

func (s *section) quantities(spec Chip, own []Sensor) {
	var measured []string
	for _, c := range own {
		for _, q := range spec.Quantities(c.Further) {
			measured = append(measured, q.Name)
		}
	}
	for _, q := range wire.Quantities() {
		n := s.value(q.Name)
		if s.schema != nil { // an example need not have them all
			defer func() { s.schema.Properties[q.Name] = constantsSchema(q) }()
		}
		if n == nil {
			continue
		}
		if spec.Values != nil && !slices.Contains(measured, q.Name) { // what an unknown chip measures is not known
			fix := "write " + phrase.OneOf(measured)
			if slices.ContainsFunc(spec.Also, func(x wire.Quantity) bool { return x.Name == q.Name }) {
				fix = fmt.Sprintf("add also: [%s], or remove it", q.Name)
			}
			s.fault(n, q.Name, "this sensor does not measure it (%s)", fix)
			continue
		}
		if one := s.section(n, s.at(q.Name)); one != nil {
			if c := one.constants(q); c != (wire.Calibration{Scale: 1}) {
				own[0].Calibration[q.Name] = c
			}
			one.done()
		}
	}
}

func constantsSchema(q wire.Quantity) *Schema {
	number := func(said string) *Schema {
		return &Schema{Description: said, Type: []string{"number", "string"}, Pattern: "^" + calibration.NumberForm + "$"}
	}
	point := &Schema{Description: "What was measured, -> and what was true.", Type: []string{"string"}, Pattern: calibration.PointForm}
	return &Schema{Description: "What corrects it: measured * scale + offset, in " + q.Unit + ".", Type: []string{"object"}, Closed: new(bool), Properties: map[string]*Schema{
		"offset": number("What is added, in the unit of the quantity."), "scale": number("The factor by which the measured value is multiplied, before offset is added."),
		"points": {Description: "Two points, low and high, instead of offset and scale.", Type: []string{"array"}, Items: point, MinItems: 2, MaxItems: 2},
	}}
}

// constants reads the scale and the offset of a quantity, or two points that give both.
func (s *section) constants(q wire.Quantity) wire.Calibration {
	c := wire.Calibration{Scale: 1}
	s.constant("offset", q, calibration.Offset, &c.Offset)
	s.constant("scale", q, calibration.Scale, &c.Scale)
	var points []string
	for _, n := range s.texts("points") {
		points = append(points, n.Value)
	}
	if n := s.values["points"]; n != nil && len(points) == len(n.Content) {
		var at int
		var err error
		if c, at, err = calibration.Points(q, points); at >= 0 {
			s.fault(n.Content[at], fmt.Sprintf("points[%d]", at), "%v", err)
		} else if err != nil {
			s.fault(n, "points", "%v", err)
		}
	}
	return c
}

// constant reads one of them.
func (s *section) constant(key string, q wire.Quantity, read func(wire.Quantity, string) (float64, error), into *float64) {
	var text string
	n := s.text(key, &text)
	if n == nil {
		return
	}
	v, err := read(q, text)
	switch {
	case err != nil:
		s.fault(n, key, "%v", err)
	case s.has("points"):
		s.fault(n, key, "points give the offset and the scale (remove one)")
	default:
		*into = v
	}
}
