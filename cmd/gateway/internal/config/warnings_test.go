package config

import (
	"strings"
	"testing"
)

// A sensor that measures more rarely than a motor's needs allow lets the motor run for
// moments only: the start says so.
func TestRareReadings(t *testing.T) {
	const sensors = "sensors:\n" +
		"  - {name: fast, chip: sht3x, bus: 1, address: 0x44}\n" +
		"  - {name: slow, chip: bme280, bus: 1, address: 0x76, interval: 1h}\n" +
		"motors:\n" +
		"  - {name: m, kind: on_off, pin: GPIO23, needs: ["
	for needs, want := range map[string]string{
		`"fast.temperature < 60"`:                  "",
		`"slow.age < 2h"`:                          "",
		`"slow.temperature < 60", "slow.age < 2h"`: "",
		`"slow.age <= 1h"`:                         "",
		`"slow.temperature < 60"`:                  `motor m: "slow.temperature < 60" fails 3s after each reading, and the next one comes after 1h0m0s; fix: add "slow.age < 2h0m0s" to its needs`,
		`"slow.age < 30s"`:                         `motor m: "slow.age < 30s" fails 30s after each reading, and the next one comes after 1h0m0s; fix: let it be older, such as "slow.age < 2h0m0s"`,
	} {
		c, err := parse(t, sensors+needs+"]}\n")
		if err != nil {
			t.Fatal(err)
		}
		w := c.Warnings(false)
		if got := strings.Join(w, "\n"); got != want {
			t.Errorf("%s: %q, want %q", needs, got, want)
		}
		if want == "" {
			continue
		}
		_, fix, _ := strings.Cut(want, `fix: `)
		fix = fix[strings.Index(fix, `"`)+1 : strings.LastIndex(fix, `"`)]
		if !strings.Contains(needs, ".age") {
			fix = needs + `, "` + fix
		} else {
			fix = `"` + fix
		}
		if c, err = parse(t, sensors+fix+"\"]}\n"); err != nil || len(c.Warnings(false)) > 0 {
			t.Errorf("with the fix %s: %v %q", fix, err, c.Warnings(false))
		}
	}
}
