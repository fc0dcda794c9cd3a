package si7021

import (
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/internal/bustest"
	"sensorgateway/wire"
)

func with(b []byte) []byte { return append(b, bustest.CRC8(0, b)) }

// drivers are those of all chips, which differ in their waits.
func drivers() map[string]*bustest.Driver {
	all := map[string]*bustest.Driver{
		"si7021": {Open: bustest.Open(NewI2C), Waits: []time.Duration{0, 22800 * time.Microsecond, 0, 10800 * time.Microsecond}, Within: 43 * time.Millisecond},
		"htu21d": {Open: bustest.Open(NewHTU21D), Waits: []time.Duration{0, 16 * time.Millisecond, 0, 50 * time.Millisecond}, Within: 74 * time.Millisecond},
		"sht2x":  {Open: bustest.Open(NewSHT2x), Waits: []time.Duration{0, 29 * time.Millisecond, 0, 85 * time.Millisecond}, Within: 122 * time.Millisecond},
	}
	for name, d := range all {
		d.Name, d.Addr, d.CRC = name+" 0x40 on bus 1", 0x40, true
		d.Opening = []i2ctest.IO{d.Write(0xFE), d.Read([]byte{0x3A}, 0xE7)}
		if name == "si7021" {
			d.Opening = append(d.Opening, d.Write(0xFC, 0xC9), d.Read([]byte{0x15}))
			d.Again = []int{3}
		}
		// The first is the example of the SHT21's note on checksums: 683A has 7C.
		d.Sense = []i2ctest.IO{d.Write(0xF5), d.Read([]byte{0x68, 0x3A, 0x7C}), d.Write(0xF3), d.Read(with([]byte{0x63, 0x80}))}
		d.Again = append(d.Again, len(d.Opening)+1, len(d.Opening)+3)
		d.Values = []float32{-46.85 + 175.72*0x6380/65536.0, -6 + 125*0x6838/65536.0}
	}
	return all
}

func TestDriver(t *testing.T) {
	for name, d := range drivers() {
		t.Run(name, d.Test)
	}
}

func TestFormula(t *testing.T) {
	for _, d := range drivers() {
		humidity := false
		d.Formula(t, []int{14, 14}, func(b, w []byte, raw []uint32) []byte {
			humidity = !humidity
			v := raw[0] << 2
			if humidity {
				v = raw[1]<<2 | 2
			}
			b = append(b, byte(v>>8), byte(v))
			return append(b, bustest.CRC8(0, b))
		}, func(raw []float64) []float64 {
			return []float64{raw[0]*4*(175.72/65536) - 46.85, min(max(raw[1]*4*(125/65536.0)-6, 0), 100)}
		})
	}
}

// A dead bus reads as zeros, which have a right checksum.
func TestZeros(t *testing.T) {
	d := drivers()["htu21d"]
	b := bustest.New(d.Write(0xFE), d.Read([]byte{0x02}, 0xE7), d.Write(0xF5), d.Read([]byte{0, 0, 0}))
	chip, err := NewHTU21D(b, 0x40)
	if err != nil {
		t.Fatal(err)
	}
	bustest.CheckError(t, chip.Sense(make([]float32, 2)), wire.Checksum, "htu21d 0x40 on bus 1: read: 0000 is not what command F5 measures: checksum")
}

func TestAnotherChip(t *testing.T) {
	d := drivers()["sht2x"]
	_, err := NewSHT2x(bustest.New(d.Write(0xFE), d.Read([]byte{0x00}, 0xE7)), 0x40)
	bustest.CheckError(t, err, wire.Other, "sht2x 0x40 on bus 1: user register 0x00 is not what it is after a reset: another chip: other")
}

func TestAnotherID(t *testing.T) {
	d := drivers()["si7021"]
	_, err := NewI2C(bustest.New(d.Write(0xFE), d.Opening[1], d.Write(0xFC, 0xC9), d.Read([]byte{0x32})), 0x40)
	bustest.CheckError(t, err, wire.Other, "si7021 0x40 on bus 1: id 0x32 is not that of a Si7021, which has 0x15: other")
}
