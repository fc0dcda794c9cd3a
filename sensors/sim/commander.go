package sim

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// commander is an emulated chip that takes commands, converts when one of them says
// so, and answers words with checksums: most of Sensirion's chips, and one of Texas
// Instruments'.
type commander struct {
	*commands
	probe  *probe
	serial uint32

	awake     time.Time // it answers from this time on
	asleep    bool
	measuring bool // a conversion not yet fetched
	ready     time.Time
	buf       [6]byte
	out       []byte // the answer to be read, part of buf
}

// commands is what such a chip knows.
type commands struct {
	width       int                      // bytes of a command
	conversions map[uint16]time.Duration // by the command, the longest
	answers     map[uint16]func(c *commander) []uint16
	reset       uint16
	ignored     []uint16      // commands that change nothing that can be seen
	wake, sleep uint16        // 0: it never sleeps
	startUp     time.Duration // after power, a reset and waking up
	noise       Air
	codes       func(Air) [2]uint16 // what its converters say of the air
}

func (c *commands) make(p *probe, serial uint32) chip {
	return &commander{commands: c, probe: p, serial: serial}
}

func (c *commander) powerOn(now time.Time) {
	*c = commander{commands: c.commands, probe: c.probe, serial: c.serial, awake: now.Add(c.startUp), asleep: c.wake != 0}
}

// write takes a command. A chip that converts acknowledges none.
func (c *commander) write(now time.Time, b []byte) bool {
	switch {
	case now.Before(c.awake), c.measuring && now.Before(c.ready):
		return false
	case len(b) == 0: // only its address: a scan of the bus
		return !c.asleep
	case len(b) < c.width:
		return false
	}
	command := uint16(b[0])
	if c.width == 2 {
		command = binary.BigEndian.Uint16(b)
	}
	if c.asleep {
		if command != c.wake {
			return false
		}
		c.asleep, c.awake = false, now.Add(c.startUp)
		return true
	}
	return len(b) == c.width && c.obey(now, command)
}

func (c *commander) obey(now time.Time, command uint16) bool {
	c.out, c.measuring = nil, false
	if takes, ok := c.conversions[command]; ok {
		c.measuring, c.ready = true, now.Add(takes)
		return true
	}
	if answer := c.answers[command]; answer != nil {
		c.answer(answer(c)...)
		return true
	}
	switch command {
	case c.reset:
		c.powerOn(now)
		return true
	case c.sleep:
		c.asleep = c.wake != 0
		return true
	case c.wake:
		return true
	}
	for _, ignored := range c.ignored {
		if command == ignored {
			return true
		}
	}
	return false
}

func (c *commander) read(now time.Time, b []byte) reply {
	data := c.measuring
	if now.Before(c.awake) || c.asleep || data && now.Before(c.ready) {
		return reply{}
	}
	if data {
		words := c.codes(c.probe.sample(now, c.ready, c.noise))
		c.answer(words[0], words[1])
		c.measuring = false
	}
	if c.out == nil {
		return reply{}
	}
	copyPadded(b, c.out)
	c.out = nil
	return reply{ack: true, data: data}
}

// answer sets the words to be read, each with its checksum.
func (c *commander) answer(words ...uint16) { c.out = checked(c.buf[:0], words...) }

func (c *commander) corrupt(b []byte, chance *rand.Rand) {
	flipBit(b[:min(len(b), len(c.buf))], chance)
}

// checked appends words, each with its checksum.
func checked(b []byte, words ...uint16) []byte {
	for _, w := range words {
		b = binary.BigEndian.AppendUint16(b, w)
		b = append(b, crc8(b[len(b)-2:]))
	}
	return b
}

func serialNumber(c *commander) []uint16 { return []uint16{uint16(c.serial >> 16), uint16(c.serial)} }

// Sensirion SHT40, SHT41 and SHT45 (datasheet SHT4x, version 6: tables 4, 5 and 8).
var sht4xCommands = commands{
	width:       1,
	conversions: map[uint16]time.Duration{0xFD: 8300 * time.Microsecond, 0xF6: 4500 * time.Microsecond, 0xE0: 1600 * time.Microsecond},
	answers:     map[uint16]func(*commander) []uint16{0x89: serialNumber},
	reset:       0x94,
	startUp:     time.Millisecond,
	noise:       Air{Temperature: 0.04 / 3, Humidity: 0.08 / 3},
	codes: func(air Air) [2]uint16 {
		return [2]uint16{uint16(code((air.Temperature+45)/175, 0xFFFF)), uint16(code((air.Humidity+6)/125, 0xFFFF))}
	},
}

// Sensirion SHTC3 (datasheet SHTC3, version 3: tables 4, 5 and 11). It sleeps from
// power-on, and its converters have 65536 steps.
var shtc3Commands = commands{
	width:       2,
	conversions: map[uint16]time.Duration{0x7866: 12100 * time.Microsecond, 0x609C: 800 * time.Microsecond},
	answers:     map[uint16]func(*commander) []uint16{0xEFC8: func(*commander) []uint16 { return []uint16{0x0887} }},
	reset:       0x805D,
	wake:        0x3517, sleep: 0xB098,
	startUp: 240 * time.Microsecond,
	noise:   Air{Temperature: 0.1 / 3, Humidity: 0.1 / 3},
	codes: func(air Air) [2]uint16 {
		return [2]uint16{steps((air.Temperature + 45) / 175), steps(air.Humidity / 100)}
	},
}

// Texas Instruments HDC3020 to HDC3022 (datasheet SNAS778, section 8.5), whose
// measurements are those of an SHT3x.
var hdc302xCommands = commands{
	width:       2,
	conversions: map[uint16]time.Duration{0x2400: 12500 * time.Microsecond, 0x240B: 7500 * time.Microsecond, 0x2416: 5 * time.Millisecond},
	answers: map[uint16]func(*commander) []uint16{
		0x3781: func(*commander) []uint16 { return []uint16{0x3000} },
		0xF32D: func(*commander) []uint16 { return []uint16{0x8010} },
	},
	reset:   0x30A2,
	ignored: []uint16{0x3093, 0x3041, 0x3066},
	startUp: 5 * time.Millisecond,
	noise:   Air{Temperature: 0.04 / 3, Humidity: 0.02},
	codes: func(air Air) [2]uint16 {
		return [2]uint16{uint16(code((air.Temperature+45)/175, 0xFFFF)), uint16(code(air.Humidity/100, 0xFFFF))}
	},
}

// steps is the code of a converter of 16 bits whose full range is 65536.
func steps(part float64) uint16 { return uint16(min(code(part, 1<<16), 0xFFFF)) }
