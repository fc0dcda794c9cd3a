package sensors

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors/kernel"
	"sensorgateway/wire"
)

// The names of chips that stand for any device of a class; its device name says which.
const (
	hwmon = "hwmon"
	iio   = "iio"
)

// kernelChips are what the kernel reads. Intervals are longer than the time for which its
// drivers give the same value again.
func kernelChips() map[string]Chip {
	return map[string]Chip{
		// Datasheet DS18B20, tables 1 and 2: at 12 bits, in steps of 0.0625 °C. On a line
		// without power of its own the kernel has one chip convert after the other.
		"ds18b20": ofKernel("DS18B20", kernel.W1, "ds18b20", "dtoverlay=w1-gpio", time.Second, 5*time.Second, coarse(celsius(-55, 125))),
		// Datasheet AM2302: in steps of 0.1. Linux, drivers/iio/humidity/dht11.c: a value is
		// given again for 2 s, and the driver waits 1 s for a chip that does not answer.
		"dht22": ofKernel("DHT22", kernel.IIO, "dht11", "dtoverlay=dht11,gpiopin=4", 2100*time.Millisecond, 3*time.Second, coarse(climate(-40, 80)...)),
		hwmon:   ofDevice(hwmon, kernel.Hwmon, ""),
		iio:     ofDevice(iio, kernel.IIO, ""),
	}
}

// drivers has the devices of hwmon and IIO of which more is known than that they measure
// temperature, by the names that their drivers give (Linux 6.1, drivers/hwmon and drivers/iio).
var drivers = map[string]map[string]struct {
	model    string
	overlay  string
	least    time.Duration
	humidity bool
	pressure bool
}{
	hwmon: {
		"sht3x": {"SHT3x", "dtoverlay=i2c-sensor,sht3x", 100 * time.Millisecond, true, false},
		"sht4x": {"SHT4x", "dtoverlay=i2c-sensor,sht4x", 2100 * time.Millisecond, true, false}, // cached for 2 s
		"aht10": {"AHT10", "dtoverlay=i2c-sensor,aht10", 2100 * time.Millisecond, true, false}, // cached for 2 s
		"aht20": {"AHT20", "", 2100 * time.Millisecond, true, false},
		"shtc1": {"SHTC1", "", 200 * time.Millisecond, true, false}, // cached for 100 ms
		"shtc3": {"SHTC3", "dtoverlay=i2c-sensor,shtc3", 200 * time.Millisecond, true, false},
		"sht21": {"SHT21", "", 600 * time.Millisecond, true, false}, // cached for 500 ms
	},
	iio: {
		"bme280":  {"BME280", "dtoverlay=i2c-sensor,bme280", 100 * time.Millisecond, true, true},
		"bmp280":  {"BMP280", "dtoverlay=i2c-sensor,bmp280", 100 * time.Millisecond, false, true},
		"bme680":  {"BME680", "dtoverlay=i2c-sensor,bme680", time.Second, true, true}, // heats its gas sensor at each reading
		"si7020":  {"Si7020", "dtoverlay=i2c-sensor,si7020", 100 * time.Millisecond, true, false},
		"hdc100x": {"HDC100x", "dtoverlay=i2c-sensor,hdc100x", 100 * time.Millisecond, true, false},
		"hdc1080": {"HDC1080", "dtoverlay=i2c-sensor,hdc1080", 100 * time.Millisecond, true, false},
		"htu21":   {"HTU21D", "dtoverlay=i2c-sensor,htu21", 200 * time.Millisecond, true, false},
		"dht11":   {"DHT11", "dtoverlay=dht11,gpiopin=4", 2100 * time.Millisecond, true, false},
	},
}

// ofDevice returns the chip that the kernel has as a device of a class.
func ofDevice(name string, class kernel.Class, device string) Chip {
	d, known := drivers[name][device]
	if !known { // a thermometer, most often of a processor or a disk: in steps, and wide ones
		return ofKernel(device, class, device, "", time.Second, 0, coarse(celsius(-55, 150)))
	}
	measures := []Measurand{celsius(-40, 125)}
	if d.humidity {
		measures = append(measures, percent)
	}
	if device == "dht11" { // in steps of 1, or of 0.1 as a DHT22
		measures = coarse(measures...)
	}
	var also []Measurand
	if d.pressure {
		also = append(also, pressure)
	}
	return ofKernel(d.model, class, device, d.overlay, d.least, 0, measures, also...)
}

// ofKernel returns a chip that the kernel reads.
func ofKernel(model string, class kernel.Class, device, overlay string, least, maxRead time.Duration, measures []Measurand, also ...Measurand) Chip {
	c := Chip{Model: model, MinInterval: least, MaxRead: maxRead, Measures: measures, Also: also}
	kind := kernel.Kind{Class: class, Name: device, Overlay: overlay, MaxRead: max(maxRead, time.Second)}
	for _, m := range c.All() {
		kind.Quantities = append(kind.Quantities, m.Quantity)
	}
	c.Kernel = &kind
	c.Open = func(i2c.Bus, uint16) (Sensor, error) {
		return nil, fmt.Errorf("%s: the kernel reads it, on no I²C bus: %w", model, wire.Other)
	}
	return c
}

// Lookup returns the chip with a name in a configuration; of hwmon and iio, the one that
// the kernel calls device.
func Lookup(name, device string) (Chip, bool) {
	c, ok := Chips()[name]
	if ok && NamesDevice(name) {
		c = ofDevice(name, c.Kernel.Class, device)
	}
	return c, ok
}

// NamesDevice returns whether a configuration must name the kernel's device besides the chip.
func NamesDevice(chip string) bool { return chip == hwmon || chip == iio }

// Of returns a chip that the kernel reads with its Open set: this finds the device in the
// tree, the machine's root directory, by its id, unless that is "". Its readings end with
// ctx. Chips that the kernel does not read stay as they are.
func (c Chip) Of(ctx context.Context, tree fs.FS, id string, interval time.Duration) Chip {
	if c.Kernel == nil {
		return c
	}
	source := kernel.NewSource(ctx, tree, *c.Kernel, id, interval)
	c.Open = open(func(i2c.Bus, uint16) (*kernel.Dev, error) { return source.Open() })
	return c
}
