package wire

// Calibration corrects a quantity: its value is what the chip measured, times Scale,
// plus Offset. The zero value corrects nothing.
type Calibration struct {
	Scale  float64 `json:"scale"` // above 0
	Offset float64 `json:"offset"`
}

// Of returns the corrected value of what was measured. It is the same, bit by bit, on every
// machine. A NaN stays as it is.
func (c Calibration) Of(measured float32) float32 {
	if c == (Calibration{}) || measured != measured {
		return measured
	}
	product := float64(measured) * c.Scale
	return float32(float64(product) + c.Offset) // without the conversion, some processors would add before they round the product
}

// MaxMedian is the largest number of ticks that a value can be the median of.
const MaxMedian = 9

// Calibrations are those of a sensor's values, in the order of its quantities.
type Calibrations [2]Calibration

// Apply corrects the measured values of a record. A record of a failure has none.
func (c *Calibrations) Apply(r *Record) {
	if r.Fault != Good {
		return
	}
	for i := range r.Values {
		r.Values[i] = c[i].Of(r.Values[i])
	}
}

// Calibrations returns what corrects the sensor's values.
func (s *SensorInfo) Calibrations() (all Calibrations) {
	for i, q := range s.Quantities() {
		all[i] = s.Calibration[q.Name]
	}
	return all
}
