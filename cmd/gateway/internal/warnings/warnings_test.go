package warnings

import (
	"net/http"
	"strings"
	"testing"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/wire"
)

var climate = []wire.Quantity{wire.Temperature, wire.Humidity}

func parse(t *testing.T, text string) (*config.Config, error) {
	t.Helper()
	return config.Parse("gateway.yaml", []byte(text), map[string]config.Chip{
		"sht3x":  {Addresses: []uint16{0x44}, Values: climate},
		"bme280": {Addresses: []uint16{0x76}, Values: climate},
	})
}

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
		w := Of(c, false)
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
		if c, err = parse(t, sensors+fix+"\"]}\n"); err != nil || len(Of(c, false)) > 0 {
			t.Errorf("with the fix %s: %v %q", fix, err, Of(c, false))
		}
	}
}

const oneSensor = "sensors: [{name: indoor, chip: sht3x}]\n"

// What is open to everybody is warned of, and commands are nobody's unless the file
// or a simulation says so.
func TestWhatIsOpen(t *testing.T) {
	for _, tt := range []struct {
		file     string
		warnings int
		local    [2]bool // may a program on this machine command: real motors, simulated ones
		remote   bool
	}{
		{"", 0, [2]bool{false, true}, false},
		{"commands: local\n", 0, [2]bool{true, true}, false},
		{"insecure: true\n", 1, [2]bool{false, true}, false},
		{"commands: unauthenticated\ninsecure: true\n", 2, [2]bool{true, true}, true},
	} {
		c, err := parse(t, oneSensor+tt.file)
		if err != nil {
			t.Fatal(err)
		}
		if w := Of(c, false); len(w) != tt.warnings {
			t.Errorf("%q: warnings %q, want %d", tt.file, w, tt.warnings)
		}
		for i, simulated := range []bool{false, true} {
			for from, want := range map[string]bool{"127.0.0.1:50000": tt.local[i], "192.0.2.7:50000": tt.remote} {
				if err := c.Policy(simulated).MayCommand(&http.Request{RemoteAddr: from}); (err == nil) != want {
					t.Errorf("%q, simulated %t, from %s: %v", tt.file, simulated, from, err)
				}
			}
		}
	}
}

// A warning names a key that has no effect in this file, and what would give it one.
func TestInsecureWithoutEffect(t *testing.T) {
	for _, tt := range []struct{ file, want string }{
		{"insecure: true\n", `no other machine reaches it; fix: write listen: ":8765"`},
		{"insecure: true\nlisten: '[::1]:80'\n", `no other machine reaches it; fix: write listen: ":80"`},
		{"insecure: true\ntls: {cert: /a.crt, key: /a.key}\n", "changes nothing beside tls:"},
		{"insecure: true\nlisten: :80\n", "lets other machines connect without encryption"},
	} {
		c, err := parse(t, oneSensor+tt.file)
		if err != nil {
			t.Fatal(err)
		}
		if w := Of(c, false); len(w) != 1 || !strings.Contains(w[0], tt.want) {
			t.Errorf("%q: %q, want %q", tt.file, w, tt.want)
		}
	}
}
