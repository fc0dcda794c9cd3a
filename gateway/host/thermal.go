package host

import (
	"io/fs"
	"strconv"
	"strings"
)

// processors are the names of the processor's sensor, the preferred first.
// No other is read: hwmon shows the chips on I²C buses too, and reading one
// would put a transaction on the bus that the gateway measures on.
var processors = []string{
	"cpu-thermal", "cpu_thermal", "bcm2835_thermal", // Raspberry Pi: zone, hwmon, and zone of old kernels
	"soc-thermal", "soc_thermal", // other boards
	"x86_pkg_temp", "coretemp", "k10temp",
}

// absoluteZero is in 1/1000 °C. Zones that cannot measure at the moment show a value
// below it.
const absoluteZero = -273150

// temperature returns the processor's temperature, °C: the kernel's
// Documentation/driver-api/thermal/sysfs-api.rst and hwmon/sysfs-interface.rst.
func (r *Reader) temperature() *float64 {
	files := map[string]string{} // by name
	for _, class := range []struct{ dirs, name, value string }{
		{"sys/class/thermal/thermal_zone*", "type", "temp"},
		{"sys/class/hwmon/hwmon*", "name", "temp1_input"},
	} {
		dirs, _ := fs.Glob(r.fsys, class.dirs) // fails for a malformed pattern only
		for _, dir := range dirs {
			if name := r.text(dir + "/" + class.name); files[name] == "" {
				files[name] = dir + "/" + class.value
			}
		}
	}
	for _, name := range processors {
		if files[name] == "" {
			continue
		}
		if milli, err := strconv.Atoi(r.text(files[name])); err == nil && milli > absoluteZero {
			return new(float64(milli) / 1000)
		}
	}
	return nil
}

// Throttled is what a Raspberry Pi's firmware does about a weak power supply
// and heat. A nil condition is unknown.
type Throttled struct {
	UnderVoltage         *Condition `json:"under_voltage,omitempty"`    // the supply is below 4.63 V
	FrequencyCapped      *Condition `json:"frequency_capped,omitempty"` // the processor's clock is limited
	Throttled            *Condition `json:"throttled,omitempty"`        // it is lowered
	SoftTemperatureLimit *Condition `json:"soft_temperature_limit,omitempty"`
}

// A Condition holds or does not.
type Condition struct {
	Now bool `json:"now"`
	// Occurred is whether it held since the machine started, if known. The kernel's voltage
	// driver resets the firmware's record every two seconds, so a Reader remembers what
	// it has seen.
	Occurred bool `json:"occurred"`
}

// Bits of get_throttled: what holds now, and sixteen bits higher what has
// occurred. Source: Raspberry Pi documentation, vcgencmd get_throttled.
const (
	underVoltage = 1 << iota
	frequencyCapped
	throttling
	softTemperatureLimit
	sticky = 16
)

// throttled returns nil where the state is not known. The hwmon driver has the voltage
// only, so the firmware's own file comes first, although the kernel calls it
// deprecated and logs that once, when it is read. On a Pi 5 the system on chip is
// soc@107c000000.
func (r *Reader) throttled() *Throttled {
	files, _ := fs.Glob(r.fsys, "sys/devices/platform/soc*/soc*:firmware/get_throttled") // fails for a malformed pattern only
	for _, file := range files {
		if bits, err := strconv.ParseUint(strings.TrimPrefix(r.text(file), "0x"), 16, 32); err == nil {
			return &Throttled{
				r.condition(bits, underVoltage), r.condition(bits, frequencyCapped),
				r.condition(bits, throttling), r.condition(bits, softTemperatureLimit),
			}
		}
	}
	dirs, _ := fs.Glob(r.fsys, "sys/class/hwmon/hwmon*")
	for _, dir := range dirs {
		if r.text(dir+"/name") != "rpi_volt" {
			continue
		}
		if bits, err := strconv.ParseUint(r.text(dir+"/in0_lcrit_alarm"), 10, 1); err == nil {
			return &Throttled{UnderVoltage: r.condition(bits, underVoltage)}
		}
	}
	return nil
}

func (r *Reader) condition(bits, bit uint64) *Condition {
	r.occurred |= (bits | bits>>sticky) & bit
	return &Condition{Now: bits&bit != 0, Occurred: r.occurred&bit != 0}
}
