package bme680

import (
	"encoding/binary"

	"sensorgateway/sensors/internal/device"
	"sensorgateway/wire"
)

// Where the trimming values begin, and how many bytes there are.
const (
	regTrimLow  = 0x8A
	regTrimHigh = 0xE1
	trimLow     = 23
	trimHigh    = 14
)

// trimming is what the chip was calibrated to (tables 12 to 14, names as there).
type trimming struct {
	t1                 uint16
	t2                 int16
	t3                 int8
	p1                 uint16
	p2, p4, p5, p8, p9 int16
	p3, p6, p7         int8
	p10                uint8
	h1, h2             uint16 // 12 bits
	h3, h4, h5, h7     int8
	h6                 uint8
}

// read reads the values.
func (t *trimming) read(d *device.Dev) error {
	low, err := d.Tx(trimLow, regTrimLow)
	if err != nil {
		return err
	}
	if err := blank(d, low); err != nil {
		return err
	}
	word := func(b []byte) int16 { return int16(binary.LittleEndian.Uint16(b)) }
	t.t2, t.t3 = word(low[0:]), int8(low[2])
	t.p1, t.p2, t.p3 = uint16(word(low[4:])), word(low[6:]), int8(low[8])
	t.p4, t.p5 = word(low[10:]), word(low[12:])
	t.p7, t.p6 = int8(low[14]), int8(low[15]) // in this order
	t.p8, t.p9, t.p10 = word(low[18:]), word(low[20:]), low[22]

	high, err := d.Tx(trimHigh, regTrimHigh)
	if err != nil {
		return err
	}
	if err := blank(d, high); err != nil {
		return err
	}
	t.h2 = uint16(high[0])<<4 | uint16(high[1])>>4
	t.h1 = uint16(high[2])<<4 | uint16(high[1])&0xF
	t.h3, t.h4, t.h5, t.h6, t.h7 = int8(high[3]), int8(high[4]), int8(high[5]), high[6], int8(high[7])
	t.t1 = uint16(word(high[8:]))
	return nil
}

// blank refuses trimming values that are none.
func blank(d *device.Dev, b []byte) error {
	if d.Blank(b) != nil {
		return d.Errorf(wire.Other, "trimming values are blank")
	}
	return nil
}

// fine returns the temperature in 1/5120 °C (section 3.3.1, in floating point, as in
// Bosch's own driver; so the others).
func (t *trimming) fine(raw float64) float64 {
	a := (raw/16384 - float64(t.t1)/1024) * float64(t.t2)
	b := raw/131072 - float64(t.t1)/8192
	return a + b*b*float64(t.t3)*16
}

// pressure returns Pa (section 3.3.2).
func (t *trimming) pressure(raw, fine float64) float64 {
	a := fine/2 - 64000
	b := a * a * float64(t.p6) / 131072
	b = (b+a*float64(t.p5)*2)/4 + float64(t.p4)*65536
	a = (float64(t.p3)*a*a/16384 + float64(t.p2)*a) / 524288
	a = (1 + a/32768) * float64(t.p1)
	p := (1048576 - raw - b/4096) * 6250 / a
	c := p / 256
	return p + (float64(t.p9)*p*p/2147483648+p*float64(t.p8)/32768+c*c*c*float64(t.p10)/131072+float64(t.p7)*128)/16
}

// humidity returns % (section 3.3.3).
func (t *trimming) humidity(raw, celsius float64) float64 {
	h := raw - (float64(t.h1)*16 + float64(t.h3)/2*celsius)
	h *= float64(t.h2) / 262144 * (1 + float64(t.h4)/16384*celsius + float64(t.h5)/1048576*celsius*celsius)
	h += (float64(t.h6)/16384 + float64(t.h7)/2097152*celsius) * h * h
	return min(max(h, 0), 100)
}
