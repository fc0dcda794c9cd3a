package sht4x

import (
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/internal/bustest"
)

func driver() *bustest.Driver {
	d := &bustest.Driver{Name: "sht4x 0x45 on bus 1", Addr: 0x45, Open: bustest.Open(NewI2C), CRC: true, Within: 13 * time.Millisecond}
	d.Opening = []i2ctest.IO{d.Write(0x89), d.Read([]byte{0xBE, 0xEF, 0x92, 0xBE, 0xEF, 0x92})} // the datasheet's example of a checksum
	d.Sense = []i2ctest.IO{d.Write(0xFD), d.Read([]byte{0x63, 0x80, 0x83, 0x73, 0x33, 0x01})}
	d.Values = []float32{-45 + 175*0x6380/65535.0, -6 + 125*0x7333/65535.0}
	d.Waits = []time.Duration{0, 8300 * time.Microsecond}
	d.Again = []int{1, 3}
	return d
}

func TestDriver(t *testing.T) { driver().Test(t) }

func TestFormula(t *testing.T) {
	driver().Formula(t, []int{16, 16}, func(b, _ []byte, raw []uint32) []byte {
		return bustest.Words(b, uint16(raw[0]), uint16(raw[1]))
	}, func(raw []float64) []float64 {
		return []float64{raw[0]*(175/65535.0) - 45, min(max(raw[1]*(125/65535.0)-6, 0), 100)}
	})
}
