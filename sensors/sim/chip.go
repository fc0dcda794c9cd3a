package sim

import (
	"math"
	"math/rand/v2"
	"time"
)

// A chip is the logic of an emulated chip. The bus calls it for one
// transaction at a time and says what time it is.
type chip interface {
	// powerOn puts the chip into the state it has when it gets power.
	powerOn(now time.Time)
	// write takes the bytes of a write and reports whether they were acknowledged.
	write(now time.Time, b []byte) bool
	// read fills b with the chip's answer.
	read(now time.Time, b []byte) reply
	// corrupt spoils an answer that carries a measurement, so that a careful
	// driver notices: by its checksum, or by values that no chip measures.
	corrupt(b []byte, chance *rand.Rand)
}

// A reply says how a chip took being read.
type reply struct {
	ack  bool          // it acknowledged its address
	data bool          // its bytes carry a measurement
	hold time.Duration // instead of both: it holds the clock low; ask again after this time
}

// models are the chips there are: the addresses that each can have, and how to
// make one. Its serial, where it has one, makes one part differ from another.
var models = map[string]struct {
	addrs []uint16
	make  func(probe *probe, serial uint32) chip
}{
	"sht3x":  {[]uint16{0x44, 0x45}, func(p *probe, serial uint32) chip { return &sht3x{probe: p, serial: serial} }},
	"bme280": {[]uint16{0x76, 0x77}, func(p *probe, _ uint32) chip { return &bme280{probe: p, id: bmeChipID} }},
	"bmp280": {[]uint16{0x76, 0x77}, func(p *probe, _ uint32) chip { return &bme280{probe: p, id: bmpChipID} }},
	"aht20":  {[]uint16{0x38}, func(p *probe, _ uint32) chip { return &aht20{probe: p} }},

	"sht4x":   {[]uint16{0x44, 0x45, 0x46}, sht4xCommands.make},
	"shtc3":   {[]uint16{0x70}, shtc3Commands.make},
	"aht10":   {[]uint16{0x38, 0x39}, func(p *probe, _ uint32) chip { return &aht10{aht20{probe: p}} }},
	"am2320":  {[]uint16{0x5C}, func(p *probe, _ uint32) chip { return &am2320{probe: p} }},
	"scd4x":   {[]uint16{0x62}, func(p *probe, serial uint32) chip { return &scd4x{probe: p, serial: serial} }},
	"bme680":  {[]uint16{0x76, 0x77}, func(p *probe, _ uint32) chip { return &bme680{probe: p} }},
	"si7021":  {[]uint16{0x40}, siModel7021.make},
	"htu21d":  {[]uint16{0x40}, siModelHTU.make},
	"sht2x":   {[]uint16{0x40}, siModelSHT.make},
	"hdc1080": {[]uint16{0x40, 0x41, 0x42, 0x43}, hdc1080Chip.make},
	"mcp9808": {[]uint16{0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F}, mcp9808Chip.make},
	"tmp117":  {[]uint16{0x48, 0x49, 0x4A, 0x4B}, tmp117Chip.make},
	"hdc302x": {[]uint16{0x44, 0x45, 0x46, 0x47}, hdc302xCommands.make},
}

// A probe is the part of a chip that feels the air.
type probe struct {
	environment *Environment
	place       Place
	chance      *rand.Rand
	frozen      func(now time.Time) bool // asked once for each measurement
	last        Air                      // what was felt last; zero: nothing yet
}

// sample returns the air as it was felt at the time at, with noise whose
// standard deviations are those of sigma; a frozen probe feels what it felt
// before, to the last bit.
func (p *probe) sample(now, at time.Time, sigma Air) Air {
	if p.frozen(now) && p.last != (Air{}) {
		return p.last
	}
	air := p.environment.At(p.place, at)
	air.Temperature += sigma.Temperature * p.chance.NormFloat64()
	air.Humidity += sigma.Humidity * p.chance.NormFloat64()
	air.Humidity = min(max(air.Humidity, 0), 100)
	air.Pressure += sigma.Pressure * p.chance.NormFloat64()
	air.CO2 += sigma.CO2 * p.chance.NormFloat64()
	p.last = air
	return air
}

// code returns the converter's nearest code for a part of its range, [0, 1] for
// 0 to full, limited to the codes it has.
func code(part float64, full uint32) uint32 {
	return uint32(min(max(math.Round(part*float64(full)), 0), float64(full)))
}

// crc8 is the checksum of Sensirion's and Aosong's chips: polynomial 0x31,
// start 0xFF, most significant bit first (SHT3x datasheet, section 4.12).
func crc8(b []byte) byte { return crc8From(0xFF, b) }

func crc8From(crc byte, b []byte) byte {
	for _, x := range b {
		crc ^= x
		for range 8 {
			if crc&0x80 != 0 {
				crc = crc<<1 ^ 0x31
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// flipBit flips one bit of b.
func flipBit(b []byte, chance *rand.Rand) {
	i := chance.IntN(8 * len(b))
	b[i/8] ^= 1 << (i % 8)
}

// fill sets all bytes of b.
func fill(b []byte, x byte) {
	for i := range b {
		b[i] = x
	}
}

// copyPadded copies answer into b; whoever reads on gets 0xFF, since nobody
// pulls the line down any more.
func copyPadded(b, answer []byte) {
	fill(b[copy(b, answer):], 0xFF)
}
