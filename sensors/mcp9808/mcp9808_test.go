package mcp9808

import (
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/internal/bustest"
	"sensorgateway/wire"
)

func driver() *bustest.Driver {
	d := &bustest.Driver{Name: "mcp9808 0x1f on bus 1", Addr: 0x1F, Open: bustest.Open(NewI2C), Within: 0}
	d.Opening = []i2ctest.IO{d.Read([]byte{0x00, 0x54}, 0x06), d.Read([]byte{0x04, 0x00}, 0x07), d.Read([]byte{0x00, 0x00}, 0x01), d.Write(0x08, 0x03), d.Write(0x01, 0x02, 0x00), d.Read([]byte{0xC1, 0x94}, 0x05)}
	d.Sense = []i2ctest.IO{d.Read([]byte{0xC1, 0x94}, 0x05)} // section 5.1.3.1
	d.Values = []float32{25.25}
	return d
}

func TestDriver(t *testing.T) { driver().Test(t) }

func TestFormula(t *testing.T) {
	driver().Formula(t, []int{13}, func(b, w []byte, raw []uint32) []byte {
		if w[0] == 0x01 {
			return append(b, 0x02, 0x00)
		}
		return append(b, 0xC0|byte(raw[0]>>8), byte(raw[0]))
	}, func(raw []float64) []float64 {
		if raw[0] >= 4096 {
			return []float64{(raw[0] - 8192) * 0.0625}
		}
		return []float64{raw[0] * 0.0625}
	})
}

func TestSense(t *testing.T) {
	const name = "mcp9808 0x1f on bus 1: "
	d := driver()
	zero := d.Read([]byte{0x00, 0x00}, 0x05)
	for _, tt := range []struct {
		name  string
		ops   []i2ctest.IO
		fault wire.Fault
		text  string
		want  float32
	}{
		{"frost", []i2ctest.IO{d.Read([]byte{0x3E, 0xA0}, 0x05)}, wire.Good, "", -22},
		{"zero", []i2ctest.IO{zero, d.Read([]byte{0x02, 0x00}, 0x01)}, wire.Good, "", 0},
		{"reset", []i2ctest.IO{zero, d.Read([]byte{0x00, 0x00}, 0x01)}, wire.WarmingUp, name + "was reset, its settings are lost: warming_up", 0},
		{"all ones", []i2ctest.IO{d.Read([]byte{0xFF, 0xFF}, 0x05)}, wire.Implausible, name + "read: 0xffff is above and below its limits: implausible", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chip, err := NewI2C(bustest.New(append(d.Opening[:len(d.Opening):len(d.Opening)], tt.ops...)...), d.Addr)
				if err != nil {
					t.Fatal(err)
				}
				values := make([]float32, 1)
				bustest.CheckError(t, chip.Sense(values), tt.fault, tt.text)
				if values[0] != tt.want {
					t.Errorf("got %v", values)
				}
			})
		})
	}
	for name, opening := range map[string][2][]byte{
		"just powered": {{0x00, 0x00}, {0x00, 0x00}},
		"shut down":    {{0x01, 0x00}, {0xC1, 0x90}},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := bustest.New(d.Opening[0], d.Opening[1], d.Read(opening[0], 0x01), d.Opening[3], d.Opening[4], d.Read(opening[1], 0x05), d.Sense[0])
			chip, err := NewI2C(b, d.Addr)
			if err != nil {
				t.Fatal(err)
			}
			values, begin := make([]float32, 1), time.Now()
			if err := chip.Sense(values); err != nil || values[0] != 25.25 || time.Since(begin) != conversion {
				t.Errorf("%s: %v, %v after %v", name, err, values, time.Since(begin))
			}
		})
	}
	_, err := NewI2C(bustest.New(d.Opening[0], d.Read([]byte{0x05, 0x00}, 0x07)), d.Addr)
	bustest.CheckError(t, err, wire.Other, name+"ids 0x0054 0x0500 are not those of an MCP9808, which has 0x0054 0x04xx: other")
}
