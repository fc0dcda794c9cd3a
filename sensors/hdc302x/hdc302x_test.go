package hdc302x

import (
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/internal/bustest"
	"sensorgateway/wire"
)

func driver() *bustest.Driver {
	d := &bustest.Driver{Name: "hdc302x 0x47 on bus 1", Addr: 0x47, Open: bustest.Open(NewI2C), CRC: true, Within: 18 * time.Millisecond}
	d.Opening = []i2ctest.IO{d.Read(bustest.Words(nil, 0x3000), 0x37, 0x81), d.Write(0x30, 0x93), d.Write(0x30, 0x66)}
	d.Sense = []i2ctest.IO{d.Write(0x24, 0x00), d.Read([]byte{0x63, 0x80, 0x83, 0x73, 0x33, 0x01})}
	d.Values = []float32{-45 + 175*0x6380/65535.0, 100 * 0x7333 / 65535.0}
	d.Waits = []time.Duration{0, 12500 * time.Microsecond}
	d.Again = []int{4}
	return d
}

func TestDriver(t *testing.T) { driver().Test(t) }

func TestFormula(t *testing.T) {
	driver().Formula(t, []int{16, 16}, func(b, _ []byte, raw []uint32) []byte {
		return bustest.Words(b, uint16(raw[0]), uint16(raw[1]))
	}, func(raw []float64) []float64 {
		return []float64{raw[0]*(175/65535.0) - 45, raw[1] * (100 / 65535.0)}
	})
}

func TestAnotherMaker(t *testing.T) {
	d := driver()
	_, err := NewI2C(bustest.New(d.Read(bustest.Words(nil, 0x1234), 0x37, 0x81)), d.Addr)
	bustest.CheckError(t, err, wire.Other, "hdc302x 0x47 on bus 1: the maker's number 0x1234 is not that of an HDC302x, which has 0x3000: other")
}
