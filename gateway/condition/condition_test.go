package condition

import (
	"math"
	"testing"
	"time"

	"sensorgateway/wire"
)

// findSensor knows the sensors of the tests.
func findSensor(name string) (*wire.SensorInfo, bool) {
	for i, s := range []string{"indoor", "outdoor", "a.b", "air"} {
		if s == name {
			info := &wire.SensorInfo{ID: uint16(i), Name: s}
			if s == "air" {
				info.Values = []wire.Quantity{wire.CO2}
			}
			return info, true
		}
	}
	return nil, false
}

func TestParse(t *testing.T) {
	good := map[string]Condition{
		"indoor.temperature < 60":      {Sensor: 0, Op: "<", Limit: 60},
		"  outdoor.humidity>=-.5 ":     {Text: "outdoor.humidity >= -.5", Sensor: 1, Value: 1, Op: ">=", Limit: -0.5},
		"a.b.temperature <= 1e1":       {Sensor: 2, Op: "<=", Limit: 10},
		"indoor.humidity > 0":          {Sensor: 0, Value: 1, Op: ">"},
		"indoor.age < 500ms":           {Sensor: 0, OnAge: true, Op: "<", Bound: 500 * time.Millisecond},
		"indoor.age > 10s":             {Sensor: 0, OnAge: true, Op: ">", Bound: 10 * time.Second},
		"indoor.age  <=\t1m30s":        {Text: "indoor.age <= 1m30s", Sensor: 0, OnAge: true, Op: "<=", Bound: 90 * time.Second},
		"indoor.temperature < +36.6":   {Sensor: 0, Op: "<", Limit: 36.6},
		"air.co2 < 1500":               {Sensor: 3, Op: "<", Limit: 1500},
		"indoor.temperature <= 60.000": {Sensor: 0, Op: "<=", Limit: 60},
	}
	for text, want := range good {
		if want.Text == "" {
			want.Text = text
		}
		if got, err := Parse(text, findSensor); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
	bad := map[string]string{
		"":                            "want SENSOR.QUANTITY < LIMIT, such as indoor.temperature < 60",
		"indoor.temperature":          "want SENSOR.QUANTITY < LIMIT, such as indoor.temperature < 60",
		"< 60":                        `"" names no quantity: write SENSOR.QUANTITY or SENSOR.age, such as indoor.temperature`,
		"indoor < 60":                 `"indoor" names no quantity: write SENSOR.QUANTITY or SENSOR.age, such as indoor.temperature`,
		"attic.temperature < 60":      `unknown sensor "attic"`,
		"indoor.pressure < 60":        `unknown quantity "pressure": write temperature, humidity or age`,
		"air.temperature < 60":        `unknown quantity "temperature": write co2 or age`,
		"indoor.temperature == 60":    `unknown comparison "==": write <, <=, > or >=`,
		"indoor.temperature << 60":    `unknown comparison "<<": write <, <=, > or >=`,
		"indoor.temperature < warm":   `"warm" is not a number`,
		"indoor.temperature <":        `"" is not a number`,
		"indoor.temperature < 60 C":   `"60 C" is not a number`,
		"indoor.temperature < NaN":    `"NaN" is not a number`,
		"indoor.temperature < inf":    `"inf" is not a number`,
		"indoor.temperature < 0x10p0": `"0x10p0" is not a number`,
		"indoor.temperature < 1e99":   `"1e99" is not a number`,
		"20 < indoor.temperature":     `"20" names no quantity: write SENSOR.QUANTITY or SENSOR.age, such as indoor.temperature`,
		"indoor.age > 25h":            "an age must be above 0 and at most 24h0m0s",
		"indoor.age < 500":            `"500" is not a duration such as 500ms`,
		"indoor.age < 0s":             "an age must be above 0 and at most 24h0m0s",
		"indoor.age < -1s":            "an age must be above 0 and at most 24h0m0s",
		"indoor.age < 25h":            "an age must be above 0 and at most 24h0m0s",
	}
	for text, want := range bad {
		_, err := Parse(text, findSensor)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"indoor.temperature < 60", "indoor.age<=500ms", "a.b.humidity >= -.5e1", "indoor.age < 0", "<<", "..<1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text, findSensor)
		if err != nil {
			return
		}
		again, err := Parse(c.String(), findSensor)
		if err != nil || again != c {
			t.Errorf("%q has the text %q, which is %+v, %v", text, c, again, err)
		}
		if l := float64(c.Limit); math.IsNaN(l) || math.IsInf(l, 0) || c.Bound < 0 || c.Bound > MaxAge {
			t.Errorf("%q: %+v", text, c)
		}
		if nan := float32(math.NaN()); c.Meets(nan) {
			t.Errorf("%q: a NaN meets it", text)
		}
		if c.MeetsAge(c.Bound) != (len(c.Op) == 2) || c.MeetsAge(c.Bound+1) != c.Above() || c.MeetsAge(c.Bound-1) == c.Above() {
			t.Errorf("%q: %+v", text, c)
		}
	})
}
