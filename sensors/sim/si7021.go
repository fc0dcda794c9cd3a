package sim

import (
	"math/rand/v2"
	"time"
)

// Silicon Labs Si7021, TE HTU21D and Sensirion SHT21, which take the same commands
// (datasheets Si7021-A20, HPC199 and SHT21). The two lowest bits of a value say which
// one it is.

const (
	siTemperature = 0xF3
	siHumidity    = 0xF5
	siReset       = 0xFE
	siUser        = 0xE7
	siUserReset   = 0x02 // heater and OTP reload off, the highest resolution
)

// si7021 is an emulated chip of this family.
type si7021 struct {
	*siModel
	probe *probe

	awake     time.Time
	measuring byte // the command under way; 0: none
	ready     time.Time
	buf       [3]byte
	out       []byte
}

type siModel struct {
	id                    byte // answered to 0xFC 0xC9; 0: it knows no such command
	user                  byte // its user register after a reset
	temperature, humidity time.Duration
}

var (
	siModel7021 = siModel{0x15, 0x3A, 10800 * time.Microsecond, 22800 * time.Microsecond}
	siModelHTU  = siModel{0x32, siUserReset, 50 * time.Millisecond, 16 * time.Millisecond}
	siModelSHT  = siModel{0, siUserReset, 85 * time.Millisecond, 29 * time.Millisecond}
)

func (m *siModel) make(p *probe, _ uint32) chip { return &si7021{siModel: m, probe: p} }

func (c *si7021) powerOn(now time.Time) {
	*c = si7021{siModel: c.siModel, probe: c.probe, awake: now.Add(15 * time.Millisecond)}
}

// write takes a command; within a conversion it acknowledges nothing.
func (c *si7021) write(now time.Time, b []byte) bool {
	if now.Before(c.awake) || c.measuring != 0 && now.Before(c.ready) {
		return false
	}
	if len(b) == 0 { // only its address: a scan of the bus
		return true
	}
	c.measuring, c.out = 0, nil
	switch {
	case b[0] == siTemperature && len(b) == 1:
		c.measuring, c.ready = b[0], now.Add(c.temperature)
	case b[0] == siHumidity && len(b) == 1:
		c.measuring, c.ready = b[0], now.Add(c.humidity)
	case b[0] == siReset && len(b) == 1:
		c.powerOn(now)
	case b[0] == siUser && len(b) == 1:
		c.out = append(c.buf[:0], c.user)
	case b[0] == 0xFC && len(b) == 2 && b[1] == 0xC9 && c.id != 0:
		c.out = append(c.buf[:0], c.id)
	default:
		return false
	}
	return true
}

func (c *si7021) read(now time.Time, b []byte) reply {
	data := c.measuring != 0
	if now.Before(c.awake) || data && now.Before(c.ready) {
		return reply{}
	}
	if data {
		c.convert(now)
	}
	if c.out == nil {
		return reply{}
	}
	copyPadded(b, c.out)
	c.out = nil
	return reply{ack: true, data: data}
}

func (c *si7021) convert(now time.Time) {
	air := c.probe.sample(now, c.ready, Air{Temperature: 0.01, Humidity: 0.025})
	v := steps((air.Temperature+46.85)/175.72) &^ 3
	if c.measuring == siHumidity {
		v = steps((air.Humidity+6)/125)&^3 | 2
	}
	c.measuring = 0
	c.out = append(c.buf[:0], byte(v>>8), byte(v), crc8From(0, []byte{byte(v >> 8), byte(v)}))
}

func (c *si7021) corrupt(b []byte, chance *rand.Rand) {
	flipBit(b[:min(len(b), len(c.buf))], chance)
}
