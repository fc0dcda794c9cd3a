package shtc3

import (
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/internal/bustest"
)

func driver() *bustest.Driver {
	d := &bustest.Driver{Name: "shtc3 0x70 on bus 1", Addr: 0x70, Open: bustest.Open(NewI2C), CRC: true, Within: 18 * time.Millisecond}
	wake, sleep := d.Write(0x35, 0x17), d.Write(0xB0, 0x98)
	d.Opening = []i2ctest.IO{wake, d.Read(bustest.Words(nil, 0x0887), 0xEF, 0xC8), sleep}
	d.Sense = []i2ctest.IO{wake, d.Write(0x78, 0x66), d.Read([]byte{0x63, 0x80, 0x83, 0x73, 0x33, 0x01}), sleep}
	d.Values = []float32{-45 + 175*0x6380/65536.0, 100 * 0x7333 / 65536.0}
	d.Waits = []time.Duration{0, 240 * time.Microsecond, 12100 * time.Microsecond, 0}
	d.Again = []int{5}
	return d
}

func TestDriver(t *testing.T) { driver().Test(t) }

func TestFormula(t *testing.T) {
	driver().Formula(t, []int{16, 16}, func(b, _ []byte, raw []uint32) []byte {
		return bustest.Words(b, uint16(raw[0]), uint16(raw[1]))
	}, func(raw []float64) []float64 {
		return []float64{raw[0]*(175/65536.0) - 45, raw[1] * (100 / 65536.0)}
	})
}
