package config

import (
	"net/url"
	"time"

	"sensorgateway/cmd/gateway/internal/address"
	"sensorgateway/cmd/gateway/internal/phrase"
)

// HomeAssistant is how the gateway is shown to Home Assistant.
type HomeAssistant struct {
	Broker       *url.URL      // mqtt or mqtts, with a host
	User         string        // "" is nobody
	PasswordFile string        // full path; "" is none
	MaxRun       time.Duration // for which it may start a motor; 0: it may not
}

// homeAssistant reads where Home Assistant's broker is; nil is nowhere.
func (s *section) homeAssistant() *HomeAssistant {
	n := s.value("home_assistant")
	if n == nil {
		return nil
	}
	h := s.section(n, "home_assistant")
	if h == nil {
		return nil
	}
	defer h.done()
	c := &HomeAssistant{}
	h.broker(&c.Broker)
	h.text("user", &c.User)
	if n := h.text("password_file", &c.PasswordFile); n != nil {
		switch {
		case !isFullPath(c.PasswordFile):
			h.fault(n, "password_file", "%s is not the full path of a file (begin it at the root, such as /etc/gateway/mqtt.password)", phrase.Quote(c.PasswordFile))
		case c.User == "":
			h.fault(n, "password_file", "there is a password of nobody (add user:)")
		}
	}
	if n := h.duration("max_run", time.Second, &c.MaxRun); n != nil && (c.MaxRun < time.Second || c.MaxRun > 24*time.Hour) {
		h.fault(n, "max_run", "%s is out of range (1s to 24h)", phrase.Quote(n.Value))
	}
	return c
}

// broker reads the address of an MQTT broker.
func (s *section) broker(into **url.URL) {
	const form = "(write mqtt://host, mqtt://host:port, or mqtts:// for TLS)"
	var text string
	n := s.text("broker", &text)
	if n == nil {
		if !s.has("broker") {
			s.problem(s.node, "%s: no broker (add one, such as broker: mqtt://homeassistant.local)", s.path)
		}
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "mqtt" && u.Scheme != "mqtts" || !address.IsHost(u.Hostname()):
		s.fault(n, "broker", "%s is not the address of an MQTT broker %s", phrase.Quote(text), form)
	case u.User != nil:
		s.fault(n, "broker", "a user or password in the address is seen by whoever reads the log (write user: and password_file:)")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.Port() != "" && !address.IsPort(u.Port()):
		s.fault(n, "broker", "%s has more than a host and a port %s", phrase.Quote(text), form)
	default:
		*into = u
	}
}
