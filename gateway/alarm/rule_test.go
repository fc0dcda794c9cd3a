package alarm

import (
	"strings"
	"testing"
	"time"

	"sensorgateway/wire"
)

// sensorsOfTests are those of the tests.
var sensorsOfTests = []wire.SensorInfo{{ID: 0, Name: "indoor"}, {ID: 1, Name: "outdoor"}, {ID: 2, Name: "air", Values: []wire.Quantity{wire.CO2}}}

func findSensor(name string) (*wire.SensorInfo, bool) {
	for i := range sensorsOfTests {
		if sensorsOfTests[i].Name == name {
			return &sensorsOfTests[i], true
		}
	}
	return nil, false
}

func mustParse(t testing.TB, text string) Condition {
	t.Helper()
	c, err := ParseCondition(text, findSensor)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParseCondition(t *testing.T) {
	for text, want := range map[string]string{
		"indoor.temperature > 35":                                                   "",
		" indoor.temperature>35  for 30s ":                                          "indoor.temperature > 35 for 30s",
		"indoor.temperature > 35 for 90s until indoor.temperature < 33":             "indoor.temperature > 35 for 1m30s until indoor.temperature < 33",
		"indoor.temperature > 35 until indoor.temperature <= 33 for 300s":           "indoor.temperature > 35 for 5m until indoor.temperature <= 33",
		"outdoor.temperature < 2 for 2h until outdoor.temperature > 3":              "",
		"outdoor.temperature <= 2 until outdoor.temperature > 2":                    "",
		"outdoor.temperature > 2 until outdoor.temperature <= 2":                    "",
		"air.co2 >= 1500 for 24h":                                                   "",
		"outdoor.age > 1m until outdoor.age < 1s":                                   "",
		"outdoor.age >= 500ms until outdoor.age < 500ms":                            "",
		"indoor.temperature > 35 for 1h0m0s until\tindoor.temperature\n<\v -3.5e1 ": "indoor.temperature > 35 for 1h until indoor.temperature < -3.5e1",
	} {
		if want == "" {
			want = text
		}
		c := mustParse(t, text)
		if c.String() != want || mustParse(t, want) != c {
			t.Errorf("%q is %q, want %q", text, c, want)
		}
	}
	for text, want := range map[string]string{
		"":                                      "want SENSOR.QUANTITY < LIMIT, such as indoor.temperature < 60",
		"for 30s":                               "want SENSOR.QUANTITY < LIMIT, such as indoor.temperature < 60",
		"attic.temperature > 35":                `unknown sensor "attic"`,
		"indoor.temperature > 35 for":           "nothing follows for: write for 30s, or until SENSOR.QUANTITY < LIMIT",
		"indoor.temperature > 35 for until":     "nothing follows for: write for 30s, or until SENSOR.QUANTITY < LIMIT",
		"indoor.temperature > 35 until":         "nothing follows until: write for 30s, or until SENSOR.QUANTITY < LIMIT",
		"indoor.temperature > 35 for 30":        `for: "30" is not a duration such as 30s`,
		"indoor.temperature > 35 for 1m 30s":    `for: "1m 30s" is not a duration such as 30s`,
		"indoor.temperature > 35 for 0s":        "for: 0s is out of range: write up to 24h, or leave it out",
		"indoor.temperature > 35 for -1s":       "for: -1s is out of range: write up to 24h, or leave it out",
		"indoor.temperature > 35 for 25h":       "for: 25h is out of range: write up to 24h, or leave it out",
		"indoor.temperature > 35 for 1s for 2s": "for is given twice",
		"indoor.temperature > 35 for 1s until indoor.temperature < 3 for 2s":                "for is given twice",
		"indoor.temperature > 35 until indoor.temperature < 3 until indoor.temperature < 2": "until is given twice",
		"indoor.temperature > 35 until 33":                                                  "until: want SENSOR.QUANTITY < LIMIT, such as indoor.temperature < 60",
		"indoor.temperature > 35 until outdoor.temperature < 33":                            "until: an alarm is raised and cleared by the same value: write indoor.temperature",
		"indoor.temperature > 35 until indoor.humidity < 33":                                "until: an alarm is raised and cleared by the same value: write indoor.temperature",
		"indoor.temperature > 35 until indoor.age < 33s":                                    "until: an alarm is raised and cleared by the same value: write indoor.temperature",
		"indoor.temperature > 35 until indoor.temperature > 33":                             `until: "indoor.temperature > 33" asks for the same side as "indoor.temperature > 35": write <`,
		"indoor.temperature < 2 until indoor.temperature <= 3":                              `until: "indoor.temperature <= 3" asks for the same side as "indoor.temperature < 2": write >`,
		"indoor.temperature > 35 until indoor.temperature < 36":                             `until: "indoor.temperature < 36" would clear the alarm while "indoor.temperature > 35" holds: write a limit on the other side of it`,
		"indoor.temperature >= 35 until indoor.temperature <= 35":                           `until: "indoor.temperature <= 35" would clear the alarm while "indoor.temperature >= 35" holds: write a limit on the other side of it`,
		"indoor.age > 1s until indoor.age < 2s":                                             `until: "indoor.age < 2s" would clear the alarm while "indoor.age > 1s" holds: write a limit on the other side of it`,
		"indoor.age < 10s":                                                                  "an alarm is raised by a large age: write > or >=",
		"indoor.temperature > 35 and indoor.humidity > 3":                                   `"35 and indoor.humidity > 3" is not a number`,
	} {
		if _, err := ParseCondition(text, findSensor); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func FuzzParseCondition(f *testing.F) {
	for _, text := range []string{
		"indoor.temperature > 35 for 30s until indoor.temperature < 33", "indoor.age>1m until indoor.age <= 1ms for 1ns", "for for until", "indoor.humidity <= -.5e1 until indoor.humidity > 0",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCondition(text, findSensor)
		if err != nil {
			if c != (Condition{}) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %+v, %v", text, c, err)
			}
			return
		}
		if again, err := ParseCondition(c.String(), findSensor); err != nil || again != c {
			t.Errorf("%q has the text %q, which is %+v, %v", text, c, again, err)
		}
		if c.For < 0 || c.For > maxFor {
			t.Errorf("%q: %v", text, c.For)
		}
		if u := c.Until; u.Text != "" {
			both := c.When.Meets(u.Limit) && u.Meets(u.Limit) || c.When.Meets(c.When.Limit) && u.Meets(c.When.Limit)
			if c.When.OnAge {
				both = c.When.MeetsAge(u.Bound) && u.MeetsAge(u.Bound) || c.When.MeetsAge(c.When.Bound) && u.MeetsAge(c.When.Bound)
			}
			if both || c.When.Above() == u.Above() {
				t.Errorf("%q is raised and cleared by the same value", text)
			}
		}
	})
}

func TestShortDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second: "1s", 90 * time.Second: "1m30s", 5 * time.Minute: "5m", time.Hour: "1h", 100 * time.Minute: "1h40m", 24 * time.Hour: "24h", time.Hour + time.Second: "1h0m1s", 10 * time.Minute: "10m", 1500 * time.Millisecond: "1.5s",
	} {
		if got := short(d); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}
