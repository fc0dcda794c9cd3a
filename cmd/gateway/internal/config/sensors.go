package config

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/motor"

	"gopkg.in/yaml.v3"
)

// nameForm is what a name in the file looks like. Names become parts of URLs,
// metric labels and JSON, so nothing in them may need escaping anywhere.
var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// sensors reads the list of sensors; none is an error.
func (s *section) sensors(chips map[string]Chip) []Sensor {
	list := s.list("sensors", `begin each sensor with "- "`)
	switch {
	case list == nil && s.has("sensors"): // noted
		return nil
	case list == nil:
		s.problem(s.node, "no sensors (add them: each has a name and a chip, %s)", ChipFix("", chips))
		return nil
	case len(list.Content) == 0:
		s.fault(list, "sensors", "an empty list (add sensors: each has a name and a chip, %s)", ChipFix("", chips))
		return nil
	}
	var sensors []Sensor
	var over *yaml.Node // the first that is too many
	seen := owners{names: map[string]*section{}, places: map[string][]place{}, kernel: map[string]*section{}, powers: map[string]feed{}}
	for i, n := range list.Content {
		if entry := s.section(n, fmt.Sprintf("sensors[%d]", i)); entry != nil {
			sensors = entry.sensor(chips, seen, sensors)
		}
		if len(sensors) > maxSensors && over == nil {
			over = n
		}
	}
	if over != nil {
		s.fault(over, "sensors", "%d sensors are too many (at most %d)", len(sensors), maxSensors)
	}
	for _, f := range seen.powers {
		f.leaveBuses(sensors)
	}
	return sensors
}

// owners are the sensors that have what only one can have.
type owners struct {
	names  map[string]*section
	places map[string][]place  // by bus
	kernel map[string]*section // by class, device and id; without an id by the first two
	powers map[string]feed     // by pin
}

// feed is a pin that feeds chips of a bus.
type feed struct {
	pinUse
	bus string
}

// sensor reads one sensor and appends it to sensors, and with it the further ones of
// its chip.
func (s *section) sensor(chips map[string]Chip, seen owners, sensors []Sensor) []Sensor {
	defer s.done()
	var c Sensor

	s.must("name", "chip")
	s.name("indoor", seen.names, &c.Name)
	s.title("group", maxGroup, &c.Group)
	s.choice("chip", slices.Sorted(maps.Keys(chips)))

	var spec Chip
	known := false
	switch n := s.text("chip", &c.Chip); {
	case n == nil && !s.has("chip"):
		s.problem(s.node, "%s: no chip (add one: chip: %s)", s.path, ChipFix("", chips))
	case n == nil: // noted
	default:
		if spec, known = chips[c.Chip]; !known {
			s.fault(n, "chip", "unknown chip %s (write %s)", phrase.Quote(c.Chip), ChipFix(c.Chip, chips))
		}
	}

	spec = s.location(&c, spec, known, seen)
	s.interval(c.Chip, spec, &c.Interval)
	s.stuckAfter(c.Interval, spec, &c.StuckAfter)
	if c.Class == "" {
		s.power(c.Bus, seen.powers, &c.Power)
	}
	first := len(sensors)
	sensors = s.also(c, spec, seen.names, append(sensors, c))
	s.calibration(spec, sensors[first:])
	return sensors
}

// onBusOnly are the keys of chips on I²C buses.
var onBusOnly = []string{"bus", "mux", "address", "power"}

// location reads where the chip is, and returns what it is there: on an I²C bus, or
// whatever the kernel has.
func (s *section) location(c *Sensor, spec Chip, known bool, seen owners) Chip {
	if known && spec.Class != "" {
		for _, key := range onBusOnly {
			s.stray(key, fmt.Sprintf("%s is on no I²C bus, the kernel reads it", c.Chip))
		}
		return s.inKernel(c, spec, seen.kernel)
	}
	c.Bus = defaultBus
	bus := s.bus(&c.Bus)
	mux := s.mux(&c.Mux)
	address := s.address(c.Chip, spec, &c.Address)
	if known && (bus != nil || !s.has("bus")) && (mux != nil || !s.has("mux")) && (address != nil || !s.has("address")) {
		s.takePlace(place{s, mux, c.Mux, c.Address}, c.Bus, spec, seen.places)
	}
	if known {
		for _, key := range []string{"device", "id"} {
			s.stray(key, fmt.Sprintf("%s is on an I²C bus, the kernel does not read it", c.Chip))
		}
	} else { // this is not known of an unknown chip
		s.value("device")
		s.value("id")
	}
	return spec
}

