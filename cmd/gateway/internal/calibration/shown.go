package calibration

import (
	"strings"

	"sensorgateway/wire"
)

// Shown is values for people, with what was measured if that differs.
type Shown struct {
	Values   map[string]float32
	Measured map[string]float32 // nil: nothing was corrected
	Text     string
}

// Show corrects what was measured of the quantities.
func Show(all map[string]wire.Calibration, quantities []wire.Quantity, measured []float32) Shown {
	values := make([]float32, len(quantities))
	for i, q := range quantities {
		values[i] = all[q.Name].Of(measured[i])
	}
	return show(all, quantities, values, measured)
}

// ShowAgain computes what was measured from the values: it may be off by their rounding.
func ShowAgain(all map[string]wire.Calibration, quantities []wire.Quantity, values []float32) Shown {
	measured := make([]float32, len(quantities))
	for i, q := range quantities {
		measured[i] = values[i]
		if c, ok := all[q.Name]; ok {
			measured[i] = float32((float64(values[i]) - c.Offset) / c.Scale)
		}
	}
	return show(all, quantities, values, measured)
}

func show(all map[string]wire.Calibration, quantities []wire.Quantity, values, measured []float32) Shown {
	s := Shown{Values: map[string]float32{}}
	var after, before []string
	for i, q := range quantities {
		s.Values[q.Name] = values[i]
		after = append(after, q.Text(values[i]))
		if _, ok := all[q.Name]; ok {
			if s.Measured == nil {
				s.Measured = map[string]float32{}
			}
			s.Measured[q.Name] = measured[i]
			before = append(before, q.Text(measured[i]))
		}
	}
	s.Text = strings.Join(after, ", ")
	if len(before) > 0 {
		s.Text += ", calibrated; measured " + strings.Join(before, ", ")
	}
	return s
}
