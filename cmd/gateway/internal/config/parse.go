package config

import (
	"path/filepath"
	"slices"
	"strings"

	"sensorgateway/cmd/gateway/internal/logging"
	"sensorgateway/cmd/gateway/internal/phrase"
)

// Parse checks data, the content of the file called name in errors,
// against the chips there are. Any error is a [Error] with everything
// that is wrong.
func Parse(name string, data []byte, chips map[string]Chip) (*Config, error) {
	d := &decoder{file: name}
	c := &Config{Listen: DefaultListen, LogFormat: logging.Formats[0]}
	if root := d.parseYAML(data); root != nil {
		if s := d.section(root, ""); s != nil {
			s.config(c, chips)
		}
	}
	if len(d.problems) > 0 {
		d.problems.sort()
		return nil, d.problems
	}
	return c, nil
}

// config reads the keys of the whole file.
func (s *section) config(c *Config, chips map[string]Chip) {
	defer s.done()

	listen := s.text("listen", &c.Listen)
	c.TLS = s.tls()
	insecure := s.truth("insecure", &c.Insecure)
	switch {
	case listen != nil:
		// What a mistaken insecure or tls was meant to be is not known: no second complaint.
		unclear := insecure == nil && s.has("insecure")
		checked, err := CheckListen(c.Listen, c.Insecure || s.has("tls") || unclear)
		if err != nil {
			s.fault(listen, "listen", "%v", err)
		}
		c.Listen = checked
	case c.TLS != nil:
		c.Listen = DefaultListenTLS
	}
	c.Hosts = s.hosts()
	c.Origins = s.origins()
	c.RemoteCommands = s.remoteCommands()
	if n := s.text("state", &c.State); n != nil && !isFullPath(c.State) {
		s.fault(n, "state", "%s is not the full path of a directory (begin it at the root, such as /var/lib/gateway)", phrase.Quote(c.State))
	}
	c.History = s.history()
	if n := s.text("log_format", &c.LogFormat); n != nil {
		if err := logging.CheckFormat(c.LogFormat); err != nil {
			s.fault(n, "log_format", "%v", err)
		}
	}
	primary := s.text("primary", &c.Primary)
	c.Sensors = s.sensors(chips)

	names := make([]string, len(c.Sensors))
	for i, sensor := range c.Sensors {
		names[i] = sensor.Name
	}
	switch {
	case len(names) == 0: // noted already
	case primary == nil:
		c.Primary = names[0]
	case !slices.Contains(names, c.Primary):
		s.fault(primary, "primary", "no sensor is named %s (write %s)", phrase.Quote(c.Primary), phrase.OneOf(names))
	}

	var uses pinUses
	c.EStopPin = s.estop(&uses)
	c.Motors = s.motors(names, &uses)
	uses.check(c.Sensors)
}

// isFullPath tells whether path is absolute: a service's working directory
// surprises. A slash is taken as the root everywhere, so a file for the Pi can
// be checked on a laptop.
func isFullPath(path string) bool {
	return (filepath.IsAbs(path) || strings.HasPrefix(path, "/")) && len(path) < 4096 &&
		!strings.ContainsFunc(path, func(r rune) bool { return r < ' ' })
}
