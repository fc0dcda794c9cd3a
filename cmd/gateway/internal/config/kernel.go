package config

import (
	"regexp"

	"sensorgateway/cmd/gateway/internal/phrase"
)

// The forms of the kernel's names of devices, and of their ids: sht3x, cpu_thermal;
// 28-0123456789ab, 1-0044, dht11@4.
var (
	deviceForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.,-]{0,63}$`)
	idForm     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.,:@-]{0,63}$`)
	w1Form     = regexp.MustCompile(`^28-[0-9a-f]{12}$`)
)

// w1 is the class of chips on 1-wire buses, whose ids have the form w1Form.
const w1 = "w1"

// stray refuses a key that the chip has no use for.
func (s *section) stray(key, why string) {
	if n := s.value(key); n != nil {
		s.fault(n, key, "%s (remove the line)", why)
	}
}

// inKernel reads which of the kernel's devices a sensor is, and returns the chip that this
// is.
func (s *section) inKernel(c *Sensor, spec Chip, taken map[string]*section) Chip {
	c.Class, c.Device = spec.Class, spec.Device
	if spec.Named == nil {
		s.stray("device", c.Chip+" is one device")
	} else {
		n := s.text("device", &c.Device)
		s.draw("device", func(p *Schema) { p.Pattern = deviceForm.String() })
		switch {
		case n == nil && !s.has("device"):
			s.problem(s.node, "%s: no device (add one, such as device: %s; gateway scan lists them)", s.path, map[string]string{"hwmon": "sht3x", "iio": "bme280"}[c.Chip])
		case n == nil: // noted
		case !deviceForm.MatchString(c.Device):
			s.fault(n, "device", "%s is not a device (write the name that gateway scan shows, such as cpu_thermal)", phrase.Quote(c.Device))
		default:
			spec = spec.as(c.Device)
		}
	}
	s.deviceID(c, taken)
	return spec
}

// deviceID reads which of the devices with the same name the sensor is. Without an id it is
// the only one.
func (s *section) deviceID(c *Sensor, taken map[string]*section) {
	n := s.text("id", &c.ID)
	s.draw("id", func(p *Schema) { p.Pattern = idForm.String() })
	switch {
	case n == nil && s.has("id"): // noted
		return
	case n != nil && c.Class == w1 && !w1Form.MatchString(c.ID):
		s.fault(n, "id", "%s is no id of %s (write it as 28-0123456789ab: ls /sys/bus/w1/devices lists them; one that begins otherwise is chip: hwmon, device: w1_slave_temp)", phrase.Quote(c.ID), c.Chip)
		return
	case n != nil && !idForm.MatchString(c.ID):
		s.fault(n, "id", "%s is no id (write what gateway scan shows, such as 1-0044)", phrase.Quote(c.ID))
		return
	}
	if n == nil {
		n = s.node
	}
	all := c.Class + " " + c.Device
	other := taken[all+" "+c.ID]
	if other == nil && c.ID != "" {
		other = taken[all+" "] // the only one
	}
	if other == nil && c.ID == "" {
		other = taken[all]
	}
	switch {
	case other == nil:
	case c.ID != "" && other.has("id"):
		s.fault(n, "id", "%s is the id of %s too (remove one)", phrase.Quote(c.ID), other.where("id"))
	default:
		s.fault(n, "id", "there are several of %s, and %s is one of them: each needs an id (gateway scan lists them)", c.Chip, other.where("id"))
	}
	taken[all+" "+c.ID], taken[all] = s, s
}
