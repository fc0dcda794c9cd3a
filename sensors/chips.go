package sensors

import (
	"maps"
	"slices"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors/aht10"
	"sensorgateway/sensors/aht20"
	"sensorgateway/sensors/am2320"
	"sensorgateway/sensors/bme280"
	"sensorgateway/sensors/bme680"
	"sensorgateway/sensors/hdc1080"
	"sensorgateway/sensors/hdc302x"
	"sensorgateway/sensors/kernel"
	"sensorgateway/sensors/mcp9808"
	"sensorgateway/sensors/scd4x"
	"sensorgateway/sensors/sht3x"
	"sensorgateway/sensors/sht4x"
	"sensorgateway/sensors/shtc3"
	"sensorgateway/sensors/si7021"
	"sensorgateway/sensors/tmp117"
	"sensorgateway/wire"
)

// Chip is a kind of chip that can be named in a configuration.
type Chip struct {
	Model       string        // as its maker writes it
	Sold        []string      // other names of it in shops: sht31 of the sht3x
	Addresses   []uint16      // where it can answer, the usual one first
	MinInterval time.Duration // a shorter one would ask a chip that is still busy
	Measures    []Measurand   // what its sensor's values are, one or two
	// Also are further quantities that it measures at the same time. Each is a sensor of its
	// own, if it is configured.
	Also []Measurand
	// Kernel says what the kernel calls a chip that it reads itself. Such a chip is on no
	// bus, and [Chip.Of] sets its Open. It is nil for a chip on an I²C bus.
	Kernel *kernel.Kind
	// MaxRead is how long a measurement may take, if that is more than a second.
	MaxRead time.Duration
	// Open finds the chip at addr of b and makes it ready to measure.
	Open func(b i2c.Bus, addr uint16) (Sensor, error)
	// Reset brings a chip that hangs into the state that it has after power-up. nil: it cannot
	// be reset, or is reset whenever it is opened.
	Reset func(b i2c.Bus, addr uint16) error
}

// Measurand is a quantity that a chip measures, and the values that it can give.
type Measurand struct {
	wire.Quantity
	Min, Max float32
	// Coarse values have steps so wide that they may stay the same for long.
	Coarse bool
}

// coarse marks all measurands as coarse.
func coarse(all ...Measurand) []Measurand {
	for i := range all {
		all[i].Coarse = true
	}
	return all
}

// celsius is a temperature that a chip can measure. The limits themselves are valid: the
// chip's nearest value may lie just beyond.
func celsius(least, most float32) Measurand {
	const margin = 0.05
	return Measurand{Quantity: wire.Temperature, Min: least - margin, Max: most + margin}
}

// percent is a relative humidity; chips that are calibrated keep it within this range.
var percent = Measurand{Quantity: wire.Humidity, Max: 100}

// climate is temperature and relative humidity.
func climate(least, most float32) []Measurand { return []Measurand{celsius(least, most), percent} }

// pressure is what Bosch's chips can measure of it.
var pressure = Measurand{Quantity: wire.Pressure, Min: 300, Max: 1100}

// All returns what a measurement of the chip gives, in its order.
func (c *Chip) All() []Measurand { return append(slices.Clip(c.Measures), c.Also...) }

// Further returns the index of a quantity in [Chip.Also], -1 if it is not there.
func (c *Chip) Further(quantity string) int {
	return slices.IndexFunc(c.Also, func(m Measurand) bool { return m.Name == quantity })
}

// Quantities returns the quantities of the chip's own sensor; or of the further sensor of a
// quantity, if the chip has one.
func (c *Chip) Quantities(further string) (all []wire.Quantity) {
	measures := c.Measures
	if i := c.Further(further); i >= 0 {
		measures = c.Also[i : i+1]
	}
	for _, m := range measures {
		all = append(all, m.Quantity)
	}
	return all
}

