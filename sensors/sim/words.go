package sim

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"time"
)

// wordChip is a kind of chip with registers of 16 bits, the high byte first.
type wordChip struct {
	registers map[byte]uint16 // after a reset, those that are not 0
	writable  map[byte]uint16 // the bits that can be written
	reset     map[byte]uint16 // bits that reset it
	bytes     []byte          // registers that have one byte only
	startUp   time.Duration
	// once is the time of a conversion that begins when register 0 is chosen, within
	// which nothing is acknowledged; every is that of a chip that converts all the time.
	once  time.Duration
	every func(c *words) time.Duration
	noise Air
	// store sets the registers of a measurement, of which the first is data.
	data    byte
	store   func(c *words, air Air)
	garbage byte // what a spoiled answer is full of; a careful driver notices
}

// words is an emulated chip of such a kind.
type words struct {
	*wordChip
	probe *probe
	reg   [256]uint16
	next  byte
	awake time.Time
	ready time.Time // when the conversion under way is over; zero: none
}

func (k *wordChip) make(p *probe, _ uint32) chip { return &words{wordChip: k, probe: p} }

func (c *words) powerOn(now time.Time) {
	*c = words{wordChip: c.wordChip, probe: c.probe, awake: now.Add(c.startUp)}
	for reg, v := range c.registers {
		c.reg[reg] = v
	}
	if c.every != nil {
		c.ready = c.awake.Add(c.every(c))
	}
}

func (c *words) write(now time.Time, b []byte) bool {
	if now.Before(c.awake) || c.once > 0 && !c.ready.IsZero() && now.Before(c.ready) {
		return false
	}
	if len(b) == 0 { // only its address: a scan of the bus
		return true
	}
	c.update(now)
	c.next = b[0]
	if len(b) == 1 && c.next == c.data && c.once > 0 {
		c.ready = now.Add(c.once)
		return true
	}
	if mask := c.writable[c.next]; len(b) > 1 && mask != 0 {
		v := uint16(b[1])
		if len(b) > 2 {
			v = binary.BigEndian.Uint16(b[1:])
		}
		if v&c.reset[c.next] != 0 {
			c.powerOn(now)
			return true
		}
		c.reg[c.next] = c.reg[c.next]&^mask | v&mask
		if c.every != nil { // it starts over with another setting
			c.ready = now.Add(c.every(c))
		}
	}
	return true
}

func (c *words) read(now time.Time, b []byte) reply {
	if now.Before(c.awake) || c.once > 0 && !c.ready.IsZero() && now.Before(c.ready) {
		return reply{}
	}
	c.update(now)
	data, reg := c.next == c.data, c.next
	for i := 0; i < len(b); {
		one := false
		for _, r := range c.bytes {
			one = one || r == reg
		}
		if !one {
			b[i] = byte(c.reg[reg] >> 8)
			i++
		}
		if i < len(b) {
			b[i] = byte(c.reg[reg])
			i++
		}
		reg++
	}
	return reply{ack: true, data: data}
}

// update brings the registers to the time now.
func (c *words) update(now time.Time) {
	if c.ready.IsZero() || now.Before(c.ready) {
		return
	}
	at := c.ready
	if c.every == nil {
		c.ready = time.Time{}
	} else {
		period := c.every(c)
		at = at.Add(now.Sub(at).Truncate(period))
		c.ready = at.Add(period)
	}
	c.store(c, c.probe.sample(now, at, c.noise))
}

func (c *words) corrupt(b []byte, _ *rand.Rand) { fill(b, c.garbage) }

// Texas Instruments HDC1080 (datasheet SNAS672, sections 7.5 and 8.6).
var hdc1080Chip = wordChip{
	registers: map[byte]uint16{0x02: 0x1000, 0xFE: 0x5449, 0xFF: 0x1050},
	writable:  map[byte]uint16{0x02: 0xBF00},
	reset:     map[byte]uint16{0x02: 0x8000},
	startUp:   15 * time.Millisecond,
	once:      12850 * time.Microsecond,
	noise:     Air{Temperature: 0.01, Humidity: 0.05},
	store: func(c *words, air Air) {
		c.reg[0] = steps((air.Temperature+40)/165) &^ 3
		c.reg[1] = steps(air.Humidity/100) &^ 3
	},
	garbage: 0xFF,
}

// Microchip MCP9808 (datasheet DS25095, sections 5.1 and 5.2.4). Its alert's limits
// are 0 °C, and the three highest bits say how the temperature is to them.
var mcp9808Chip = wordChip{
	registers: map[byte]uint16{0x06: 0x0054, 0x07: 0x0400, 0x08: 0x03},
	writable:  map[byte]uint16{0x01: 0x07FF, 0x02: 0x1FFC, 0x03: 0x1FFC, 0x04: 0x1FFC, 0x08: 0x0003},
	bytes:     []byte{0x08},
	every:     func(*words) time.Duration { return 250 * time.Millisecond },
	noise:     Air{Temperature: 0.02},
	data:      0x05,
	store: func(c *words, air Air) {
		t := int16(math.Round(air.Temperature * 16))
		v := uint16(t) & 0x1FFF
		if t >= 0 {
			v |= 1 << 15
		}
		if t > 0 {
			v |= 1 << 14
		}
		if t < 0 {
			v |= 1 << 13
		}
		c.reg[0x05] = v
	},
	garbage: 0xFF,
}

// Texas Instruments TMP117 (datasheet SNOSD82, sections 7.3.2 and 7.6). Spoiled
// answers are of 255 °C, which it cannot measure: nothing else shows it.
var tmp117Chip = wordChip{
	registers: map[byte]uint16{0x00: 0x8000, 0x01: 0x0220, 0x0F: 0x0117},
	writable:  map[byte]uint16{0x01: 0x0FFC},
	reset:     map[byte]uint16{0x01: 0x0002},
	startUp:   1500 * time.Microsecond,
	every: func(c *words) time.Duration { // by the bits CONV, with eight conversions or less
		return [8]time.Duration{
			125 * time.Millisecond, 125 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
			time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second,
		}[c.reg[1]>>7&7]
	},
	noise: Air{Temperature: 0.004},
	store: func(c *words, air Air) {
		c.reg[0] = uint16(int16(math.Round(air.Temperature * 128)))
		c.reg[1] |= 1 << 13 // data ready
	},
	garbage: 0x7F,
}