// also reads which further quantities of a chip are sensors too, and appends these.
func (s *section) also(own Sensor, spec Chip, names map[string]*section, sensors []Sensor) []Sensor {
	var choice, taken []string
	for _, q := range spec.Also {
		choice = append(choice, q.Name)
	}
	for at, n := range s.texts("also") {
		further := own
		further.Name, further.Further = own.Name+"_"+n.Value, n.Value
		switch {
		case spec.Values == nil: // this is not known of an unknown chip
			continue
		case len(choice) == 0:
			s.fault(n, at, "%s measures nothing else (remove the line)", own.Chip)
			continue
		case !slices.Contains(choice, n.Value):
			s.fault(n, at, "%s is no further quantity of %s (write %s)", phrase.Quote(n.Value), own.Chip, phrase.OneOf(choice))
			continue
		case slices.Contains(taken, n.Value):
			s.fault(n, at, "%s is there already (remove one)", phrase.Quote(n.Value))
			continue
		case !nameForm.MatchString(further.Name):
			s.fault(n, at, "the name of this sensor would be %s, of at most 32 characters (shorten the name %s)", phrase.Quote(further.Name), phrase.Quote(own.Name))
			continue
		case names[further.Name] != nil:
			s.fault(n, at, "the name of this sensor would be %s, as is that of %s (choose another name there)", phrase.Quote(further.Name), names[further.Name].where("name"))
			continue
		}
		names[further.Name] = s
		taken = append(taken, n.Value)
		sensors = append(sensors, further)
	}
	return sensors
}

// name reads a name that no other has; example is a name to propose.
func (s *section) name(example string, names map[string]*section, into *string) *yaml.Node {
	n := s.text("name", into)
	s.draw("name", func(p *Schema) { p.Pattern = nameForm.String() })
	switch {
	case n == nil && !s.has("name"):
		s.problem(s.node, "%s: no name (add one, such as name: %s)", s.path, example)
	case n == nil: // noted
	case !nameForm.MatchString(*into):
		s.fault(n, "name", "%s is not a name (a lower-case letter, then up to 31 lower-case letters, digits, - or _)", phrase.Quote(*into))
	case names[*into] != nil:
		s.fault(n, "name", "%s is the name of %s too (choose another)", phrase.Quote(*into), names[*into].where("name"))
	default:
		names[*into] = s
	}
	return n
}

// where names the section and the line on which its key is.
func (s *section) where(key string) string {
	n := s.values[key]
	if n == nil {
		n = s.node
	}
	return fmt.Sprintf("%s on line %d", s.path, n.Line)
}

// address reads the address of a chip with the given spec, which has no
// addresses if the chip is unknown.
func (s *section) address(chip string, spec Chip, into *uint16) *yaml.Node {
	fix := make([]string, len(spec.Addresses))
	for i, a := range spec.Addresses {
		fix[i] = fmt.Sprintf("0x%02x", a)
	}
	if len(spec.Addresses) > 0 {
		*into = spec.Addresses[0]
	}
	var v int
	n := s.number("address", 0xFF, "write "+cmp.Or(phrase.OneOf(fix), "it with 0x in front"), &v)
	if n == nil {
		return nil
	}
	if spec.Addresses != nil && !slices.Contains(spec.Addresses, uint16(v)) {
		// 44 is how i2cdetect prints 0x44, and 0x88 is what it becomes with the
		// direction bit, as some datasheets print it.
		for i, a := range spec.Addresses {
			if n.Value == fix[i][2:] || uint16(v)>>1 == a {
				fix = fix[i : i+1]
				break
			}
		}
		s.fault(n, "address", "%s is no address of %s (write %s)", phrase.Quote(n.Value), chip, phrase.OneOf(fix))
		return nil
	}
	*into = uint16(v)
	return n
}

// usbPortForm is how the kernel calls the port of a USB adapter, and busNameForm
// what a bus can be called otherwise: an adapter's name or a path.
var (
	usbPortForm = regexp.MustCompile(`^[0-9]+-[0-9]+(\.[0-9]+)*$`)
	busNameForm = regexp.MustCompile(`^(/dev/[^/\s]|[A-Za-z])[\x20-\x7e]{0,79}$`)
)

