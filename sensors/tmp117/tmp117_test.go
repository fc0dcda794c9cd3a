package tmp117

import (
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/internal/bustest"
	"sensorgateway/wire"
)

func driver() *bustest.Driver {
	d := &bustest.Driver{Name: "tmp117 0x4b on bus 1", Addr: 0x4B, Open: bustest.Open(NewI2C), Within: 0}
	d.Opening = []i2ctest.IO{d.Read([]byte{0x31, 0x17}, 0x0F), d.Read([]byte{0x02, 0x20}, 0x01), d.Write(0x01, 0x00, 0xA0), d.Read([]byte{0x0C, 0x80}, 0x00)}
	d.Sense = []i2ctest.IO{d.Read([]byte{0x20, 0xA0}, 0x01), d.Read([]byte{0x0C, 0x80}, 0x00)} // section 7.3.1
	d.Values = []float32{25}
	return d
}

func TestDriver(t *testing.T) { driver().Test(t) }

func TestFormula(t *testing.T) {
	driver().Formula(t, []int{15}, func(b, w []byte, raw []uint32) []byte {
		if w[0] == 0x01 {
			return append(b, 0x20, 0xA0)
		}
		v := uint16(int16(raw[0]) - 1<<14)
		return append(b, byte(v>>8), byte(v))
	}, func(raw []float64) []float64 { return []float64{(raw[0] - 16384) * 0.0078125} })
}

func TestSenseFails(t *testing.T) {
	const name = "tmp117 0x4b on bus 1: "
	d := driver()
	for text, ops := range map[string][]i2ctest.IO{
		"reset":         {d.Read([]byte{0x02, 0x20}, 0x01), d.Read([]byte{0x0C, 0x80}, 0x00)},
		"no conversion": {d.Sense[0], d.Read([]byte{0x80, 0x00}, 0x00)},
	} {
		t.Run(text, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chip, err := NewI2C(bustest.New(append(d.Opening[:4:4], ops...)...), d.Addr)
				if err != nil {
					t.Fatal(err)
				}
				bustest.CheckError(t, chip.Sense(make([]float32, 1)), wire.WarmingUp, name+"was reset, its settings are lost: warming_up")
			})
		})
	}
	for name, opening := range map[string][2][]byte{
		"just powered": {{0x02, 0x20}, {0x80, 0x00}},
		"shut down":    {{0x06, 0x20}, {0x0C, 0x70}},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := bustest.New(d.Opening[0], d.Read(opening[0], 0x01), d.Opening[2], d.Read(opening[1], 0x00), d.Sense[0], d.Sense[1])
			chip, err := NewI2C(b, d.Addr)
			if err != nil {
				t.Fatal(err)
			}
			values, begin := make([]float32, 1), time.Now()
			if err := chip.Sense(values); err != nil || values[0] != 25 || time.Since(begin) != conversion {
				t.Errorf("%s: %v, %v after %v", name, err, values, time.Since(begin))
			}
		})
	}
	_, err := NewI2C(bustest.New(d.Read([]byte{0x01, 0x16}, 0x0F)), d.Addr)
	bustest.CheckError(t, err, wire.Other, name+"id 0x0116 is not that of a TMP117, which has 0x0117: other")
}
