package config

import (
	"net/url"

	"gopkg.in/yaml.v3"

	"sensorgateway/cmd/gateway/internal/address"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/fleet"
)

// Uplink is how the gateway is connected with the hubs of its fleet. What is empty is as
// the gateway's membership in the fleet says, which gateway enroll makes.
type Uplink struct {
	Brokers      []*url.URL    // mqtt or mqtts, with a host; to be tried in turn
	Gateway      fleet.Gateway // both its names, or none
	CA           string        // full paths of PEM files: the authority of the brokers,
	Cert, Key    string        // and the gateway's certificate and key, both or none
	HubKeys      string        // full path of the keys with which hubs sign orders
	User         string        // "" is nobody, but by certificate
	PasswordFile string        // full path; "" is none
	Budget       int64         // bytes a month; 0: no limit
}

// uplink reads how the gateway is connected with its fleet; nil is not at all.
func (s *section) uplink() *Uplink {
	n := s.value("uplink")
	if n == nil {
		return nil
	}
	u := s.section(n, "uplink")
	if u == nil {
		return nil
	}
	defer u.done()
	c := &Uplink{}
	for at, n := range u.texts("brokers") {
		broker, err := address.ParseBroker(n.Value, brokerUser)
		if err != nil {
			u.fault(n, at, "%v", err)
			continue
		}
		c.Brokers = append(c.Brokers, broker)
	}
	if n := u.values["brokers"]; n != nil && n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		u.fault(n, "brokers", "the list is empty (name a broker, such as [mqtts://broker.example], or leave brokers out: then those of the membership are tried)")
	}
	u.fleetName("site", &c.Gateway.Site)
	u.fleetName("name", &c.Gateway.Name)
	u.together("site", "name")
	if u.has("site") && !u.has("brokers") {
		u.problem(u.node, "%s: no brokers (add them, such as brokers: [mqtts://broker.example])", u.path)
	}
	u.fullPath("ca", "/etc/gateway/fleet-ca.crt", &c.CA)
	u.fullPath("cert", "/etc/gateway/fleet.crt", &c.Cert)
	u.fullPath("key", "/etc/gateway/fleet.key", &c.Key)
	u.together("cert", "key")
	u.fullPath("hub_keys", "/etc/gateway/hubs.keys", &c.HubKeys)
	u.credentials(&c.User, &c.PasswordFile)
	var budget string
	if n := u.text("budget", &budget); n != nil {
		var err error
		if c.Budget, err = phrase.ParseBudget(budget); err != nil {
			u.fault(n, "budget", "%v", err)
		}
	}
	return c
}

func (s *section) fleetName(key string, into *string) {
	if n := s.text(key, into); n != nil {
		if err := fleet.CheckName(*into); err != nil {
			s.fault(n, key, "%v", err)
		}
	}
}

// together notes a key that is there without the other one.
func (s *section) together(a, b string) {
	if s.has(b) {
		a, b = b, a
	}
	if s.has(a) && !s.has(b) {
		s.problem(s.node, "%s: %s without %s (add it, or leave both out)", s.path, a, b)
	}
}
