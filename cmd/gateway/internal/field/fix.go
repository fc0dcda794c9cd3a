package field

import (
	"errors"
	"fmt"
	"io/fs"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/sensors"
	"sensorgateway/sensors/bus"
	"sensorgateway/sensors/identify"
	"sensorgateway/wire"
)

// kernelDriver is a driver of the kernel that has a chip; its zero value is none.
type kernelDriver struct {
	name, device string
	channel      string // it has the multiplexer that the chip is behind: what it calls the channel's bus
}

// driverOf returns the kernel's driver that has a sensor's chip, or the multiplexer that
// the chip is behind.
func driverOf(root string, t config.Sensor, emulated bool) (k kernelDriver) {
	number := numberOf(t.Bus)
	switch {
	case emulated, t.Class != "":
	case t.Mux == (config.Mux{}):
		k.name, k.device, _ = bus.ClaimedIn(root, number, t.Address)
	default:
		var ok bool
		if k.name, k.device, ok = bus.ClaimedIn(root, number, t.Mux.Address); ok {
			k.channel = fmt.Sprintf("i2c-%s-mux (chan_id %d)", number, t.Mux.Channel)
		}
	}
	return k
}

// numberOf returns the N of /dev/i2c-N that a bus is now; its name if it is not there.
func numberOf(name string) string {
	if n := bus.Number(name); n != "" {
		return n
	}
	return name
}

// what names what the driver has.
func (k kernelDriver) what() string {
	if k.channel != "" {
		return "the multiplexer"
	}
	return "the chip"
}

func (k kernelDriver) fix() string {
	if k.channel != "" {
		return fmt.Sprintf("the kernel's driver %s has the multiplexer, and each channel is a bus: instead of mux write bus: %s", k.name, k.channel)
	}
	return fmt.Sprintf("the kernel's driver %s has the chip: echo %s | sudo tee /sys/bus/i2c/drivers/%[1]s/unbind, and take its overlay out of /boot/firmware/config.txt",
		k.name, k.device)
}

// fixFor asks the bus who answers where a chip failed, and says what to do.
func fixFor(b i2c.Bus, t config.Sensor, failure error, kernel kernelDriver) string {
	switch {
	case kernel.name != "":
		return kernel.fix()
	case errors.Is(failure, fs.ErrNotExist), errors.Is(failure, fs.ErrPermission):
		return "" // it says the fix itself
	}
	switch wire.FaultOf(failure) {
	case wire.Timeout, wire.BusDown:
		return bus.StuckFix
	}
	who, err := identify.At(b, t.Address)
	switch {
	case err == nil && who.Chip != t.Chip && who.Model != "":
		return isAnother(t.Address, who)
	case err == nil && who.Model == "":
		return fmt.Sprintf("0x%02x answers, but not as %s (%s): is that the chip?", t.Address, model(t.Chip), who.Seen)
	case err == nil: // the chip itself, which has failed now and then
		return "the chip answers now: a loose contact, a cable that is too long, or a bus that is too fast for it (dtparam=i2c_arm_baudrate=50000 in /boot/firmware/config.txt)"
	case wire.FaultOf(err) != wire.NoAck:
		return bus.StuckFix
	}
	others := "buses"
	if t.Mux != (config.Mux{}) {
		others = "channels"
	}
	for _, other := range sensors.Chips()[t.Chip].Addresses {
		if who, err := identify.At(b, other); other != t.Address && err == nil && who.Chip == t.Chip {
			return fmt.Sprintf("nothing answers at 0x%02x, but %s %s does at 0x%02x: write address: 0x%02[4]x", t.Address, article(who.Model), who.Model, other)
		}
	}
	return fmt.Sprintf("nothing answers at 0x%02x of %s: check power and wiring (SDA and SCL may be swapped), and look at the other %s: gateway scan", t.Address, t.Wires(), others)
}

// isAnother says that a chip is not what the configuration says.
func isAnother(addr uint16, who identify.Answer) string {
	if _, ok := sensors.Chips()[who.Chip]; !ok {
		return fmt.Sprintf("0x%02x answers as %s %s (%s), for which the gateway has no driver", addr, article(who.Model), who.Model, who.Seen)
	}
	return fmt.Sprintf("0x%02x answers as %s %s (%s): write chip: %s", addr, article(who.Model), who.Model, who.Seen, who.Chip)
}

// model returns what the maker calls a chip of the configuration.
func model(chip string) string { return sensors.Chips()[chip].Model }

// article returns the indefinite one that goes with a chip's name, spelled as people
// do: an AHT20, an SHT3x, a BME280.
func article(model string) string {
	switch model[0] {
	case 'A', 'H', 'I', 'M', 'O', 'S':
		if model[:2] != "Si" {
			return "an"
		}
	}
	return "a"
}
