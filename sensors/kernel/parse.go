package kernel

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"sensorgateway/wire"
)

// numberForm is how the kernel writes a number: never with an exponent.
var numberForm = regexp.MustCompile(`^-?[0-9]{1,18}(\.[0-9]{1,12})?$`)

// parseNumber reads a file with one number.
func parseNumber(b []byte) (float64, error) {
	s := strings.TrimSpace(string(b))
	if !numberForm.MatchString(s) {
		return 0, fmt.Errorf("%q is not a number: %w", brief(s), wire.Other)
	}
	return strconv.ParseFloat(s, 64)
}

// brief keeps an error short, whatever is in a file.
func brief(s string) string { return s[:min(len(s), 80)] }

// w1SlaveForm is the form of the file w1_slave (Linux, Documentation/w1/slaves/w1_therm.rst): the bytes
// of the scratchpad twice, because the second line has those of the last good reading.
var w1SlaveForm = regexp.MustCompile(`^((?:[0-9a-f]{2} ){9}): crc=[0-9a-f]{2} (YES|NO)\n(?:[0-9a-f]{2} ){9}t=(-?[0-9]{1,6})\n?$`)

// errNoPresence is the cause when nobody drives the line.
var errNoPresence = fmt.Errorf("the chip does not answer: %w", wire.NoAck)

// errEmpty is the cause of an empty file, with which each failed reading ends, after up to
// five attempts (Linux, drivers/w1/slaves/w1_therm.c). Only old kernels answer NO.
var errEmpty = fmt.Errorf("the kernel has nothing: the chip does not answer, or each answer's checksum was wrong: %w", wire.NoAck)

// parseW1 reads the file w1_slave of a DS18B20. Its second line stays as it was when the
// first says NO.
func parseW1(b []byte) (celsius float64, err error) {
	if len(strings.TrimSpace(string(b))) == 0 {
		return 0, errEmpty
	}
	m := w1SlaveForm.FindStringSubmatch(string(b))
	if m == nil {
		return 0, fmt.Errorf("w1_slave reads %q, which is no reading: %w", brief(string(b)), wire.Other)
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(m[1], " ", ""))
	if err != nil {
		return 0, err
	}
	switch {
	case m[2] == "NO" && blank(raw):
		return 0, errNoPresence
	case m[2] == "NO":
		return 0, fmt.Errorf("the checksum of %sis wrong: %w", m[1], wire.Checksum)
	case blank(raw): // the checksum of zeros is right
		return 0, fmt.Errorf("all data are zero: the line is shorted to ground: %w", wire.Implausible)
	}
	milli, err := strconv.Atoi(m[3])
	if err != nil {
		return 0, err
	}
	// Byte 6 is what is left of the count of a conversion: 0x10 less the fraction in a
	// genuine chip, 0x0C after power-up.
	if milli == powerUp && raw[6] != 0x10 {
		return 0, errPowerUp
	}
	return float64(milli) / 1000, nil
}

// blank returns whether all bytes are the same, as of a line that nobody drives.
func blank(raw []byte) bool {
	for _, x := range raw {
		if x != raw[0] || x != 0x00 && x != 0xFF {
			return false
		}
	}
	return true
}

// powerUp is what a DS18B20 says before its first conversion, in m°C (datasheet, table 1).
const powerUp = 85_000

var errPowerUp = fmt.Errorf("85 °C is what it says after power-up, before it has measured: %w", wire.WarmingUp)

// parseW1Temperature reads the file temperature, in m°C, which says nothing of checksums.
func parseW1Temperature(b []byte) (celsius float64, err error) {
	if len(strings.TrimSpace(string(b))) == 0 {
		return 0, errEmpty
	}
	milli, err := parseNumber(b)
	if err == nil && milli == powerUp {
		err = errPowerUp
	}
	return milli / 1000, err
}

// hwmonChannels are the names of hwmon's first channels (Linux,
// Documentation/hwmon/sysfs-interface.rst): m°C and thousandths of a percent.
var hwmonChannels = map[string]string{wire.Temperature.Name: "temp1", wire.Humidity.Name: "humidity1"}

// channel is one of IIO (Linux, Documentation/ABI/testing/sysfs-bus-iio), with its unit in
// terms of ours.
type channel struct {
	name string
	unit float64
}

var iioChannels = map[string]channel{
	wire.Temperature.Name: {"in_temp", 1e-3},             // m°C
	wire.Humidity.Name:    {"in_humidityrelative", 1e-3}, // thousandths of a percent
	wire.Pressure.Name:    {"in_pressure", 10},           // kPa
}

// inPercent returns whether an IIO device gives a humidity in percent, not in thousandths of one.
// Linux's driver of the BME680 does (drivers/iio/chemical/bme680_core.c); should it change, no air is as
// dry as 0.1 %.
func inPercent(device string, q wire.Quantity, v float64) bool {
	return device == "bme680" && q.Name == wire.Humidity.Name && v <= 100
}

// limited returns a humidity of 0 to 100 %. In fog and in very dry air, the formula of Sensirion's and some
// other chips gives from −6 to 119 %, which most of Linux's drivers do not limit. What no formula gives stays.
func limited(humidity float64) float64 {
	if humidity < -7 || humidity > 120 {
		return humidity
	}
	return min(max(humidity, 0), 100)
}

// processed is a raw value of IIO with its offset and scale, in the unit of the channel.
func processed(raw, offset, scale float64) float64 { return (raw + offset) * scale }

// faultOf is the fault that an error of a file means.
func faultOf(err error) wire.Fault {
	for _, m := range faults {
		if errors.Is(err, m.err) {
			return m.fault
		}
	}
	return wire.FaultOf(err)
}
