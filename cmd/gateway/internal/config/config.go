// Package config turns the YAML file into a checked [Config]: whatever holds one
// need not check again, and what is wrong with a file is said all at once, with
// file, line, key and fix. It is the only place that knows YAML.
//
// It refuses to know which chips there are, which it is given, and opens nothing
// that the file names.
package config

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"sensorgateway/cmd/gateway/internal/address"
	"sensorgateway/cmd/gateway/internal/logging"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway"
	"sensorgateway/gateway/access"
	"sensorgateway/gateway/alarm"
	"sensorgateway/gateway/condition"
	"sensorgateway/gateway/limit"
	"sensorgateway/gateway/motor"
	"sensorgateway/sensors/bus"
	"sensorgateway/wire"
)

// Config is a checked configuration: whatever holds one need not check again.
type Config struct {
	File     string // the path it was read from; "" if it came from no file
	Name     string // of the gateway, for people; "" is that of the machine
	Listen   string // host:port as [address.CheckListen] returns it
	TLS      *TLS
	Insecure bool     // may be reached from other machines without TLS
	Hosts    []string // further names and addresses of this machine, as [address.ParseHost] returns them
	Origins  []string // of further pages and programs that may connect, as [access.ParseOrigin] returns them
	URL      *url.URL // by which browsers reach it through a proxy, with a path that ends in a slash; nil: by its own
	Proxies  []access.Proxy
	Commands access.Commands
	// OpenAccess lets whoever connects see readings, OpenMetrics only /metrics; else it
	// takes a token once there is one, or from another machine.
	OpenAccess, OpenMetrics bool

	Diagnostics   bool // /echo and /relay are there
	Limits        limit.Limits
	State         string // directory of what must survive a restart; "" is none
	History       History
	LogFormat     string // one of [logging.Formats]
	Primary       string // name of the sensor that readings.v1 shows on "/"
	Sensors       []Sensor
	BusRecovery   []string       // further steps against a bus on which nobody answers, [Clocks] and [Rebind]
	HomeAssistant *HomeAssistant // nil: it is not shown there
	Uplink        *Uplink        // nil: it is in no fleet
	EStopPin      string         // of the normally closed e-stop input; "" is none
	Motors        []Motor
	Alarms        []alarm.Rule
	Webhook       *Webhook // nil: alarms are not posted
}

// Sensor is one chip on one bus, or a further quantity of the chip of the sensor
// before it.
type Sensor struct {
	Name       string // matches [nameForm], so it needs no escaping in a URL, a metric label or JSON
	Group      string // of sensors that are shown together, for people; "" is none
	Chip       string // a key of the chip table
	Bus        string // the N of /dev/i2c-N, or what else names a bus ([bus.Name]); "" if the kernel reads the chip
	Mux        Mux    // that the chip is behind, on that bus; its zero value is none
	Address    uint16 // 7 bits
	Class      string // the part of the kernel that reads the chip, such as hwmon; "" for one on a bus
	Device     string // what the kernel calls it
	ID         string // which of the devices with that name; "": there is only one
	Interval   time.Duration
	StuckAfter time.Duration // unchanged in every bit for so long, a reading counts as stuck; 0 is never
	Power      string        // the pin that feeds the chip; "" is none
	Further    string        // the further quantity that it is; "" for a chip's own sensor
	Median     int           // its values are the median of so many ticks; 0: each tick's own
	// Calibration corrects what the chip's sensors measure, by quantity; nil: nothing is.
	Calibration map[string]wire.Calibration
}

// Mux is a channel of a multiplexer.
type Mux struct {
	Address uint16 `json:"address"` // 7 bits
	Channel uint8  `json:"channel"`
}

// Wires says on which wires the chip is, for people: "bus 1", or "bus 1, channel 3 of
// multiplexer 0x70".
func (s *Sensor) Wires() string {
	if s.Mux == (Mux{}) {
		return bus.Name(s.Bus)
	}
	return bus.ChannelName(s.Bus, s.Mux.Address, s.Mux.Channel)
}

