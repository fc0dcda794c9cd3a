package config

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sensorgateway/gateway/access"
)

// FuzzParseConfig: any error says where; a configuration written out in full
// is the same configuration.
func FuzzParseConfig(f *testing.F) {
	for _, test := range slices.Concat(badConfigs, badSensors, badAccess, badMotors, badAlarms, badCalibrations) {
		f.Add([]byte(test.file))
	}
	reference, err := os.ReadFile(referenceFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(reference)
	f.Add([]byte(uncomment(string(reference))))
	position := regexp.MustCompile(`^gateway\.yaml:([1-9][0-9]*): [^\n]+$`)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse(t, string(data))
		if err != nil {
			problems, ok := errors.AsType[Error](err)
			if !ok || len(problems) == 0 {
				t.Fatalf("got %T (%v), want a Error", err, err)
			}
			last := 1
			for _, p := range problems {
				if !position.MatchString(p.String()) || p.Line < last {
					t.Errorf("%q has no position, or the wrong one", p)
				}
				last = p.Line
			}
			return
		}
		if c.TLS != nil {
			c.TLS.Line = tlsLine
		}
		again, err := parse(t, written(c))
		if err != nil {
			t.Fatalf("%v in\n%s", err, written(c))
		}
		if diff := cmp.Diff(c, again, equalPrefixes); diff != "" {
			t.Errorf("written out and read again (-first +second):\n%s", diff)
		}
	})
}

// tlsLine is where written puts the certificate.
const tlsLine = 1

