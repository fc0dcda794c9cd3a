package sim

import (
	"math/rand/v2"
	"time"
)

// aht10 is an emulated Aosong AHT10 (datasheet AHT10, version 1.1, section 5): an AHT20
// with another command for its initialisation and without a checksum.
type aht10 struct{ aht20 }

const aht10Init = 0xE1

func (c *aht10) write(now time.Time, b []byte) bool {
	if len(b) > 0 && (b[0] == ahtInit || b[0] == ahtStatus) {
		return false
	}
	if len(b) >= 3 && b[0] == aht10Init {
		return c.aht20.write(now, []byte{ahtInit, b[1], b[2]})
	}
	return c.aht20.write(now, b)
}

func (c *aht10) read(now time.Time, b []byte) reply {
	r := c.aht20.read(now, b)
	if r.ack && len(b) > 6 {
		fill(b[6:], 0xFF)
	}
	return r
}

// corrupt sets or clears all bits: there is no checksum.
func (c *aht10) corrupt(b []byte, chance *rand.Rand) { fill(b, byte(-chance.IntN(2))) }

// am2320 is an emulated Aosong AM2320. It sleeps until it is addressed, and measures
// when it wakes up: what it answers is the measurement before.
type am2320 struct {
	probe    *probe
	awake    time.Time // from this time on, until it sleeps again
	asleep   time.Time
	ready    time.Time // when the answer may be read; zero: it was asked for nothing
	answered [4]byte   // humidity and temperature
}

const (
	amWake   = 800 * time.Microsecond
	amSleep  = 10 * time.Millisecond
	amAnswer = 1500 * time.Microsecond
)

func (c *am2320) powerOn(now time.Time) {
	*c = am2320{probe: c.probe}
	c.measure(now)
}

// rouse returns whether the chip is awake; if not, it wakes up.
func (c *am2320) rouse(now time.Time) bool {
	if now.Before(c.asleep) {
		return !now.Before(c.awake)
	}
	c.awake, c.asleep, c.ready = now.Add(amWake), now.Add(amWake+amSleep), time.Time{}
	return false
}

func (c *am2320) write(now time.Time, b []byte) bool {
	if !c.rouse(now) {
		return false
	}
	if len(b) == 3 && b[0] == 0x03 && b[1] == 0 && b[2] == 4 {
		c.ready = now.Add(amAnswer)
	}
	return true
}

func (c *am2320) read(now time.Time, b []byte) reply {
	if !c.rouse(now) || c.ready.IsZero() || now.Before(c.ready) {
		return reply{}
	}
	answer := append([]byte{0x03, 0x04}, c.answered[:]...)
	crc := crc16(answer)
	copyPadded(b, append(answer, byte(crc), byte(crc>>8)))
	c.measure(now)
	c.asleep, c.ready = now, time.Time{}
	return reply{ack: true, data: true}
}

func (c *am2320) measure(now time.Time) {
	air := c.probe.sample(now, now, Air{Temperature: 0.03, Humidity: 0.03})
	h, t := code(air.Humidity/100, 1000), code(max(air.Temperature, -air.Temperature)/100, 1000)
	if air.Temperature < 0 {
		t |= 1 << 15
	}
	c.answered = [4]byte{byte(h >> 8), byte(h), byte(t >> 8), byte(t)}
}

func (c *am2320) corrupt(b []byte, chance *rand.Rand) { flipBit(b[:min(len(b), 8)], chance) }

// crc16 is the checksum of Modbus (CRC-16/MODBUS).
func crc16(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, x := range b {
		crc ^= uint16(x)
		for range 8 {
			low := crc & 1
			crc = crc>>1 ^ low*0xA001
		}
	}
	return crc
}
