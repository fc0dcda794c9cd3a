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
	"sensorgateway/sensors/kernel"
	"sensorgateway/wire"
)

// kernelDriver is a driver of the kernel that has a chip; its zero value is none.
type kernelDriver struct {
	name, device string
	channel      string // if it has the multiplexer that the chip is behind: what it calls the channel's bus
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

func (k kernelDriver) why() string {
	return fmt.Sprintf("the kernel's driver %s has %s, and both would disturb each other", k.name, k.what())
}

func (k kernelDriver) fix() string {
	if k.channel != "" {
		return "each channel is a bus of the kernel's: instead of mux write bus: " + k.channel
	}
	return fmt.Sprintf("echo %s | sudo tee /sys/bus/i2c/drivers/%s/unbind, and take its overlay out of /boot/firmware/config.txt; or write the chip as what the kernel reads: gateway scan shows it",
		k.device, k.name)
}

// fixFor says what to do about a failure; on a bus, it first finds out who answers there.
func fixFor(b i2c.Bus, t config.Sensor, failure error) string {
	switch {
	case t.Class != "":
		return kernelFix(failure)
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

// kernelFix says what to do about a failure of what the kernel reads.
func kernelFix(failure error) string {
	if e, ok := errors.AsType[*kernel.Error](failure); ok {
		return e.Fix
	}
	return kernelFaultFix(wire.FaultOf(failure).String())
}

// kernelFaultFix is what to look for when what the kernel reads failed with a cause.
func kernelFaultFix(fault string) string {
	switch fault {
	case wire.NoAck.String(), wire.Absent.String(), wire.Timeout.String():
		return "check its power and wiring, and of a DS18B20 or DHT22 the resistor from data to 3.3 V; gateway scan lists what the kernel has"
	case wire.Checksum.String():
		return "a loose contact, a cable that is too long, or a missing resistor from data to 3.3 V"
	case wire.WarmingUp.String(), wire.Implausible.String():
		return "the chip has too little power to measure: connect its VDD to 3.3 V"
	case wire.Stuck.String():
		return "take the chip's power away for a second"
	}
	return "see what the kernel says: journalctl -k"
}

// evidence is why something failed, without what to do about it.
func evidence(failure error) string {
	if e, ok := errors.AsType[*kernel.Error](failure); ok {
		return e.Text
	}
	return failure.Error()
}

// isAnother says that a chip is not what the configuration says.
func isAnother(addr uint16, who identify.Answer) string {
	if who.Channels > 0 {
		return fmt.Sprintf("0x%02x answers as %s %s (%s): write mux: {address: 0x%02[1]x, channel: 0}, or the channel that the chip is behind; gateway scan shows it", addr, article(who.Model), who.Model, who.Seen)
	}
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
