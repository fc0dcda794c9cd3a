package sim

import (
	"encoding/binary"
	"sort"
)

// trimming is a BME280's calibration (section 4.2.2 of the datasheet, names as there).
type trimming struct {
	t1                             uint16
	t2, t3                         int16
	p1                             uint16
	p2, p3, p4, p5, p6, p7, p8, p9 int16
	h1                             uint8
	h2                             int16
	h3                             uint8
	h4, h5                         int16 // 12 bits
	h6                             int8
}

// bmeTrim has the values of every emulated part. Temperature and pressure are those of the
// worked example in Bosch's datasheet of the BMP280 (BST-BMP280-DS001, section
// 3.12), humidity is a usual part's.
var bmeTrim = trimming{
	t1: 27504, t2: 26435, t3: -1000,
	p1: 36477, p2: -10685, p3: 3024, p4: 2855, p5: 140, p6: -7, p7: 15500, p8: -14600, p9: 6000,
	h1: 75, h2: 362, h3: 0, h4: 313, h5: 50, h6: 30,
}

// store puts the words where a driver reads them (table 16).
func (c *trimming) store(reg *[256]byte) {
	low := binary.LittleEndian.AppendUint16(nil, c.t1)
	low = binary.LittleEndian.AppendUint16(low, uint16(c.t2))
	low = binary.LittleEndian.AppendUint16(low, uint16(c.t3))
	low = binary.LittleEndian.AppendUint16(low, c.p1)
	for _, p := range [...]int16{c.p2, c.p3, c.p4, c.p5, c.p6, c.p7, c.p8, c.p9} {
		low = binary.LittleEndian.AppendUint16(low, uint16(p))
	}
	copy(reg[bmeCalibLow:], append(low, 0, c.h1))

	high := binary.LittleEndian.AppendUint16(nil, uint16(c.h2))
	copy(reg[bmeCalibHigh:], append(high, c.h3,
		byte(c.h4>>4), byte(c.h4&15)|byte(c.h5&15)<<4, byte(c.h5>>4), byte(c.h6)))
}

// The compensation in floating point (section 8.1): what a driver makes of a
// code. fine is the temperature in 1/5120 °C.

func (c *trimming) fine(adc float64) float64 {
	a := (adc/16384 - float64(c.t1)/1024) * float64(c.t2)
	b := adc/131072 - float64(c.t1)/8192
	return a + b*b*float64(c.t3)
}

func (c *trimming) pressure(adc, fine float64) float64 { // Pa
	a := fine/2 - 64000
	b := a*a*float64(c.p6)/32768 + a*float64(c.p5)*2
	b = b/4 + float64(c.p4)*65536
	a = (float64(c.p3)*a*a/524288 + float64(c.p2)*a) / 524288
	a = (1 + a/32768) * float64(c.p1)
	p := (1048576 - adc - b/4096) * 6250 / a
	return p + (float64(c.p9)*p*p/2147483648+p*float64(c.p8)/32768+float64(c.p7))/16
}

func (c *trimming) humidity(adc, fine float64) float64 { // %
	x := fine - 76800
	h := adc - (float64(c.h4)*64 + float64(c.h5)/16384*x)
	h *= float64(c.h2) / 65536 * (1 + float64(c.h6)/67108864*x*(1+float64(c.h3)/67108864*x))
	return h * (1 - float64(c.h1)*h/524288)
}

// codes returns what the chip's converters say of the air: the compensation
// backwards, by bisection, since each of its formulas is monotonic.
func (c *trimming) codes(air Air) (t, p, h uint32) {
	t = nearestCode(0xFFFFF, func(adc float64) bool { return c.fine(adc) >= air.Temperature*5120 })
	fine := c.fine(float64(t))
	p = nearestCode(0xFFFFF, func(adc float64) bool { return c.pressure(adc, fine) <= air.Pressure })
	h = nearestCode(0xFFFF, func(adc float64) bool { return c.humidity(adc, fine) >= air.Humidity })
	return t, p, h
}

// nearestCode returns the code, up to highest, that is nearest to a value which
// the codes above it have reached.
func nearestCode(highest int, reached func(adc float64) bool) uint32 {
	return uint32(sort.Search(highest, func(i int) bool { return reached(float64(i) + 0.5) }))
}
