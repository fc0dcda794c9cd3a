package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sensorgateway/wire"
)

func TestCalibration(t *testing.T) {
	c, err := parse(t, `sensors:
  - name: roof
    chip: bme280
    also: [pressure]
    group: Çatı
    median: 3
    calibration:
      temperature: {offset: -0.4}
      humidity: {points: [35.1 -> 33.1, "75.1->75.1"]}
      pressure: {scale: 1.5, offset: +400}
  - {name: plain, chip: sht3x, calibration: {humidity: {scale: 1, offset: 0}}}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]wire.Calibration{"temperature": {Scale: 1, Offset: -0.4}, "humidity": {Scale: 1.05, Offset: -3.755}, "pressure": {Scale: 1.5, Offset: 400}}
	for i, name := range []string{"roof", "roof_pressure"} { // what is of no quantity of one, it does not use
		s := c.Sensors[i]
		if diff := cmp.Diff(want, s.Calibration, cmpopts.EquateApprox(0, 1e-12)); diff != "" || s.Median != 3 || s.Name != name || s.Group != "Çatı" {
			t.Errorf("%s of %q %d %s", s.Name, s.Group, s.Median, diff)
		}
	}
	if s := c.Sensors[2]; len(s.Calibration) != 0 || s.Median != 0 {
		t.Errorf("what corrects nothing became %+v, median of %d", s.Calibration, s.Median)
	}
}

// badCalibrations are files that must be refused for what corrects their sensors.
var badCalibrations = []struct{ name, file, want string }{
	{"medians", `sensors:
  - {name: a, chip: sht3x, median: 4}
  - {name: b, chip: sht3x, address: 0x45, median: 1}
  - {name: c, chip: aht20, median: 11}
  - {name: d, chip: aht20, bus: 2, median: -3}
  - {name: e, chip: aht20, bus: 3, median: 0}
`, `gateway.yaml:2: sensors[0].median: "4" is not an odd number from 3 to 9 (write 3, or remove the line)
gateway.yaml:3: sensors[1].median: "1" is not an odd number from 3 to 9 (write 3, or remove the line)
gateway.yaml:4: sensors[2].median: "11" is not a whole number from 0 to 9 (write 3 or 5)
gateway.yaml:5: sensors[3].median: "-3" is not a whole number from 0 to 9 (write 3 or 5)
gateway.yaml:6: sensors[4].median: "0" is not an odd number from 3 to 9 (write 3, or remove the line)`},
	{"calibration of what is not measured", `sensors:
  - name: a
    chip: bme280
    calibration:
      pressure: {offset: 1}
      co2: {offset: 1}
      temprature: {offset: 1}
  - {name: b, chip: sht3x, calibration: -0.4}
  - {name: c, chip: aht20, calibration: {temperature: -0.4}}
`, `gateway.yaml:5: sensors[0].calibration.pressure: this sensor does not measure it (add also: [pressure], or remove it)
gateway.yaml:6: sensors[0].calibration.co2: this sensor does not measure it (write temperature or humidity)
gateway.yaml:7: unknown key "temprature" in sensors[0].calibration (did you mean "temperature"?)
gateway.yaml:8: sensors[1].calibration: "-0.4" where keys with values must be (write key: value)
gateway.yaml:9: sensors[2].calibration.temperature: "-0.4" where keys with values must be (write key: value)`},
	{"constants", `sensors:
  - name: a
    chip: sht3x
    calibration:
      temperature:
        offset: .nan
        scale: 0
      humidity:
        offset: 31
        scale: 1.8
  - name: b
    chip: aht20
    calibration:
      temperature:
        offset: "0,4"
        scale: 1e0
        gain: 1
`, `gateway.yaml:6: sensors[0].calibration.temperature.offset: ".nan" is not a number (write one such as -0.4 or 1.02)
gateway.yaml:7: sensors[0].calibration.temperature.scale: "0" would make all values the same (write 1, or remove it)
gateway.yaml:9: sensors[0].calibration.humidity.offset: "31" corrects by more than 30 %: so far off, a sensor is broken (replace it, or check the value; the unit stays %)
gateway.yaml:10: sensors[0].calibration.humidity.scale: "1.8" is not between 0.5 and 1.5: so far off, a sensor is broken (replace it, or check the value; the unit stays %)
gateway.yaml:15: sensors[1].calibration.temperature.offset: "0,4" is not a number (write 0.4)
gateway.yaml:16: sensors[1].calibration.temperature.scale: "1e0" is not a number (write one such as -0.4 or 1.02)
gateway.yaml:17: unknown key "gain" in sensors[1].calibration.temperature (known: offset, scale, points)`},
	{"points", `sensors:
  - name: a
    chip: sht3x
    calibration:
      temperature: {points: [0.3 -> 0]}
      humidity: {points: [11.3 12.1, 75 -> 75.3]}
  - name: b
    chip: aht20
    calibration:
      temperature: {points: [1 -> 0, 1 -> 2]}
      humidity: {points: [10 -> 20, 12 -> 30], scale: 1}
  - {name: c, chip: aht20, bus: 2, calibration: {temperature: {points: [0 -> 32, 100 -> 212]}}}
`, `gateway.yaml:5: sensors[0].calibration.temperature.points: 1 points where two must be, low and high (write [11.9 -> 11.3, 74.1 -> 75.3]; for one, write offset)
gateway.yaml:6: sensors[0].calibration.humidity.points[0]: "11.3 12.1" is not a point (write what is measured, -> and the true value, such as 11.9 -> 11.3)
gateway.yaml:10: sensors[1].calibration.temperature.points[1]: both points have the same measured value (take two that are far apart)
gateway.yaml:11: sensors[1].calibration.humidity.points: the scale 5 that the points give is not between 0.5 and 1.5: so far off, a sensor is broken (replace it, or check the value; the unit stays %)
gateway.yaml:11: sensors[1].calibration.humidity.scale: points give the offset and the scale (remove one)
gateway.yaml:12: sensors[2].calibration.temperature.points[0]: "0 -> 32" corrects by more than 30 °C: so far off, a sensor is broken (replace it, or check the value; the unit stays °C)`},
}
