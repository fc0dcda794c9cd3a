package bme680

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/internal/bustest"
	"sensorgateway/wire"
)

// The trimming values of a usual part.
var (
	low = []byte{0x5B, 0x66, 0x03, 0xF0, // T2 = 26203, T3 = 3
		0x91, 0x8D, 0x8D, 0xD7, 0x58, 0x00, // P1 = 36241, P2 = -10355, P3 = 88
		0x9E, 0x1B, 0x6B, 0xFF, 0x1E, 0x1E, 0x00, 0x00, // P4 = 7070, P5 = -149, P7 = 30, P6 = 30
		0x6B, 0xFB, 0x5C, 0xF7, 0x1E} // P8 = -1173, P9 = -2212, P10 = 30
	high = []byte{0x3E, 0xF9, 0x2E, 0x00, 0x2D, 0x14, 0x78, 0x9C, // H2 = 1007, H1 = 745, H3 = 0, H4 = 45, H5 = 20, H6 = 120, H7 = -100
		0x2E, 0x66, 0x90, 0xF1, 0xC1, 0x12} // T1 = 26158; gas
)

// formula is the datasheet's, in its own steps (sections 3.3.1 to 3.3.3).
func formula(rawT, rawH, rawP float64) []float64 {
	var1 := ((rawT / 16384.0) - (26158 / 1024.0)) * 26203
	var2 := (((rawT / 131072.0) - (26158 / 8192.0)) * ((rawT / 131072.0) - (26158 / 8192.0))) * (3 * 16.0)
	fine := var1 + var2
	celsius := fine / 5120.0

	var1 = (fine / 2.0) - 64000.0
	var2 = var1 * var1 * (30 / 131072.0)
	var2 += var1 * -149 * 2.0
	var2 = (var2 / 4.0) + (7070 * 65536.0)
	var1 = (((88 * var1 * var1) / 16384.0) + (-10355 * var1)) / 524288.0
	var1 = (1.0 + (var1 / 32768.0)) * 36241
	press := 1048576.0 - rawP
	press = ((press - (var2 / 4096.0)) * 6250.0) / var1
	var1 = (-2212 * press * press) / 2147483648.0
	var2 = press * (-1173 / 32768.0)
	var3 := math.Pow(press/256.0, 3) * (30 / 131072.0)
	press += (var1 + var2 + var3 + (30 * 128.0)) / 16.0

	var1 = rawH - ((745 * 16.0) + ((0 / 2.0) * celsius))
	var2 = var1 * ((1007 / 262144.0) * (1.0 + ((45 / 16384.0) * celsius) + ((20 / 1048576.0) * celsius * celsius)))
	var3 = 120 / 16384.0
	var4 := -100 / 2097152.0
	hum := var2 + ((var3 + (var4 * celsius)) * var2 * var2)
	return []float64{celsius, min(max(hum, 0), 100), press / 100}
}

func driver() *bustest.Driver {
	d := &bustest.Driver{Name: "bme680 0x77 on bus 1", Addr: 0x77, Open: bustest.Open(NewI2C), Within: 9 * time.Millisecond}
	readLow, readHigh := d.Read(low, 0x8A), d.Read(high, 0xE1)
	d.Opening = []i2ctest.IO{d.Read([]byte{0x61}, 0xD0), readLow, readHigh, readLow, readHigh,
		d.Write(0x70, 0x08, 0x71, 0x00, 0x72, 0x01, 0x75, 0x00), d.Write(0x74, 0x24)}
	d.Sense = []i2ctest.IO{d.Write(0x74, 0x25), d.Read(data(0x80, 0x5C000, 0x78000, 0x5000), 0x1D)}
	for _, v := range formula(0x78000, 0x5000, 0x5C000) {
		d.Values = append(d.Values, float32(v))
	}
	d.Waits = []time.Duration{0, 8400 * time.Microsecond}
	return d
}

