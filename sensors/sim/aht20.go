package sim

import (
	"math/rand/v2"
	"time"
)

// Aosong AHT20. "Datasheet" is "AHT20 product manuals", version 1.1, whose
// section 5.4 has the commands.

const (
	ahtInit    = 0xBE
	ahtMeasure = 0xAC
	ahtStatus  = 0x71
	ahtReset   = 0xBA
)

// Bits of the status byte.
const (
	ahtBusy       = 1 << 7
	ahtCalibrated = 1 << 3
	ahtUsual      = 1 << 4 // unexplained, and set in the parts that are sold
)

const (
	ahtStartUp    = 20 * time.Millisecond // after power and after a reset
	ahtInitTime   = 10 * time.Millisecond
	ahtConversion = 80 * time.Millisecond
)

var ahtNoise = Air{Temperature: 0.02, Humidity: 0.04} // from parts that were measured; the datasheet gives ±0.1

// aht20 is an emulated AHT20. The datasheet wants the calibrated bit to be
// checked after power-on, so this part needs its initialisation.
type aht20 struct {
	probe      *probe
	awake      time.Time // it answers from this time on
	calibrated time.Time // from this time on; zero: not initialised
	converting bool
	ready      time.Time
	result     [5]byte // humidity and temperature, 20 bits each
	measured   bool    // result is one
}

func (c *aht20) powerOn(now time.Time) {
	*c = aht20{probe: c.probe, awake: now.Add(ahtStartUp)}
}

func (c *aht20) write(now time.Time, b []byte) bool {
	if now.Before(c.awake) {
		return false
	}
	if len(b) == 0 { // only its address: a scan of the bus
		return true
	}
	switch {
	case b[0] == ahtStatus:
	case b[0] == ahtInit && len(b) >= 3:
		c.calibrated = now.Add(ahtInitTime)
	case b[0] == ahtMeasure && len(b) >= 3:
		c.converting, c.ready = true, now.Add(ahtConversion)
	case b[0] == ahtReset:
		c.powerOn(now)
	default:
		return false
	}
	return true
}

// read answers the status, the result and its checksum, whatever was written before.
func (c *aht20) read(now time.Time, b []byte) reply {
	if now.Before(c.awake) {
		return reply{}
	}
	if c.converting && !now.Before(c.ready) {
		c.convert(now)
	}
	var answer [7]byte
	answer[0] = ahtUsual
	if !c.calibrated.IsZero() && !now.Before(c.calibrated) {
		answer[0] |= ahtCalibrated
	}
	if c.converting {
		answer[0] |= ahtBusy
	}
	copy(answer[1:], c.result[:])
	answer[6] = crc8(answer[:6])
	copyPadded(b, answer[:])
	return reply{ack: true, data: len(b) > 1 && c.measured && !c.converting}
}

func (c *aht20) convert(now time.Time) {
	air := c.probe.sample(now, c.ready, ahtNoise)
	const full = 1 << 20
	h := min(code(air.Humidity/100, full), full-1)
	t := min(code((air.Temperature+50)/200, full), full-1)
	c.result = [5]byte{byte(h >> 12), byte(h >> 4), byte(h<<4) | byte(t>>16), byte(t >> 8), byte(t)}
	c.converting, c.measured = false, true
}

func (c *aht20) corrupt(b []byte, chance *rand.Rand) { flipBit(b[:min(len(b), 7)], chance) }