// written returns the file that says all of c.
func written(c *Config) string {
	var b strings.Builder
	if c.TLS != nil {
		fmt.Fprintf(&b, "tls: {cert: %q, key: %q, hsts: %v", c.TLS.Cert, c.TLS.Key, c.TLS.HSTS)
		if c.TLS.Clients != "" {
			fmt.Fprintf(&b, ", clients: %q", c.TLS.Clients)
		}
		b.WriteString("}\n")
	}
	fmt.Fprintf(&b, "listen: %q\ninsecure: %v\nlog_format: %q\nprimary: %q\n", c.Listen, c.Insecure, c.LogFormat, c.Primary)
	if c.Name != "" {
		fmt.Fprintf(&b, "name: %q\n", c.Name)
	}
	fmt.Fprintf(&b, "diagnostics: %v\n", c.Diagnostics)
	if c.OpenAccess {
		b.WriteString("access: open\n")
	}
	if c.OpenMetrics {
		b.WriteString("metrics: open\n")
	}
	if c.State != "" {
		fmt.Fprintf(&b, "state: %q\n", c.State)
	}
	fmt.Fprintf(&b, "history: {size: %dMiB, age: %v}\n", c.History.Size>>20, c.History.Age)
	fmt.Fprintf(&b, "limits: {connections: %d, connections_per_address: %d, clients: %d, clients_per_address: %d, clients_per_token: %d, reserved: %d, queues: %dMiB}\n",
		c.Limits.Connections, c.Limits.ConnectionsPerAddress, c.Limits.Clients, c.Limits.ClientsPerAddress, c.Limits.ClientsPerToken, c.Limits.Reserved, c.Limits.Queues>>20)
	if c.Commands != access.NobodyCommands {
		fmt.Fprintf(&b, "commands: %s\n", c.Commands)
	}
	if c.URL != nil {
		fmt.Fprintf(&b, "url: %q\n", c.URL)
	}
	if len(c.Proxies) > 0 {
		b.WriteString("proxies:\n")
	}
	for _, p := range c.Proxies {
		fmt.Fprintf(&b, "  - {from: %q, header: %s}\n", p.From, p.Header)
	}
	if h := c.HomeAssistant; h != nil {
		fmt.Fprintf(&b, "home_assistant:\n  broker: %q\n", h.Broker)
		if h.User != "" {
			fmt.Fprintf(&b, "  user: %q\n", h.User)
		}
		if h.PasswordFile != "" {
			fmt.Fprintf(&b, "  password_file: %q\n", h.PasswordFile)
		}
		if h.MaxRun != 0 {
			fmt.Fprintf(&b, "  max_run: %v\n", h.MaxRun)
		}
	}
	if u := c.Uplink; u != nil {
		brokers := make([]string, len(u.Brokers))
		for i, broker := range u.Brokers {
			brokers[i] = strconv.Quote(broker.String())
		}
		keys := []string{"brokers: [" + strings.Join(brokers, ", ") + "]"}
		for key, value := range map[string]string{"site": u.Gateway.Site, "name": u.Gateway.Name, "ca": u.CA, "cert": u.Cert, "key": u.Key, "hub_keys": u.HubKeys, "user": u.User, "password_file": u.PasswordFile} {
			if value != "" {
				keys = append(keys, key+": "+strconv.Quote(value))
			}
		}
		switch {
		case u.Budget >= 1e12:
			keys = append(keys, fmt.Sprintf("budget: %dGB/month", u.Budget/1_000_000_000))
		case u.Budget > 0:
			keys = append(keys, fmt.Sprintf("budget: %dMB/month", u.Budget/1_000_000))
		}
		fmt.Fprintf(&b, "uplink: {%s}\n", strings.Join(keys, ", "))
	}
	if c.EStopPin != "" {
		fmt.Fprintf(&b, "estop: {pin: %q}\n", c.EStopPin)
	}
	list := func(key string, values []string) string {
		for i, v := range values {
			values[i] = fmt.Sprintf("%q", v)
		}
		return fmt.Sprintf("%s: [%s]", key, strings.Join(values, ", "))
	}
	fmt.Fprintln(&b, list("hosts", slices.Clone(c.Hosts)))
	fmt.Fprintln(&b, list("origins", slices.Clone(c.Origins)))
	fmt.Fprintln(&b, list("bus_recovery", slices.Clone(c.BusRecovery)))
	b.WriteString("sensors:\n")
	for i, s := range c.Sensors {
		if s.Further != "" {
			continue
		}
		var also []string
		for _, further := range c.Sensors[i+1:] {
			if further.Further == "" {
				break
			}
			also = append(also, further.Further)
		}
		var power string
		if s.Power != "" {
			power = fmt.Sprintf("power: %q, ", s.Power)
		}
		if s.Group != "" {
			power += fmt.Sprintf("group: %q, ", s.Group)
		}
		if s.Mux != (Mux{}) {
			power += fmt.Sprintf("mux: {address: %d, channel: %d}, ", s.Mux.Address, s.Mux.Channel)
		}
		if s.Median > 0 {
			power += fmt.Sprintf("median: %d, ", s.Median)
		}
		if s.Calibration != nil {
			power += "calibration: {"
			for q, c := range s.Calibration {
				power += fmt.Sprintf("%s: {scale: %s, offset: %s}, ", q, strconv.FormatFloat(c.Scale, 'f', -1, 64), strconv.FormatFloat(c.Offset, 'f', -1, 64))
			}
			power += "}, "
		}
		place := fmt.Sprintf("bus: %q, address: %#x, ", s.Bus, s.Address)
		if s.Class != "" {
			place = ""
			if s.Chip == "hwmon" {
				place = fmt.Sprintf("device: %q, ", s.Device)
			}
			if s.ID != "" {
				place += fmt.Sprintf("id: %q, ", s.ID)
			}
		}
		fmt.Fprintf(&b, "  - {name: %q, chip: %q, %sinterval: %v, stuck_after: %v, %s%s}\n",
			s.Name, s.Chip, place, s.Interval, s.StuckAfter, power, list("also", also))
	}
	if len(c.Motors) > 0 {
		b.WriteString("motors:\n")
	}
	for _, m := range c.Motors {
		fmt.Fprintf(&b, "  - {name: %q, kind: %s, active_low: %v, ramp: %v, dwell: %v, min_pause: %v, max_run: %v",
			m.Name, m.Output.Kind, m.Output.ActiveLow, m.Ramp, m.Dwell, m.MinPause, m.MaxRun)
		for _, key := range pinKeys {
			if pin := *key.of(&m.Output); pin != "" {
				fmt.Fprintf(&b, ", %s: %q", key.name, pin)
			}
		}
		if m.Output.PWMFrequency != 0 {
			fmt.Fprintf(&b, ", pwm_frequency: %d", m.Output.PWMFrequency)
		}
		if m.KeepOnLoss {
			b.WriteString(", on_operator_loss: keep")
		}
		var needs []string
		for _, need := range m.Needs {
			needs = append(needs, need.String())
		}
		fmt.Fprintf(&b, ", %s}\n", list("needs", needs))
	}
	if len(c.Alarms) > 0 {
		b.WriteString("alarms:\n")
	}
	for _, a := range c.Alarms {
		fmt.Fprintf(&b, "  - {name: %q, condition: %q, severity: %s}\n", a.Name, a.Condition, a.Severity)
	}
	if c.Webhook != nil {
		fmt.Fprintf(&b, "webhook: {url: %q, secret_file: %q}\n", c.Webhook.URL, c.Webhook.SecretFile)
	}
	return b.String()
}
