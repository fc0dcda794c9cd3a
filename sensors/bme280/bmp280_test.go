package bme280

import (
	"math"
	"slices"
	"testing"
	"testing/synctest"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/internal/bustest"
	"sensorgateway/wire"
)

// A BMP280 is asked for no humidity.
func TestBMP280(t *testing.T) {
	isBMP280 := get(0xD0, 0x58)
	opening := []i2ctest.IO{isBMP280, isUp, isBMP280, get(0x88, calibTP...), put(0xF4, 0x24, 0xF5, 0xA0, 0xF4, 0x24), get(0x88, calibTP...), get(0xF5, 0xA0)}
	measured, noTemperature := get(0xF7, 0x65, 0x5A, 0xC0, 0x83, 0xA1, 0x20), get(0xF7, 0x65, 0x5A, 0xC0, 0x80, 0, 0)
	settings := get(0xF2, 0, 0, 0x24, 0xA0)
	synctest.Test(t, func(t *testing.T) {
		b := bustest.New(append(opening, start, idle, measured, settings,
			start, idle, noTemperature, settings,
			start, idle, noTemperature, get(0xF2, 0, 0, 0x00, 0x00),
			start, idle, measured, get(0xF2, 0, 0, 0x24, 0x00),
			start, idle, get(0xF7, make([]byte, 6)...))...)
		d, err := NewBMP280(b, 0x76)
		if err != nil {
			t.Fatal(err)
		}
		values := make([]float32, 2)
		if err := d.Sense(values); err != nil {
			t.Fatal(err)
		}
		if celsius, _, hPa := formula(0x83A12, 0, 0x655AC); math.Abs(float64(values[0])-celsius) > 0.0101 || math.Abs(float64(values[1])-hPa) > 0.02 {
			t.Errorf("got %v, want %v and %v", values, celsius, hPa)
		}
		if err := d.Sense(values); err != nil {
			t.Errorf("a true 0x80000 of temperature: %v", err)
		}
		for range 2 { // within the measurement; before it, or it is another chip, for which the driver has no trimming values
			before := slices.Clone(values)
			bustest.CheckError(t, d.Sense(values), wire.WarmingUp, "bmp280 0x76 on bus 1: was reset, its settings are lost: warming_up")
			if !slices.Equal(values, before) {
				t.Errorf("%v after an error, %v before", values, before)
			}
		}
		bustest.CheckError(t, d.Sense(values), wire.Implausible, "bmp280 0x76 on bus 1: read: all data are 0x00: implausible")
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	for id, text := range map[byte]string{
		0x60: "chip id 0x60 is a BME280; fix: write chip: bme280: other",
		0x55: "chip id 0x55 is a BMP180: other",
		0x61: "chip id 0x61 is a BME680 or BME688: other",
	} {
		_, err := NewBMP280(bustest.New(get(0xD0, id)), 0x76)
		bustest.CheckError(t, err, wire.Other, "bmp280 0x76 on bus 1: "+text)
	}
}