// Chips returns the chips by their names in a configuration. To add one, write
// its driver in a directory of its own and name it here.
func Chips() map[string]Chip {
	const ms = time.Millisecond
	chips := map[string]Chip{
		// Datasheet SHT3x-DIS, tables 1, 2, 4, 8.
		"sht3x": onI2C("SHT3x", []uint16{0x44, 0x45}, 20*ms, climate(-40, 125), nil, open(newSHT3x)),
		// Datasheet BST-BME280-DS002, tables 1 and 2, section 9.1.
		"bme280": onI2C("BME280", []uint16{0x76, 0x77}, 20*ms, climate(-40, 85), []Measurand{pressure}, open(bme280.NewI2C)),
		// Datasheet BST-BMP280-DS001, table 2, section 3.8.1.
		"bmp280": onI2C("BMP280", []uint16{0x76, 0x77}, 20*ms, []Measurand{celsius(-40, 85)}, []Measurand{pressure}, open(bme280.NewBMP280)),
		// Datasheet SHT4x, version 6, tables 1, 3, 5.
		"sht4x": onI2C("SHT4x", []uint16{0x44, 0x45, 0x46}, 20*ms, climate(-40, 125), nil, open(sht4x.NewI2C)),
		// Datasheet SHTC3, version 3, tables 1, 2, 5.
		"shtc3": onI2C("SHTC3", []uint16{0x70}, 20*ms, climate(-40, 125), nil, open(shtc3.NewI2C)),
		// Datasheet SNAS778, sections 7.5, 7.6.
		"hdc302x": onI2C("HDC302x", []uint16{0x44, 0x45, 0x46, 0x47}, 20*ms, climate(-40, 125), nil, open(hdc302x.NewI2C)),
		// Datasheet BST-BME680-DS001, tables 2 to 4; without the gas sensor, whose heater warms the chip.
		"bme680": onI2C("BME680", []uint16{0x76, 0x77}, 50*ms, climate(-40, 85), []Measurand{pressure}, open(bme680.NewI2C)),
		// Datasheet AHT10, version 1.1: measured more often, it warms itself (section 5.4).
		"aht10": onI2C("AHT10", []uint16{0x38, 0x39}, time.Second, climate(-40, 85), nil, open(aht10.NewI2C)),
		// Datasheet AM2320, section 6 and table 3. In steps of 0.1.
		"am2320": onI2C("AM2320", []uint16{0x5C}, 2*time.Second, coarse(climate(-40, 80)...), nil, open(am2320.NewI2C)),
		// Datasheet SCD4x, version 1.4, tables 1 to 3.
		"scd4x": onI2C("SCD4x", []uint16{0x62}, 5*time.Second, climate(-10, 60), []Measurand{{Quantity: wire.CO2, Min: 1, Max: 40_000}}, open(scd4x.NewI2C)),
		// Datasheet Si7021-A20, tables 2, 3, 5.
		"si7021": onI2C("Si7021", []uint16{0x40}, 50*ms, climate(-40, 125), nil, open(si7021.NewI2C)),
		// Datasheet HPC199, version 6, pages 3 and 12.
		"htu21d": onI2C("HTU21D", []uint16{0x40}, 200*ms, climate(-40, 125), nil, open(si7021.NewHTU21D)),
		// Datasheet SHT21, version 4, table 7, and its section 2.4: twice a second at most.
		"sht2x": onI2C("SHT2x", []uint16{0x40}, 500*ms, climate(-40, 125), nil, open(si7021.NewSHT2x)),
		// Datasheet SNAS672, sections 7.3 and 7.5.
		"hdc1080": onI2C("HDC1080", []uint16{0x40, 0x41, 0x42, 0x43}, 50*ms, climate(-40, 125), nil, open(hdc1080.NewI2C)),
		// Datasheet DS25095, tables 1-1 and 5-4. In steps of 0.0625 °C.
		"mcp9808": onI2C("MCP9808", []uint16{0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F}, 250*ms, coarse(celsius(-40, 125)), nil, open(mcp9808.NewI2C)),
		// Datasheet SNOSD82, sections 6.5 and 7.3.2.
		"tmp117": onI2C("TMP117", []uint16{0x48, 0x49, 0x4A, 0x4B}, 125*ms, []Measurand{celsius(-55, 150)}, nil, open(tmp117.NewI2C)),
		// Datasheet AHT20, tables 1 and 2, section 5.4: a measurement takes 80 ms.
		"aht20": onI2C("AHT20", []uint16{0x38}, 100*ms, climate(-40, 85), nil, open(aht20.NewI2C)),
	}
	for name, r := range softResets() {
		c := chips[name]
		c.Reset = r.on
		chips[name] = c
	}
	maps.Copy(chips, kernelChips())
	for name, others := range sold() {
		c := chips[name]
		c.Sold = others
		chips[name] = c
	}
	return chips
}

// onI2C returns a chip on an I²C bus.
func onI2C(model string, addresses []uint16, least time.Duration, measures, also []Measurand, open func(i2c.Bus, uint16) (Sensor, error)) Chip {
	return Chip{Model: model, Addresses: addresses, MinInterval: least, Measures: measures, Also: also, Open: open}
}

func newSHT3x(b i2c.Bus, addr uint16) (*sht3x.Dev, error) { return sht3x.NewI2C(b, addr, nil) }

// open makes a driver's constructor return a Sensor, which is nil if there is an
// error: a nil *T in an interface would not be nil.
func open[T Sensor](construct func(i2c.Bus, uint16) (T, error)) func(i2c.Bus, uint16) (Sensor, error) {
	return func(b i2c.Bus, addr uint16) (Sensor, error) {
		s, err := construct(b, addr)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}