// bus reads which bus it is.
func (s *section) bus(into *string) *yaml.Node {
	var text string
	n := s.text("bus", &text)
	if n == nil {
		return nil
	}
	v, number := phrase.ParseNumber(strings.TrimPrefix(text, "/dev/i2c-")) // each bus has one name here, or two chips could have the same place
	switch {
	case number && v <= maxBus:
		text = strconv.Itoa(v)
	case strings.HasPrefix(text, "i2c-") && bareNumberForm.MatchString(text[len("i2c-"):]):
		s.fault(n, "bus", "%s is not a bus (write %s)", phrase.Quote(text), text[len("i2c-"):])
		return nil
	case usbPortForm.MatchString(text), busNameForm.MatchString(text):
	case strings.ContainsAny(text[:min(1, len(text))], "0123456789-+."):
		s.fault(n, "bus", "%s is not a whole number from 0 to %d (write N for /dev/i2c-N, mostly 1)", phrase.Quote(text), maxBus)
		return nil
	default:
		s.fault(n, "bus", "%s is not a bus (write N for /dev/i2c-N, mostly 1; or a path in /dev, a USB port such as 1-1.2, or an adapter's name)", phrase.Quote(text))
		return nil
	}
	*into = text
	return n
}

// power reads the pin that feeds the chip, and others of its bus too if they name it.
func (s *section) power(bus string, feeds map[string]feed, into *string) {
	var uses pinUses
	n := s.pin("power", &uses, into)
	if n == nil {
		return
	}
	// The rules for the pin of a chip's power are those for the pin of a relay.
	for _, err := range keyErrors(motor.Spec{Kind: motor.OnOff, Pin: *into}.Validate()) {
		s.fault(n, "power", "%s", phrase.Brief(err.Err))
		return
	}
	*into = headerPin(uses[0].pin)
	first, taken := feeds[*into]
	switch {
	case !taken:
		feeds[*into] = feed{uses[0], bus}
	case first.bus != bus:
		s.fault(n, "power", "%s feeds sensors of bus %s too (a pin feeds those of one bus)", phrase.Quote(n.Value), first.bus)
	}
}

// interval reads the time from one measurement to the next.
func (s *section) interval(chip string, spec Chip, into *time.Duration) {
	*into = max(defaultInterval, spec.MinInterval)
	v := *into
	n := s.duration("interval", max(spec.MinInterval, time.Millisecond), &v)
	switch {
	case n == nil: // the default, or noted
	case spec.Class != "" && v < spec.MinInterval:
		s.fault(n, "interval", "%s is too short: the kernel has a new value of %s every %v at best (write %v or more)", phrase.Quote(n.Value), cmp.Or(spec.Device, chip), spec.MinInterval, spec.MinInterval)
	case spec.MinInterval > 0 && v < spec.MinInterval:
		s.fault(n, "interval", "%s is too short: one measurement of %s takes up to %v (write %v or more)", phrase.Quote(n.Value), chip, spec.MinInterval, spec.MinInterval)
	case v < time.Millisecond || v > maxInterval:
		s.fault(n, "interval", "%s is out of range (1ms to 24h)", phrase.Quote(n.Value))
	case v%time.Millisecond != 0:
		s.fault(n, "interval", "%s is not a whole number of milliseconds (write %v)", phrase.Quote(n.Value), v.Round(time.Millisecond))
	default:
		*into = v
	}
}

// stuckAfter reads how long a sensor may give the same bits. By default, a slow sensor has
// longer, since two equal readings in a row prove nothing, and a sensor with wide steps is
// never stuck, since even many equal readings prove nothing.
func (s *section) stuckAfter(interval time.Duration, spec Chip, into *time.Duration) {
	*into = max(defaultStuckAfter, stuckIntervals*interval)
	if spec.Coarse {
		*into = 0
	}
	v := *into
	n := s.duration("stuck_after", 10*time.Second, &v)
	switch {
	case n == nil: // the default, or noted
	case v != 0 && v < 2*interval:
		s.fault(n, "stuck_after", "%s is less than two intervals of %v (write at least %v, or 0s for never)", phrase.Quote(n.Value), interval, 2*interval)
	case v > maxStuckAfter:
		s.fault(n, "stuck_after", "%s is too long (at most 240h, or 0s for never)", phrase.Quote(n.Value))
	default:
		*into = v
	}
}

// ChipFix returns what to write for a chip that somebody calls called: its name in the file,
// if it is sold under that name, else all names.
func ChipFix(called string, chips map[string]Chip) string {
	called = strings.ReplaceAll(strings.ToLower(called), "-", "")
	for name, c := range chips {
		if name == called || slices.Contains(c.Sold, called) {
			return name
		}
	}
	return phrase.AnyOf(slices.Sorted(maps.Keys(chips)))
}
