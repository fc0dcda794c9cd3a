// Package chips has the chips as a configuration knows them. It refuses to know how they
// are read.
package chips

import (
	"strings"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/sensors"
	"sensorgateway/wire"
)

// Table returns them by their names.
func Table() map[string]config.Chip {
	chips := map[string]config.Chip{}
	for name, c := range sensors.Chips() {
		chips[name] = of(c)
		if sensors.NamesDevice(name) {
			chip := chips[name]
			chip.Named = func(device string) config.Chip {
				named, _ := sensors.Lookup(name, device)
				return of(named)
			}
			chips[name] = chip
		}
	}
	return chips
}

func of(c sensors.Chip) config.Chip {
	chip := config.Chip{Sold: c.Sold, Addresses: c.Addresses, MinInterval: c.MinInterval, Values: c.Quantities(""), Coarse: c.Measures[0].Coarse}
	for _, m := range c.Also {
		chip.Also = append(chip.Also, m.Quantity)
	}
	if c.Kernel != nil {
		chip.Class, chip.Device = string(c.Kernel.Class), c.Kernel.Name
	}
	return chip
}

// Infos returns the configured sensors as clients see them, by their numbers; what is not
// configured, such as the next numbers, is not in it.
func Infos(cfg *config.Config) (infos []wire.SensorInfo) {
	for i, c := range cfg.Sensors {
		chip, _ := sensors.Lookup(c.Chip, c.Device) // it is checked
		s := wire.SensorInfo{
			ID: uint16(i), Name: c.Name, Group: c.Group, Model: chip.Model, IntervalMS: c.Interval.Milliseconds(),
			Values: chip.Quantities(c.Further), Primary: c.Name == cfg.Primary, Median: c.Median,
		}
		for _, q := range s.Values {
			if k, ok := c.Calibration[q.Name]; ok {
				if s.Calibration == nil {
					s.Calibration = map[string]wire.Calibration{}
				}
				s.Calibration[q.Name] = k
			}
		}
		infos = append(infos, s)
	}
	return infos
}

// SensorName returns a sensor's name that is made from a device's name.
func SensorName(device string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}, strings.ToLower(device))
	if name[0] < 'a' {
		name = "sensor_" + name
	}
	return name[:min(len(name), 28)]
}
