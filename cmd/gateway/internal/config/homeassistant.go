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
	h.credentials(&c.User, &c.PasswordFile)
	if n := h.duration("max_run", time.Second, &c.MaxRun); n != nil && (c.MaxRun < time.Second || c.MaxRun > 24*time.Hour) {
		h.fault(n, "max_run", "%s is out of range (1s to 24h)", phrase.Quote(n.Value))
	}
	return c
}

// brokerUser is where the user at a broker belongs, and the password.
const brokerUser = "write user: and password_file:"

// credentials read who the gateway is at a broker.
func (s *section) credentials(user, passwordFile *string) {
	s.text("user", user)
	if n := s.fullPath("password_file", "/etc/gateway/mqtt.password", passwordFile); n != nil && *user == "" {
		s.fault(n, "password_file", "password_file needs a user (add user:)")
	}
}

// broker reads the address of an MQTT broker.
func (s *section) broker(into **url.URL) {
	var text string
	n := s.text("broker", &text)
	if n == nil {
		if !s.has("broker") {
			s.problem(s.node, "%s: no broker (add one, such as broker: mqtt://homeassistant.local)", s.path)
		}
		return
	}
	var err error
	if *into, err = address.ParseBroker(text, brokerUser); err != nil {
		s.fault(n, "broker", "%v", err)
	}
}
