package config

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sensorgateway/gateway/alarm"
	"sensorgateway/wire"
)

// badAlarms are files whose alarms or webhook must be refused.
var badAlarms = []struct{ name, file, want string }{
	{"alarms are a mapping", oneSensor + "alarms: {name: hot}\n",
		`gateway.yaml:2: alarms: a mapping where a list must be (begin each alarm with "- ")`},
	{"alarm is a word", oneSensor + "alarms: [hot]\n",
		`gateway.yaml:2: alarms[0]: "hot" where keys with values must be (write key: value)`},
	{"nothing of an alarm", oneSensor + "alarms: [{}]\n",
		`gateway.yaml:2: alarms[0]: no name (add one, such as name: hot)
gateway.yaml:2: alarms[0]: no condition (add one, such as condition: indoor.temperature > 35 for 30s)`},
	{"names", oneSensor + `alarms:
  - {name: Hot, condition: indoor.temperature > 35}
  - {name: hot, condition: indoor.temperature > 35}
  - {name: hot, condition: indoor.temperature > 36}
  - {name: storage_failed, condition: indoor.temperature > 36}
`,
		`gateway.yaml:3: alarms[0].name: "Hot" is not a name (a lower-case letter, then up to 31 lower-case letters, digits, - or _)
gateway.yaml:5: alarms[2].name: "hot" is the name of alarms[1] on line 4 too (choose another)
gateway.yaml:6: alarms[3].name: "storage_failed" is the name of an alarm that is always there (choose another)`},
	{"keys", oneSensor + `alarms:
  - {name: hot, condition: indoor.temperature > 35, for: 30s, until: indoor.temperature < 33, when: 1, severty: info}
`,
		`gateway.yaml:3: unknown key "for" in alarms[0] (known: name, condition, severity)
gateway.yaml:3: unknown key "until" in alarms[0] (known: name, condition, severity)
gateway.yaml:3: unknown key "when" in alarms[0] (known: name, condition, severity)
gateway.yaml:3: unknown key "severty" in alarms[0] (did you mean "severity"?)`},
	{"severity", oneSensor + "alarms: [{name: hot, condition: indoor.temperature > 35, severity: high}]\n",
		`gateway.yaml:2: alarms[0].severity: unknown value "high" (write info, warning or critical)`},
	{"conditions", oneSensor + `alarms:
  - {name: b, condition: attic.temperature > 35}
  - {name: c, condition: indoor.pressure > 35}
  - {name: d, condition: indoor.temperature > 35 for 30}
  - {name: e, condition: indoor.temperature > 35 for 30s until indoor.temperature < 36}
  - {name: f, condition: }
  - {name: g, condition: [a]}
`,
		`gateway.yaml:3: alarms[0].condition: no sensor is named "attic" (write indoor)
gateway.yaml:4: alarms[1].condition: unknown quantity "pressure": write temperature, humidity or age
gateway.yaml:5: alarms[2].condition: for: "30" is not a duration such as 30s
gateway.yaml:6: alarms[3].condition: until: "indoor.temperature < 36" would clear the alarm while "indoor.temperature > 35" holds: write a limit on the other side of it
gateway.yaml:7: alarms[4].condition: no value (give it one, or remove the line)
gateway.yaml:8: alarms[5].condition: a list where a single value must be (write condition: value)`},
	{"no sensor at all", "sensors: []\nalarms: [{name: hot, condition: indoor.temperature > 35}]\n",
		`gateway.yaml:1: sensors: an empty list (add sensors: each has a name and a chip, aht20, bme280, ds18b20, hwmon or sht3x)`},
	{"too many", oneSensor + "alarms:\n" + manyAlarms(maxAlarms+1),
		`gateway.yaml:103: alarms: 101 alarms are too many (at most 100)`},
	{"webhook is a word", oneSensor + "webhook: http://a\n",
		`gateway.yaml:2: webhook: "http://a" where keys with values must be (write key: value)`},
	{"nothing of a webhook", oneSensor + "webhook: {}\n",
		`gateway.yaml:2: webhook: no url (add one, such as url: https://alerts.example/gateway)
gateway.yaml:2: webhook: no secret_file (add one, such as secret_file: /etc/gateway/webhook.secret)`},
	{"webhook's address", oneSensor + "webhook: {url: alerts.example, secret_file: secret, token: x}\n",
		`gateway.yaml:2: webhook.url: "alerts.example" is not an http or https address (write it in full, such as https://alerts.example/gateway)
gateway.yaml:2: webhook.secret_file: "secret" is not the full path of a file (begin it at the root, such as /etc/gateway/webhook.secret)
gateway.yaml:2: unknown key "token" in webhook (known: url, secret_file)`},
	{"webhook by another scheme", oneSensor + "webhook: {url: \"ftp://a/\", secret_file: /a}\n",
		`gateway.yaml:2: webhook.url: "ftp://a/" is not an http or https address (write it in full, such as https://alerts.example/gateway)`},
	{"webhook without host", oneSensor + "webhook: {url: \"https:///a\", secret_file: /a}\n",
		`gateway.yaml:2: webhook.url: "https:///a" is not an http or https address (write it in full, such as https://alerts.example/gateway)`},
	{"webhook with a password", oneSensor + "webhook: {url: \"https://a:b@c/\", secret_file: /a}\n",
		`gateway.yaml:2: webhook.url: a user or password in the address is seen by whoever reads the log (the receiver knows the gateway by its signature: remove it)`},
	{"webhook with a fragment", oneSensor + "webhook: {url: \"https://a/#b\", secret_file: /a}\n",
		`gateway.yaml:2: webhook.url: "https://a/#b" has a fragment, which is not sent (remove #b)`},
}

// manyAlarms is as many good alarms.
func manyAlarms(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  - {name: a%d, condition: indoor.temperature > %d}\n", i, i)
	}
	return b.String()
}

func TestAlarmConfig(t *testing.T) {
	c, err := parse(t, `
sensors: [{name: indoor, chip: sht3x}, {name: outdoor, chip: bme280}]
alarms:
  - {name: hot, condition: "outdoor.temperature > 35 for 30s until outdoor.temperature < 33", severity: critical}
  - name: silent
    condition: outdoor.age > 1m
webhook:
  url: https://alerts.example:8443/a?b=c
  secret_file: /etc/secret
`)
	if err != nil {
		t.Fatal(err)
	}
	rule := func(name, severity, text string) alarm.Rule {
		condition, err := alarm.ParseCondition(text, func(name string) (*wire.SensorInfo, bool) { return &wire.SensorInfo{ID: 1}, name == "outdoor" })
		if err != nil {
			t.Fatal(err)
		}
		return alarm.Rule{Name: name, Severity: severity, Condition: condition}
	}
	want := []alarm.Rule{rule("hot", "critical", "outdoor.temperature > 35 for 30s until outdoor.temperature < 33"), rule("silent", "warning", "outdoor.age > 1m")}
	if diff := cmp.Diff(want, c.Alarms); diff != "" || want[0].For != 30*time.Second {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(&Webhook{&url.URL{Scheme: "https", Host: "alerts.example:8443", Path: "/a", RawQuery: "b=c"}, "/etc/secret"}, c.Webhook); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
