package wire

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
)

// Quantity is what one of a sensor's values is. Those that the gateway knows
// are in the table below; to add one, add a row.
type Quantity struct {
	Name     string `json:"quantity"` // a name in the configuration, in JSON and in CSV: it needs no escaping
	Unit     string `json:"unit"`     // of the value in a [Reading]
	Decimals int    `json:"-"`        // that people are shown
	Metric   Metric `json:"-"`

	DeviceClass string  `json:"-"` // what Home Assistant calls it
	MaxOffset   float64 `json:"-"` // a calibration adds at most this: a sensor that is further off is broken
}

// Metric is a quantity as Prometheus has it, in base units
// (https://prometheus.io/docs/practices/naming/#base-units).
type Metric struct {
	Name     string // without the program's prefix
	Help     string
	Exponent int // the value in base units is that of a reading times 10 to this power
}

// The quantities.
var (
	Temperature = Quantity{"temperature", "°C", 2, Metric{"temperature_celsius", "Temperature", 0}, "temperature", 30}
	Humidity    = Quantity{"humidity", "%", 1, Metric{"humidity_ratio", "Relative humidity, 0 to 1", -2}, "humidity", 30}
	// At sea level it is up to 400 hPa more than on a mountain.
	Pressure = Quantity{"pressure", "hPa", 2, Metric{"pressure_pascal", "Air pressure", 2}, "atmospheric_pressure", 400}
	CO2      = Quantity{"co2", "ppm", 0, Metric{"co2_ppm", "Carbon dioxide in the air, parts per million", 0}, "carbon_dioxide", 1000}
)

// Quantities returns the table, in the order in which people are shown it.
func Quantities() []Quantity { return []Quantity{Temperature, Humidity, Pressure, CO2} }

// climate is what a sensor measures if it does not say what it measures.
var climate = CSV{Temperature, Humidity}

// UnmarshalJSON reads a quantity as hello has it, and takes from the table what
// hello leaves out. One that is not in the table has two decimals.
func (q *Quantity) UnmarshalJSON(data []byte) error {
	var said struct {
		Quantity, Unit string
	}
	if err := json.Unmarshal(data, &said); err != nil {
		return err
	}
	*q = Quantity{Name: said.Quantity, Unit: said.Unit, Decimals: 2}
	for _, known := range Quantities() {
		if known.Name == q.Name && known.Unit == q.Unit {
			*q = known
		}
	}
	return nil
}

// Text returns a value as people read it: "21.50 °C".
func (q Quantity) Text(value float32) string {
	return strconv.FormatFloat(float64(value), 'f', q.Decimals, 32) + " " + q.Unit
}

// Base returns a value in base units.
func (m Metric) Base(value float32) float32 {
	power := float32(1)
	for range max(m.Exponent, -m.Exponent) {
		power *= 10
	}
	if m.Exponent < 0 {
		return value / power
	}
	return value * power
}

// NotMeasured is the value, a quiet NaN, that stands where a sensor measures
// nothing: the second value of a sensor of one quantity.
func NotMeasured() float32 { return Good.NaN() }

// IsNotMeasured returns whether v is [NotMeasured], and no other NaN.
func IsNotMeasured(v float32) bool { return math.Float32bits(v) == nanBits }

// Quantities returns what the sensor's values are: [SensorInfo.Values], or
// temperature and humidity if it has none. They must not be changed.
func (s *SensorInfo) Quantities() []Quantity {
	if len(s.Values) == 0 {
		return climate
	}
	return s.Values[:min(len(s.Values), len(Reading{}.Values))] // other servers may have sent more
}

// InV1 returns whether [ReadingsV1] can carry the sensor's readings: it measures
// temperature, and humidity or nothing else.
func (s *SensorInfo) InV1() bool {
	q := s.Quantities()
	return q[0].Name == Temperature.Name && (len(q) == 1 || q[1].Name == Humidity.Name)
}

// column returns which of the sensor's values is a quantity, -1 if none.
func (s *SensorInfo) column(q Quantity) int {
	return slices.IndexFunc(s.Quantities(), func(own Quantity) bool { return own.Name == q.Name })
}
