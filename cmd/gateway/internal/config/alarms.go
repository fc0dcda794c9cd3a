package config

import (
	"fmt"
	"net/url"
	"slices"

	"sensorgateway/cmd/gateway/internal/address"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/alarm"
	"sensorgateway/gateway/condition"
	"sensorgateway/wire"
)

const maxAlarms = 100

// Webhook is where alarms are posted.
type Webhook struct {
	URL        *url.URL // http or https, with a host
	SecretFile string   // full path
}

// alarms reads the list of alarms.
func (s *section) alarms(sensors []wire.SensorInfo) []alarm.Rule {
	list := s.list("alarms", `begin each alarm with "- "`)
	if list == nil {
		return nil
	}
	if len(list.Content) > maxAlarms {
		s.fault(list.Content[maxAlarms], "alarms", "%d alarms are too many (at most %d)", len(list.Content), maxAlarms)
	}
	var rules []alarm.Rule
	names := map[string]*section{}
	for i, n := range list.Content {
		if entry := s.section(n, fmt.Sprintf("alarms[%d]", i)); entry != nil {
			rules = append(rules, entry.alarm(names, sensors))
		}
	}
	return rules
}

// alarm reads one alarm.
func (s *section) alarm(names map[string]*section, sensors []wire.SensorInfo) (r alarm.Rule) {
	defer s.done()
	s.must("name", "condition")
	if n := s.name("hot", names, &r.Name); n != nil && alarm.BuiltIn(r.Name) {
		s.fault(n, "name", "%s is the name of an alarm that is always there (choose another)", phrase.Quote(r.Name))
	}
	var text string
	switch n := s.text("condition", &text); {
	case n == nil && !s.has("condition"):
		s.problem(s.node, "%s: no condition (add one, such as condition: indoor.temperature > 35 for 30s)", s.path)
	case n != nil:
		var err error
		if r.Condition, err = parseWith(sensors, func(find condition.Find) (alarm.Condition, error) { return alarm.ParseCondition(text, find) }); err != nil {
			s.fault(n, "condition", "%s", phrase.Brief(err))
		}
	}
	r.Severity = alarm.DefaultSeverity
	s.choice("severity", alarm.Severities)
	if n := s.text("severity", &r.Severity); n != nil && !slices.Contains(alarm.Severities, r.Severity) {
		s.fault(n, "severity", "unknown value %s (write %s)", phrase.Quote(r.Severity), phrase.OneOf(alarm.Severities))
	}
	return r
}

// webhook reads where alarms are posted; nil is nowhere.
func (s *section) webhook() *Webhook {
	n := s.value("webhook")
	if n == nil {
		return nil
	}
	w := s.section(n, "webhook")
	if w == nil {
		return nil
	}
	defer w.done()
	w.must("url", "secret_file")
	c := &Webhook{}
	w.receiver(&c.URL)
	w.pemPath("secret_file", "/etc/gateway/webhook.secret", &c.SecretFile)
	return c
}

// receiver reads the address of who takes what is posted.
func (s *section) receiver(into **url.URL) {
	var text string
	n := s.text("url", &text)
	if n == nil {
		if !s.has("url") {
			s.problem(s.node, "%s: no url (add one, such as url: https://alerts.example/gateway)", s.path)
		}
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || !address.IsHost(u.Hostname()) || u.Port() != "" && !address.IsPort(u.Port()):
		s.fault(n, "url", "%s is not an http or https address (write it in full, such as https://alerts.example/gateway)", phrase.Quote(text))
	case u.User != nil:
		s.fault(n, "url", "a user or password in the address is seen by whoever reads the log (the receiver knows the gateway by its signature: remove it)")
	case u.Fragment != "":
		s.fault(n, "url", "%s has a fragment, which is not sent (remove #%s)", phrase.Quote(text), u.Fragment)
	default:
		*into = u
	}
}
