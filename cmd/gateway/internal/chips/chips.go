// Package chips has the chips as a configuration knows them. It refuses to know how they
// are read.
package chips

import (
	"strings"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/sensors"
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
	chip := config.Chip{Addresses: c.Addresses, MinInterval: c.MinInterval, Values: c.Quantities(""), Coarse: c.Measures[0].Coarse}
	for _, m := range c.Also {
		chip.Also = append(chip.Also, m.Quantity)
	}
	if c.Kernel != nil {
		chip.Class, chip.Device = string(c.Kernel.Class), c.Kernel.Name
	}
	return chip
}

// SensorName makes a sensor's name of a device's.
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