// Place says where the chip is, for people.
func (s Sensor) Place() string {
	switch {
	case s.Class == "":
		return fmt.Sprintf("%s 0x%02x", s.Wires(), s.Address)
	case s.ID != "":
		return s.Class + " " + s.ID
	}
	return s.Class + " " + s.Device
}

// Motor is one motor and what it is connected to. Its zero times ask for nothing.
type Motor struct {
	Name       string // matches [nameForm]; not "all"
	Output     motor.Spec
	Ramp       time.Duration // from speed 0 to 1
	Dwell      time.Duration // at 0 before it turns the other way
	MinPause   time.Duration // off before it is on again
	MaxRun     time.Duration
	KeepOnLoss bool // runs on when the operator who started it is lost
	Needs      []condition.Condition
}

// Chip is what the configuration must know about a chip to refuse what
// cannot work.
type Chip struct {
	Sold        []string        // other names that it is sold under: sht31 for the sht3x
	Addresses   []uint16        // those it can have, the usual one first
	MinInterval time.Duration   // between two measurements
	Values      []wire.Quantity // that its sensor measures
	Also        []wire.Quantity // further ones, of which each can be a sensor
	Coarse      bool            // its values may stay the same for long
	Class       string          // the part of the kernel that reads it, such as hwmon; "": it is on an I²C bus
	Device      string          // what the kernel calls it; "" if Named tells
	// Named returns the chip for a name that the kernel gives a device; nil: there is only one.
	Named func(device string) Chip
}

// as returns the chip that a configured sensor is.
func (c Chip) as(device string) Chip {
	if c.Named == nil {
		return c
	}
	return c.Named(device)
}

// Quantities returns what a sensor measures: the further quantity, or the chip's own ones.
func (c Chip) Quantities(further string) []wire.Quantity {
	for i, q := range c.Also {
		if q.Name == further {
			return c.Also[i : i+1]
		}
	}
	return c.Values
}

// DefaultFile is where a service has its configuration.
const DefaultFile = "/etc/gateway/gateway.yaml"

// What holds where the file is silent.
const (
	defaultBus        = "1"
	defaultInterval   = 100 * time.Millisecond
	defaultStuckAfter = 60 * time.Second
)

// Limits of what a file can ask for.
const (
	maxSensors  = gateway.MaxSensors
	maxMotors   = 32
	maxBus      = 255
	maxInterval = 24 * time.Hour
	// A sensor gets ten measurements by default before it counts as stuck.
	stuckIntervals = 10
	maxStuckAfter  = stuckIntervals * maxInterval
)