func data(status byte, p, t, h uint32) []byte {
	return []byte{status, 0, byte(p >> 12), byte(p >> 4), byte(p << 4), byte(t >> 12), byte(t >> 4), byte(t << 4), byte(h >> 8), byte(h)}
}

func TestDriver(t *testing.T) {
	driver().Test(t)
	if v := driver().Values; math.Abs(float64(v[0])-24) > 8 || math.Abs(float64(v[1])-50) > 30 || math.Abs(float64(v[2])-950) > 150 {
		t.Errorf("not the values of a room: %v", v)
	}
}

func TestFormula(t *testing.T) {
	driver().Formula(t, []int{20, 16, 20}, func(b, w []byte, raw []uint32) []byte {
		if w[0] == 0x72 {
			return append(b, 0x01, 0x00, 0x24)
		}
		return append(b, 0x80, 0, byte(raw[2]>>12), byte(raw[2]>>4), byte(raw[2]<<4), byte(raw[0]>>12), byte(raw[0]>>4), byte(raw[0]<<4), byte(raw[1]>>8), byte(raw[1]))
	}, func(raw []float64) []float64 { return formula(raw[0], raw[1], raw[2]) })
}

func TestSenseFails(t *testing.T) {
	const name = "bme680 0x77 on bus 1: "
	d := driver()
	busy := d.Read(data(0x20, 0x5C000, 0x78000, 0x5000), 0x1D)
	nothing := d.Read(data(0x80, 0x80000, 0x80000, 0x8000), 0x1D)
	var late []i2ctest.IO
	for range polls {
		late = append(late, busy)
	}
	for _, tt := range []struct {
		name  string
		reads []i2ctest.IO
		fault wire.Fault
		text  string
	}{
		{"late", []i2ctest.IO{busy, busy, d.Sense[1]}, wire.Good, ""},
		{"too late", late, wire.Timeout, name + "still measuring after 18ms: timeout"},
		{"reset", []i2ctest.IO{nothing, d.Read([]byte{0, 0, 0x24}, 0x72)}, wire.WarmingUp, name + "was reset, its settings are lost: warming_up"},
		{"values that look like none", []i2ctest.IO{nothing, d.Read([]byte{1, 0, 0x24}, 0x72)}, wire.Good, ""},
		{"all zeros", []i2ctest.IO{busy, d.Read(make([]byte, 10), 0x1D)}, wire.Implausible, ""},
		{"all ones", []i2ctest.IO{d.Read([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255}, 0x1D)}, wire.Implausible, name + "read: all data are 0xff: implausible"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.name == "all zeros" { // they say that it still measures
					tt.reads, tt.fault, tt.text = nil, wire.Implausible, name+"read: all data are 0x00: implausible"
					for range polls {
						tt.reads = append(tt.reads, d.Read(make([]byte, 10), 0x1D))
					}
				}
				b := bustest.New(append(append(d.Opening[:7:7], d.Sense[0]), tt.reads...)...)
				chip, err := NewI2C(b, d.Addr)
				if err != nil {
					t.Fatal(err)
				}
				bustest.CheckError(t, chip.Sense(make([]float32, 3)), tt.fault, tt.text)
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestOpening(t *testing.T) {
	const name = "bme680 0x77 on bus 1: "
	d := driver()
	other := append([]byte{0x5C}, low[1:]...)
	for text, ops := range map[string][]i2ctest.IO{
		"chip id 0x60 is not that of a BME680, which has 0x61: other": {d.Read([]byte{0x60}, 0xD0)},
		"trimming values are blank: other":                            {d.Opening[0], d.Read(make([]byte, 23), 0x8A)},
		"trimming values were read differently twice: checksum":       {d.Opening[0], d.Opening[1], d.Opening[2], d.Read(other, 0x8A), d.Opening[2]},
	} {
		_, err := NewI2C(bustest.New(ops...), d.Addr)
		if err == nil || err.Error() != name+text {
			t.Errorf("%v, want %s", err, text)
		}
	}
}
