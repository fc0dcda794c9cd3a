package sim

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// Sensirion SHT30, SHT31 and SHT35. "Datasheet" is "Datasheet SHT3x-DIS",
// version 7; commands in its sections 4.3 to 4.11, times in table 4.

// Commands other than those that measure.
const (
	shtFetch       = 0xE000
	shtBreak       = 0x3093
	shtReset       = 0x30A2
	shtStatus      = 0xF32D
	shtClearStatus = 0x3041
	shtHeaterOn    = 0x306D // only its status bit: the few °C are not emulated
	shtHeaterOff   = 0x3066
	shtSerial      = 0x3682
	shtSerialHold  = 0x3780 // with stretching, for which there is no need
)

// Bits of the status register.
const (
	shtAlertPending  = 1 << 15
	shtHeater        = 1 << 13
	shtHumidityAlert = 1 << 11
	shtTempAlert     = 1 << 10
	shtResetDetected = 1 << 4
	shtCommandFailed = 1 << 1
)

// Times, the datasheet's maxima.
const (
	shtStartUp   = 1500 * time.Microsecond
	shtBreakTime = time.Millisecond
)

// repeatability is one of the chip's three grades of effort.
type repeatability struct {
	takes time.Duration // the longest conversion
	sigma Air           // a third of the datasheet's repeatability, which is 3 σ
}

var (
	shtLow    = repeatability{4 * time.Millisecond, Air{Temperature: 0.15 / 3, Humidity: 0.21 / 3}}
	shtMedium = repeatability{6 * time.Millisecond, Air{Temperature: 0.08 / 3, Humidity: 0.15 / 3}}
	shtHigh   = repeatability{15 * time.Millisecond, Air{Temperature: 0.04 / 3, Humidity: 0.08 / 3}}
)

// shtMeasurement is what a measuring command asks for.
type shtMeasurement struct {
	repeatability
	hold   bool          // stretches the clock until it is done
	period time.Duration // of periodic measurements; 0: single shot
}

var shtMeasurements = map[uint16]shtMeasurement{
	0x2400: {shtHigh, false, 0}, 0x240B: {shtMedium, false, 0}, 0x2416: {shtLow, false, 0},
	0x2C06: {shtHigh, true, 0}, 0x2C0D: {shtMedium, true, 0}, 0x2C10: {shtLow, true, 0},
	0x2032: {shtHigh, false, 2 * time.Second}, 0x2024: {shtMedium, false, 2 * time.Second}, 0x202F: {shtLow, false, 2 * time.Second},
	0x2130: {shtHigh, false, time.Second}, 0x2126: {shtMedium, false, time.Second}, 0x212D: {shtLow, false, time.Second},
	0x2236: {shtHigh, false, time.Second / 2}, 0x2220: {shtMedium, false, time.Second / 2}, 0x222B: {shtLow, false, time.Second / 2},
	0x2334: {shtHigh, false, time.Second / 4}, 0x2322: {shtMedium, false, time.Second / 4}, 0x2329: {shtLow, false, time.Second / 4},
	0x2737: {shtHigh, false, time.Second / 10}, 0x2721: {shtMedium, false, time.Second / 10}, 0x272A: {shtLow, false, time.Second / 10},
}

// sht3x is an emulated SHT3x.
type sht3x struct {
	probe  *probe
	serial uint32

	awake     time.Time // it answers from this time on
	status    uint16
	measuring bool           // a single shot not yet fetched, or periodic
	job       shtMeasurement // what it measures
	ready     time.Time      // when the next result is there
	fetch     bool           // periodic: the last command was to fetch
	buf       [6]byte
	out       []byte // the answer to be read, part of buf
}

func (c *sht3x) powerOn(now time.Time) {
	*c = sht3x{probe: c.probe, serial: c.serial, awake: now.Add(shtStartUp), status: shtAlertPending | shtResetDetected}
}

func (c *sht3x) write(now time.Time, b []byte) bool {
	if now.Before(c.awake) {
		return false
	}
	if len(b) == 0 { // only its address: a scan of the bus
		return true
	}
	single := c.measuring && c.job.period == 0
	if len(b) < 2 || single && now.Before(c.ready) { // it takes no command while it converts
		return false
	}
	cmd := binary.BigEndian.Uint16(b)
	job, measures := shtMeasurements[cmd]
	if measures && c.measuring && c.job.period > 0 { // only after a break
		c.status |= shtCommandFailed
		return false
	}
	c.out, c.fetch = nil, false
	if measures {
		c.measuring, c.job, c.ready = true, job, now.Add(job.takes)
		c.status &^= shtCommandFailed
		return true
	}
	return c.command(now, cmd)
}

// command obeys a command that does not measure.
func (c *sht3x) command(now time.Time, cmd uint16) bool {
	switch cmd {
	case shtFetch:
		c.fetch = true
	case shtBreak:
		c.measuring = false
		c.awake = now.Add(shtBreakTime)
	case shtReset:
		c.powerOn(now)
		return true
	case shtStatus:
		c.answer(c.status)
	case shtClearStatus:
		c.status &^= shtAlertPending | shtHumidityAlert | shtTempAlert | shtResetDetected
	case shtHeaterOn:
		c.status |= shtHeater
	case shtHeaterOff:
		c.status &^= shtHeater
	case shtSerial, shtSerialHold:
		c.answer(uint16(c.serial>>16), uint16(c.serial))
	default:
		c.status |= shtCommandFailed
		return false
	}
	c.status &^= shtCommandFailed
	return true
}

func (c *sht3x) read(now time.Time, b []byte) reply {
	if now.Before(c.awake) {
		return reply{}
	}
	data := false
	if c.out == nil && c.measuring && (c.job.period == 0 || c.fetch) {
		if now.Before(c.ready) {
			if c.job.hold {
				return reply{hold: c.ready.Sub(now)}
			}
			return reply{}
		}
		c.convert(now)
		data = true
	}
	if c.out == nil {
		return reply{}
	}
	copyPadded(b, c.out)
	c.out, c.fetch = nil, false
	return reply{ack: true, data: data}
}

// convert puts the newest result that is there at the time now into the
// answer. One that was not fetched in time is lost.
func (c *sht3x) convert(now time.Time) {
	at := c.ready
	if c.job.period > 0 {
		at = at.Add(now.Sub(at).Truncate(c.job.period))
		c.ready = at.Add(c.job.period)
	} else {
		c.measuring = false
	}
	air := c.probe.sample(now, at, c.job.sigma)
	c.answer(
		uint16(code((air.Temperature+45)/175, 0xFFFF)), // section 4.13
		uint16(code(air.Humidity/100, 0xFFFF)),
	)
}

// answer sets the words to be read, each with its checksum.
func (c *sht3x) answer(words ...uint16) {
	c.out = c.buf[:3*len(words)]
	for i, w := range words {
		three := c.out[3*i:]
		binary.BigEndian.PutUint16(three, w)
		three[2] = crc8(three[:2])
	}
}

func (c *sht3x) corrupt(b []byte, chance *rand.Rand) { flipBit(b[:min(len(b), len(c.buf))], chance) }
