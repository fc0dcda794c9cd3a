package sim

import (
	"math/rand/v2"
	"time"
)

// Bosch BME680. "Datasheet" is BST-BME680-DS001; its chapter 5 has the registers,
// section 3.3 the compensation. The gas sensor is not emulated.

// Registers.
const (
	bme680Status   = 0x1D // …0x26: and pressure, temperature, humidity
	bme680CtrlHum  = 0x72
	bme680CtrlMeas = 0x74
	bme680ID       = 0xD0
	bme680Reset    = 0xE0
)

const (
	bme680NewData   = 1 << 7
	bme680Measuring = 1 << 5
	bme680Takes     = 8400 * time.Microsecond // with an oversampling of 1
)

// The trimming values of every emulated part, a usual one's.
var (
	bme680TrimLow = []byte{0x5B, 0x66, 0x03, 0xF0, 0x91, 0x8D, 0x8D, 0xD7, 0x58, 0x00, 0x9E, 0x1B, 0x6B, 0xFF, 0x1E, 0x1E, 0x00, 0x00,
		0x6B, 0xFB, 0x5C, 0xF7, 0x1E} // from 0x8A on
	bme680TrimHigh = []byte{0x3E, 0xF9, 0x2E, 0x00, 0x2D, 0x14, 0x78, 0x9C, 0x2E, 0x66, 0x90, 0xF1, 0xC1, 0x12} // from 0xE1 on
)

// bme680 is an emulated chip.
type bme680 struct {
	probe *probe
	reg   [256]byte
	next  byte
	awake time.Time
	ready time.Time // when the measurement under way is there; zero: none
}

func (c *bme680) powerOn(now time.Time) {
	*c = bme680{probe: c.probe, awake: now.Add(2 * time.Millisecond)}
	c.reg[bme680ID] = 0x61
	copy(c.reg[0x8A:], bme680TrimLow)
	copy(c.reg[0xE1:], bme680TrimHigh)
	c.store(0x80000, 0x80000, 0x8000)
}

// write takes pairs of a register and its value.
func (c *bme680) write(now time.Time, b []byte) bool {
	if now.Before(c.awake) {
		return false
	}
	if len(b) == 0 { // only its address: a scan of the bus
		return true
	}
	c.update(now)
	c.next = b[0]
	for ; len(b) >= 2; b = b[2:] {
		switch reg, v := b[0], b[1]; {
		case reg == bme680Reset && v == 0xB6:
			c.powerOn(now)
			return true
		case reg == bme680CtrlMeas:
			c.reg[reg] = v
			if v&3 == 1 {
				c.ready = now.Add(bme680Takes)
				c.reg[bme680Status] = bme680Measuring
			}
		case reg >= 0x50 && reg <= 0x75:
			c.reg[reg] = v
		}
	}
	return true
}

func (c *bme680) read(now time.Time, b []byte) reply {
	if now.Before(c.awake) {
		return reply{}
	}
	c.update(now)
	data := c.next == bme680Status && len(b) > 1
	for i := range b {
		b[i] = c.reg[c.next]
		c.next++
	}
	return reply{ack: true, data: data}
}

// update brings the registers to the time now.
func (c *bme680) update(now time.Time) {
	if c.ready.IsZero() || now.Before(c.ready) {
		return
	}
	air := c.probe.sample(now, c.ready, Air{Temperature: 0.005, Humidity: 0.02, Pressure: 1.5})
	c.ready = time.Time{}
	c.reg[bme680CtrlMeas] &^= 3
	c.reg[bme680Status] = bme680NewData
	t := nearestCode(0xFFFFF, func(adc float64) bool { return bme680Fine(adc) >= air.Temperature*5120 })
	fine := bme680Fine(float64(t))
	p := nearestCode(0xFFFFF, func(adc float64) bool { return bme680Pressure(adc, fine) <= air.Pressure })
	h := nearestCode(0xFFFF, func(adc float64) bool { return bme680Humidity(adc, fine/5120) >= air.Humidity })
	if c.reg[bme680CtrlMeas]>>5 == 0 {
		t = 0x80000
	}
	if c.reg[bme680CtrlMeas]>>2&7 == 0 {
		p = 0x80000
	}
	if c.reg[bme680CtrlHum]&7 == 0 {
		h = 0x8000
	}
	c.store(p, t, h)
}

func (c *bme680) store(p, t, h uint32) {
	copy(c.reg[bme680Status+2:], []byte{
		byte(p >> 12), byte(p >> 4), byte(p << 4),
		byte(t >> 12), byte(t >> 4), byte(t << 4),
		byte(h >> 8), byte(h),
	})
}

// corrupt sets or clears all bits: there is no checksum.
func (c *bme680) corrupt(b []byte, chance *rand.Rand) { fill(b, byte(-chance.IntN(2))) }

// The compensation (section 3.3) for the trimming values above: what a driver makes of
// a code.

func bme680Fine(adc float64) float64 { // 1/5120 °C
	d := adc/131072 - 26158.0/8192
	return (adc/16384-26158.0/1024)*26203 + d*d*48
}

func bme680Pressure(adc, fine float64) float64 { // Pa
	a := fine/2 - 64000
	b := (a*a*30/131072-a*149*2)/4 + 7070*65536
	a = (1 + (88*a*a/16384-10355*a)/524288/32768) * 36241
	p := (1048576 - adc - b/4096) * 6250 / a
	return p + (-2212*p*p/2147483648-1173*p/32768+p*p*p/16777216*30/131072+3840)/16
}

func bme680Humidity(adc, celsius float64) float64 { // %
	h := (adc - 745*16) * 1007 / 262144 * (1 + 45.0/16384*celsius + 20.0/1048576*celsius*celsius)
	return h + (120.0/16384-100.0/2097152*celsius)*h*h
}
