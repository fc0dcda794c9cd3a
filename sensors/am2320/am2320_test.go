package am2320

import (
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"

	"sensorgateway/sensors/internal/bustest"
	"sensorgateway/wire"
)

// answer appends the checksum.
func answer(b ...byte) []byte {
	crc := crc16(b)
	return append(b, byte(crc), byte(crc>>8))
}

func driver() *bustest.Driver {
	d := &bustest.Driver{Name: "am2320 0x5c on bus 1", Addr: 0x5C, Open: bustest.Open(NewI2C), CRC: true, Within: 8 * time.Millisecond}
	d.Sense = []i2ctest.IO{d.Write(0x00), d.Write(0x03, 0x00, 0x04), d.Read(answer(0x03, 0x04, 0x02, 0x92, 0x01, 0x0D))} // the datasheet's example
	d.Opening = d.Sense
	d.Values = []float32{26.9, 65.8}
	d.Waits = []time.Duration{0, 800 * time.Microsecond, 1500 * time.Microsecond}
	d.Again, d.Accepted = []int{2, 5}, []int{0, 3}
	return d
}

func TestDriver(t *testing.T) { driver().Test(t) }

// TestCRC16 has the check value of CRC-16/MODBUS.
func TestCRC16(t *testing.T) {
	if got := crc16([]byte("123456789")); got != 0x4B37 {
		t.Errorf("%04X", got)
	}
}

func TestFormula(t *testing.T) {
	driver().Formula(t, []int{16, 16}, func(b, _ []byte, raw []uint32) []byte {
		b = append(b, 0x03, 0x04, byte(raw[1]>>8), byte(raw[1]), byte(raw[0]>>8), byte(raw[0]))
		crc := crc16(b)
		return append(b, byte(crc), byte(crc>>8))
	}, func(raw []float64) []float64 {
		if raw[0] >= 32768 {
			return []float64{(32768 - raw[0]) / 10, raw[1] / 10}
		}
		return []float64{raw[0] / 10, raw[1] / 10}
	})
}

// The chip is asleep, and what wakes it is not acknowledged.
func TestAsleep(t *testing.T) {
	d := driver()
	frost := append(d.Opening[:2:2], d.Read(answer(0x03, 0x04, 0x03, 0xE7, 0x80, 0x65)))
	b := bustest.New(append(d.Opening[:3:3], frost...)...)
	b.Fail[0], b.Fail[3] = bustest.NoAck, bustest.NoAck
	chip, err := NewI2C(b, d.Addr)
	if err != nil {
		t.Fatal(err)
	}
	values := make([]float32, 2)
	if err := chip.Sense(values); err != nil || values[0] != -10.1 || values[1] != 99.9 {
		t.Errorf("%v, %v", values, err)
	}
	b = bustest.New(d.Opening[0], d.Opening[1], d.Read(answer(0x83, 0x80, 0, 0, 0, 0)))
	_, err = NewI2C(b, d.Addr)
	if wire.FaultOf(err) != wire.Other {
		t.Errorf("another answer: %v", err)
	}
}
