package scd4x

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/internal/bustest"
	"sensorgateway/wire"
)

func driver() *bustest.Driver {
	d := &bustest.Driver{Name: "scd4x 0x62 on bus 1", Addr: 0x62, Open: bustest.Open(NewI2C), CRC: true, Within: 10 * time.Millisecond}
	d.Opening = []i2ctest.IO{d.Write(0xE4, 0xB8), d.Read(bustest.Words(nil, 0x8000)), d.Write(0x21, 0xB1)}
	d.Sense = []i2ctest.IO{d.Write(0xE4, 0xB8), d.Read(bustest.Words(nil, 0x8006)),
		d.Write(0xEC, 0x05), d.Read([]byte{0x01, 0xF4, 0x33, 0x66, 0x67, 0xA2, 0x5E, 0xB9, 0x3C})} // the datasheet's example
	d.Values = []float32{-45 + 175*0x6667/65535.0, 100 * 0x5EB9 / 65535.0, 500}
	d.Waits = []time.Duration{0, time.Millisecond, 0, time.Millisecond}
	d.Again = []int{1, 4, 6}
	d.Accepted = []int{2}
	return d
}

func TestDriver(t *testing.T) { driver().Test(t) }

func TestFormula(t *testing.T) {
	driver().Formula(t, []int{16, 16, 16}, func(b, w []byte, raw []uint32) []byte {
		if w[0] == 0xE4 {
			return bustest.Words(b, 0x8006)
		}
		return bustest.Words(b, uint16(raw[2]), uint16(raw[0]), uint16(raw[1]))
	}, func(raw []float64) []float64 {
		return []float64{raw[0]*(175/65535.0) - 45, raw[1] * (100 / 65535.0), raw[2]}
	})
}

// Between two measurements of the chip the last one is given, for a while.
func TestNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := driver()
		none := []i2ctest.IO{d.Sense[0], d.Read(bustest.Words(nil, 0x8000))}
		restart := []i2ctest.IO{d.Write(0x3F, 0x86), d.Write(0x21, 0xB1)}
		b := bustest.New(slices.Concat(d.Opening, none, d.Sense, none, none, restart, none)...)
		b.Fail[2] = bustest.NoAck // it measures already
		chip, err := NewI2C(b, d.Addr)
		if err != nil {
			t.Fatal(err)
		}
		values := make([]float32, 3)
		bustest.CheckError(t, chip.Sense(values), wire.WarmingUp, "scd4x 0x62 on bus 1: has nothing measured yet: warming_up")
		for range 2 {
			if err := chip.Sense(values); err != nil || values[2] != 500 {
				t.Fatal(values, err)
			}
			time.Sleep(5 * time.Second)
		}
		begin := time.Now()
		bustest.CheckError(t, chip.Sense(values), wire.WarmingUp, "scd4x 0x62 on bus 1: has measured nothing for 10 s, and was started anew: warming_up")
		if took := time.Since(begin); took != 501*time.Millisecond {
			t.Errorf("it took %v; a chip takes no command within 500 ms of a stop", took)
		}
		bustest.CheckError(t, chip.Sense(values), wire.WarmingUp, "scd4x 0x62 on bus 1: has nothing measured yet: warming_up")
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A measurement that was lost on the bus is no reason to stop a chip that measures, nor are
// values of before given for it for longer than any others.
func TestReadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := driver()
		none := []i2ctest.IO{d.Sense[0], d.Read(bustest.Words(nil, 0x8000))}
		bad := slices.Clone(d.Sense)
		bad[3] = d.Read([]byte{0x01, 0xF4, 0x32, 0x66, 0x67, 0xA2, 0x5E, 0xB9, 0x3C})
		restart := []i2ctest.IO{d.Write(0x3F, 0x86), d.Write(0x21, 0xB1)}
		b := bustest.New(slices.Concat(d.Opening, bad, none, d.Sense, bad, none, bad, none, d.Sense, bad, none, restart)...)
		chip, err := NewI2C(b, d.Addr)
		if err != nil {
			t.Fatal(err)
		}
		const lost, restarted = "read: 01F4 came with CRC 32, not 33: checksum", "has measured nothing for 10 s, and was started anew: warming_up"
		for i, step := range []struct {
			after time.Duration
			want  string // "": the values
		}{
			{0, lost}, {100 * time.Millisecond, lost}, // nothing was read yet
			{5 * time.Second, ""},
			{5 * time.Second, lost}, {100 * time.Millisecond, ""}, // what was read is not old
			{20 * time.Second, lost}, {100 * time.Millisecond, lost},
			{5 * time.Second, ""},
			{20 * time.Second, lost}, {11 * time.Second, restarted},
		} {
			time.Sleep(step.after)
			values := make([]float32, 3)
			switch err := chip.Sense(values); {
			case step.want == "":
				if err != nil || values[2] != 500 {
					t.Errorf("step %d: %v, %v", i, values, err)
				}
			case err == nil || err.Error() != "scd4x 0x62 on bus 1: "+step.want:
				t.Errorf("step %d: %v", i, err)
			}
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}
