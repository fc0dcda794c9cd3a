package aht10

import (
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/internal/bustest"
	"sensorgateway/wire"
)

func driver() *bustest.Driver {
	d := &bustest.Driver{Name: "aht10 0x39 on bus 1", Addr: 0x39, Open: bustest.Open(NewI2C), Within: 80 * time.Millisecond}
	d.Opening = []i2ctest.IO{d.Write(0xBA), d.Write(0xE1, 0x08, 0x00), d.Read([]byte{0x18})}
	d.Sense = []i2ctest.IO{d.Write(0xAC, 0x33, 0x00), d.Read([]byte{0x18, 0x73, 0x33, 0x35, 0xD7, 0x0A})}
	d.Values = []float32{200*0x5D70A/1048576.0 - 50, 100 * 0x73333 / 1048576.0}
	d.Waits = []time.Duration{0, 80 * time.Millisecond}
	return d
}

func TestDriver(t *testing.T) { driver().Test(t) }

func TestFormula(t *testing.T) {
	driver().Formula(t, []int{20, 20}, func(b, _ []byte, raw []uint32) []byte {
		h, t := raw[1], raw[0]
		return append(b, 0x18, byte(h>>12), byte(h>>4), byte(h<<4)|byte(t>>16), byte(t>>8), byte(t))
	}, func(raw []float64) []float64 {
		return []float64{raw[0]*(200/1048576.0) - 50, raw[1] * (100 / 1048576.0)}
	})
}

func TestSenseFails(t *testing.T) {
	const name = "aht10 0x39 on bus 1: "
	d := driver()
	busy := d.Read([]byte{0x98, 0x73, 0x33, 0x35, 0xD7, 0x0A})
	for _, tt := range []struct {
		name  string
		reads []i2ctest.IO
		fault wire.Fault
		text  string
	}{
		{"late", []i2ctest.IO{busy, busy, busy, d.Sense[1]}, wire.Good, ""},
		{"too late", []i2ctest.IO{busy, busy, busy, busy}, wire.Timeout, name + "still measuring after 95ms: timeout"},
		{"reset", []i2ctest.IO{d.Read([]byte{0x10, 0x73, 0x33, 0x35, 0xD7, 0x0A})}, wire.WarmingUp, name + "was reset, its calibration is not loaded: warming_up"},
		{"reset within it", []i2ctest.IO{d.Read([]byte{0x18, 0, 0, 0, 0, 0})}, wire.WarmingUp, name + "was reset, its calibration is not loaded: warming_up"},
		{"all ones", []i2ctest.IO{d.Read([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}), busy}, wire.Timeout, name + "still measuring after 95ms: timeout"},
		{"all zeros", []i2ctest.IO{d.Read(make([]byte, 6))}, wire.Implausible, name + "read: all data are 0x00: implausible"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for len(tt.reads) < 4 && tt.reads[len(tt.reads)-1].R[0]&0x80 != 0 {
					tt.reads = append(tt.reads, busy)
				}
				b := bustest.New(append(append(d.Opening[:3:3], d.Sense[0]), tt.reads...)...)
				chip, err := NewI2C(b, d.Addr)
				if err != nil {
					t.Fatal(err)
				}
				bustest.CheckError(t, chip.Sense(make([]float32, 2)), tt.fault, tt.text)
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
	_, err := NewI2C(bustest.New(d.Opening[0], d.Opening[1], d.Read([]byte{0x10})), d.Addr)
	bustest.CheckError(t, err, wire.Other, name+"status 0x10: it does not load its calibration: other")
}
