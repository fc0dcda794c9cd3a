package sim

import (
	"math/rand/v2"
	"time"
)

// Bosch BME280. "Datasheet" is BST-BME280-DS002, revision 1.6; its chapter 5
// has the registers, appendix B the times, section 1 the noise. A BMP280 is one
// without humidity (BST-BMP280-DS001, chapter 4).

// Registers.
const (
	bmeCalibLow  = 0x88 // …0xA1
	bmeID        = 0xD0
	bmeReset     = 0xE0
	bmeCalibHigh = 0xE1 // …0xE7
	bmeCtrlHum   = 0xF2
	bmeStatus    = 0xF3
	bmeCtrlMeas  = 0xF4
	bmeConfig    = 0xF5
	bmeData      = 0xF7 // …0xFE: pressure, temperature, humidity
	bmeDataEnd   = 0xFE
)

const (
	bmeChipID    = 0x60
	bmpChipID    = 0x58
	bmeResetWord = 0xB6
	bmeMeasuring = 1 << 3 // in bmeStatus
	bmeStartUp   = 2 * time.Millisecond

	// What the data registers hold without a measurement.
	bmeNoValue20 = 0x80000
	bmeNoValue16 = 0x8000
)

// Modes, the lowest two bits of bmeCtrlMeas; 2 is another name for forced.
const (
	bmeSleep  = 0
	bmeNormal = 3
)

// By the value of an oversampling field, of which 5 and above mean 16 times:
// how many conversions it is, and the noise that they leave.
var (
	bmeTimes         = [8]time.Duration{0, 1, 2, 4, 8, 16, 16, 16}
	bmeNoiseTemp     = [8]float64{0, 0.005, 0.004, 0.003, 0.003, 0.002, 0.002, 0.002}
	bmeNoiseHumidity = [8]float64{0, 0.07, 0.05, 0.04, 0.03, 0.02, 0.02, 0.02}
	bmeNoisePressure = [8]float64{0, 3.3, 2.6, 2.1, 1.6, 1.3, 1.3, 1.3}
)

// bmeStandby is the pause between measurements in normal mode, by the upper
// three bits of bmeConfig.
var bmeStandby = [8]time.Duration{
	500 * time.Microsecond, 62500 * time.Microsecond, 125 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 10 * time.Millisecond, 20 * time.Millisecond,
}

// bme280 is an emulated BME280.
type bme280 struct {
	probe *probe
	id    byte
	reg   [256]byte
	next  byte      // the register that the next read begins with
	awake time.Time // it answers from this time on

	osrsT, osrsP, osrsH byte          // of the measurement under way; osrsH is taken over with ctrl_meas only
	ready               time.Time     // when its result is there
	takes               time.Duration // a conversion
	period              time.Duration // between conversions in normal mode
}

func (c *bme280) powerOn(now time.Time) {
	*c = bme280{probe: c.probe, id: c.id, awake: now.Add(bmeStartUp)}
	c.reg[bmeID] = c.id
	bmeTrim.store(&c.reg)
	c.store(bmeNoValue20, bmeNoValue20, bmeNoValue16)
	if !c.humid() {
		c.reg[bmeCalibLow+25] = 0 // H1
		clear(c.reg[bmeCalibHigh : bmeCalibHigh+7])
	}
}

// humid returns whether it measures humidity.
func (c *bme280) humid() bool { return c.id == bmeChipID }

// write takes pairs of a register and its value; only writes need the register
// before each value, reads count on by themselves (section 6.2).
func (c *bme280) write(now time.Time, b []byte) bool {
	if now.Before(c.awake) {
		return false
	}
	if len(b) == 0 { // only its address: a scan of the bus
		return true
	}
	c.update(now)
	c.next = b[0]
	for ; len(b) >= 2; b = b[2:] {
		switch reg, v := b[0], b[1]; reg {
		case bmeReset:
			if v == bmeResetWord {
				c.powerOn(now)
				return true
			}
		case bmeCtrlHum:
			if c.humid() {
				c.reg[reg] = v
			}
		case bmeConfig:
			c.reg[reg] = v
		case bmeCtrlMeas:
			c.reg[reg] = v
			c.start(now)
		}
	}
	return true
}

