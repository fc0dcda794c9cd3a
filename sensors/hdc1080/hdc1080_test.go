package hdc1080

import (
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/internal/bustest"
	"sensorgateway/wire"
)

func driver() *bustest.Driver {
	d := &bustest.Driver{Name: "hdc1080 0x41 on bus 1", Addr: 0x41, Open: bustest.Open(NewI2C), Within: 19 * time.Millisecond}
	d.Opening = []i2ctest.IO{d.Read([]byte{0x54, 0x49}, 0xFE), d.Read([]byte{0x10, 0x50}, 0xFF), d.Write(0x02, 0x10, 0x00)}
	d.Sense = []i2ctest.IO{d.Write(0x00), d.Read([]byte{0x63, 0x80, 0x73, 0x34})}
	d.Values = []float32{165*0x6380/65536.0 - 40, 100 * 0x7334 / 65536.0}
	d.Waits = []time.Duration{0, 12850 * time.Microsecond}
	d.Again, d.Twice = []int{4}, []int{0}
	return d
}

func TestDriver(t *testing.T) { driver().Test(t) }

func TestFormula(t *testing.T) {
	driver().Formula(t, []int{14, 14}, func(b, _ []byte, raw []uint32) []byte {
		return append(b, byte(raw[0]>>6), byte(raw[0]<<2), byte(raw[1]>>6), byte(raw[1]<<2))
	}, func(raw []float64) []float64 {
		return []float64{raw[0]*4*(165/65536.0) - 40, raw[1] * 4 * (100 / 65536.0)}
	})
}

func TestNoData(t *testing.T) {
	for fill, text := range map[byte]string{0x00: "all data are 0x00", 0xFF: "all data are 0xff"} {
		synctest.Test(t, func(t *testing.T) {
			d := driver()
			chip, err := NewI2C(bustest.New(append(d.Opening, d.Sense[0], d.Read([]byte{fill, fill, fill, fill}))...), d.Addr)
			if err != nil {
				t.Fatal(err)
			}
			bustest.CheckError(t, chip.Sense(make([]float32, 2)), wire.Implausible, "hdc1080 0x41 on bus 1: read: "+text+": implausible")
		})
	}
}

func TestAnotherChip(t *testing.T) {
	d := driver()
	_, err := NewI2C(bustest.New(d.Opening[0], d.Read([]byte{0x07, 0xD0}, 0xFF)), d.Addr)
	bustest.CheckError(t, err, wire.Other, "hdc1080 0x41 on bus 1: ids 0x5449 0x07d0 are not those of an HDC1080, which has 0x5449 0x1050: other")
}