// Parse checks data, the content of the file called name in errors,
// against the chips there are. An error is an [Error] with everything
// that is wrong.
func Parse(name string, data []byte, chips map[string]Chip) (*Config, error) {
	d := &decoder{file: name}
	c := &Config{Listen: address.DefaultListen, LogFormat: logging.Formats[0]}
	if root := d.parse(data); root != nil {
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

	s.must("sensors")
	s.title("name", maxName, &c.Name)
	listen := s.text("listen", &c.Listen)
	c.TLS = s.tls()
	insecure := s.truth("insecure", &c.Insecure)
	switch {
	case listen != nil:
		// What was meant by an insecure or tls that is itself wrong is not known: no second error.
		unclear := insecure == nil && s.has("insecure")
		checked, err := address.CheckListen(c.Listen, c.Insecure || s.has("tls") || unclear)
		if err != nil {
			s.fault(listen, "listen", "%v", err)
		}
		c.Listen = checked
	case c.TLS != nil:
		c.Listen = address.DefaultListenTLS
	}
	c.Hosts = s.hosts()
	c.Origins = s.origins()
	c.URL = s.outside()
	c.Proxies = s.proxies()
	c.Commands = s.commands()
	s.truth("diagnostics", &c.Diagnostics)
	c.OpenAccess, c.OpenMetrics = s.open("access"), s.open("metrics")
	c.Limits = s.limits()
	if n := s.text("state", &c.State); n != nil && !isFullPath(c.State) {
		s.fault(n, "state", "%s is not the full path of a directory (begin it at the root, such as /var/lib/gateway)", phrase.Quote(c.State))
	}
	c.History = s.history()
	s.choice("log_format", logging.Formats)
	if n := s.text("log_format", &c.LogFormat); n != nil {
		if err := logging.CheckFormat(c.LogFormat); err != nil {
			s.fault(n, "log_format", "%v", err)
		}
	}
	primary := s.text("primary", &c.Primary)
	c.Sensors = s.sensors(chips)
	c.BusRecovery = s.busRecovery()

	sensors := make([]wire.SensorInfo, len(c.Sensors))
	for i, sensor := range c.Sensors {
		sensors[i] = wire.SensorInfo{ID: uint16(i), Name: sensor.Name, Values: chips[sensor.Chip].as(sensor.Device).Quantities(sensor.Further)}
	}
	s.primary(primary, sensors, &c.Primary)

	var uses pinUses
	c.EStopPin = s.estop(&uses)
	c.Motors = s.motors(sensors, &uses)
	c.Alarms = s.alarms(sensors)
	c.Webhook = s.webhook()
	c.HomeAssistant = s.homeAssistant()
	c.Uplink = s.uplink()
	uses.check(c.Sensors)
}

// primary checks the name of the primary sensor, which is the value of n: readings.v1
// must be able to carry that sensor. If n is nil, primary sets the first such sensor.
func (s *section) primary(n *yaml.Node, sensors []wire.SensorInfo, name *string) {
	fit := slices.DeleteFunc(slices.Clone(sensors), func(info wire.SensorInfo) bool { return !info.InV1() })
	choice := fit
	if len(fit) == 0 {
		choice = sensors
	}
	known := slices.Contains(sensorNames(sensors), *name)
	switch {
	case len(sensors) == 0: // noted already
	case n == nil:
		*name = choice[0].Name
	case !known:
		s.fault(n, "primary", "no sensor is named %s (write %s)", phrase.Quote(*name), phrase.OneOf(sensorNames(choice)))
	case !slices.Contains(sensorNames(fit), *name):
		fix := "remove the line"
		if len(fit) > 0 {
			fix = "write " + phrase.OneOf(sensorNames(fit))
		}
		s.fault(n, "primary", "%s does not measure temperature, which %s needs (%s)", phrase.Quote(*name), wire.ReadingsV1, fix)
	}
}

func sensorNames(sensors []wire.SensorInfo) (names []string) {
	for _, s := range sensors {
		names = append(names, s.Name)
	}
	return names
}

// isFullPath reports whether path is absolute: a service's working directory is
// not where people expect it. A slash is taken as the root everywhere, so a file for the Pi can
// be checked on a laptop.
func isFullPath(path string) bool {
	return (filepath.IsAbs(path) || strings.HasPrefix(path, "/")) && len(path) < 4096 &&
		!strings.ContainsFunc(path, func(r rune) bool { return r < ' ' })
}

// How many characters the names may have that only people read: the gateway's, and a
// group's.
const (
	maxName  = 64
	maxGroup = 32
)

// title reads a name that only people read, with at most that many characters.
func (s *section) title(key string, most int, into *string) {
	n := s.text(key, into)
	if n == nil {
		return
	}
	if strings.TrimSpace(n.Value) == "" || utf8.RuneCountInString(n.Value) > most || strings.ContainsFunc(n.Value, func(r rune) bool { return !unicode.IsPrint(r) }) {
		s.fault(n, key, "%s is not 1 to %d printable characters", phrase.Quote(n.Value), most)
	}
}