func (c *bme280) read(now time.Time, b []byte) reply {
	if now.Before(c.awake) {
		return reply{}
	}
	c.update(now)
	data := c.next <= bmeDataEnd && int(c.next)+len(b) > bmeData
	for i := range b {
		b[i] = c.reg[c.next]
		c.next++
	}
	return reply{ack: true, data: data}
}

// start begins what ctrl_meas asks for. It takes the datasheet's typical time,
// not the longest one: a driver may rely on the status register for the rest,
// and periph's reads it without a pause, which stops the clock of a test.
func (c *bme280) start(now time.Time) {
	v := c.reg[bmeCtrlMeas]
	c.osrsT, c.osrsP, c.osrsH = v>>5, v>>2&7, c.reg[bmeCtrlHum]&7
	c.takes = time.Millisecond + 2*time.Millisecond*bmeTimes[c.osrsT]
	for _, osrs := range [...]byte{c.osrsP, c.osrsH} {
		if osrs != 0 {
			c.takes += 2*time.Millisecond*bmeTimes[osrs] + 500*time.Microsecond
		}
	}
	c.ready = now.Add(c.takes)
	c.period = c.takes + bmeStandby[c.reg[bmeConfig]>>5]
}

// update brings the registers to the time now.
func (c *bme280) update(now time.Time) {
	c.reg[bmeStatus] &^= bmeMeasuring
	mode := c.reg[bmeCtrlMeas] & 3
	if mode == bmeSleep {
		return
	}
	if !now.Before(c.ready) {
		at := c.ready
		if mode == bmeNormal {
			at = at.Add(now.Sub(at).Truncate(c.period))
			c.ready = at.Add(c.period)
		} else {
			c.reg[bmeCtrlMeas] &^= 3
			mode = bmeSleep
		}
		c.convert(now, at)
	}
	if mode != bmeSleep && !now.Before(c.ready.Add(-c.takes)) {
		c.reg[bmeStatus] |= bmeMeasuring
	}
}

func (c *bme280) convert(now, at time.Time) {
	air := c.probe.sample(now, at, Air{Temperature: bmeNoiseTemp[c.osrsT], Humidity: bmeNoiseHumidity[c.osrsH], Pressure: bmeNoisePressure[c.osrsP]})
	t, p, h := bmeTrim.codes(air)
	t, p = bmeResolution(t, c.osrsT), bmeResolution(p, c.osrsP)
	if c.osrsT == 0 {
		t = bmeNoValue20
	}
	if c.osrsP == 0 {
		p = bmeNoValue20
	}
	if c.osrsH == 0 {
		h = bmeNoValue16
	}
	c.store(p, t, h)
}

// bmeResolution rounds a code to the bits that it has: 16 of the 20 without
// oversampling, one more with each doubling (section 3.4).
func bmeResolution(code uint32, osrs byte) uint32 {
	unused := 5 - min(max(osrs, 1), 5)
	half := uint32(1) << unused >> 1
	return min(code+half, 0xFFFFF) >> unused << unused
}

// store sets the data registers.
func (c *bme280) store(p, t, h uint32) {
	copy(c.reg[bmeData:], []byte{
		byte(p >> 12), byte(p >> 4), byte(p << 4),
		byte(t >> 12), byte(t >> 4), byte(t << 4),
	})
	if c.humid() {
		copy(c.reg[bmeData+6:], []byte{byte(h >> 8), byte(h)})
	}
}

// corrupt sets or clears all bits: the chip has no checksum, so that a driver
// could not tell that one bit is wrong.
func (c *bme280) corrupt(b []byte, chance *rand.Rand) { fill(b, byte(-chance.IntN(2))) }
