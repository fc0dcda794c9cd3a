// Package climate converts periph's temperature and humidity into a sensor's
// values: the drivers of chips that measure both share it. It refuses to know the chips.
package climate

import "periph.io/x/conn/v3/physic"

// Set sets values to a temperature in °C and a relative humidity in %, in this order.
func Set(values []float32, t physic.Temperature, h physic.RelativeHumidity) {
	values[0] = float32(t.Celsius())
	values[1] = float32(float64(h) / float64(physic.PercentRH))
}
