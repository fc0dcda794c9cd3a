package sim_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/sensors/sim"
)

const ms = time.Millisecond

func TestCRC(t *testing.T) {
	if got := crc([]byte{0xBE, 0xEF}); got != 0x92 { // the datasheets' example
		t.Fatalf("crc(BEEF) = %02x, want 92: the other tests rely on it", got)
	}
}

func TestSHT3xSingleShot(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cmd   []byte
		takes time.Duration
	}{
		{"high", []byte{0x24, 0x00}, 15 * ms},
		{"medium", []byte{0x24, 0x0B}, 6 * ms},
		{"low", []byte{0x24, 0x16}, 4 * ms},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBus(t, 1)
				refused(t, b, sht, nil, 6) // nothing measured yet
				put(t, b, sht, tt.cmd...)
				done := time.Now().Add(tt.takes)
				refused(t, b, sht, nil, 6)
				refused(t, b, sht, tt.cmd, 0) // no command while it converts
				time.Sleep(tt.takes - time.Nanosecond)
				refused(t, b, sht, nil, 6)
				time.Sleep(time.Nanosecond)
				checkSHT(t, get(t, b, sht, nil, 6), sim.NewEnvironment(1).At(sim.Indoor, done))
				refused(t, b, sht, nil, 6) // it is read once
			})
		})
	}
}

func TestSHT3xStretching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, 1)
		start := time.Now()
		r := get(t, b, sht, []byte{0x2C, 0x06}, 6)
		if d := time.Since(start); d != 15*ms {
			t.Errorf("held the clock for %v", d)
		}
		checkSHT(t, r, sim.NewEnvironment(1).At(sim.Indoor, time.Now()))
	})
}

func TestSHT3xPeriodic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, 1)
		fetch := []byte{0xE0, 0x00}
		put(t, b, sht, 0x27, 0x21) // medium, ten a second
		start := time.Now()
		refused(t, b, sht, fetch, 6)
		refused(t, b, sht, []byte{0x24, 0x0B}, 0) // not before a break
		time.Sleep(6 * ms)
		first := get(t, b, sht, fetch, 6)
		refused(t, b, sht, fetch, 6) // nothing new
		time.Sleep(350 * ms)         // three more, of which the newest counts
		r := get(t, b, sht, fetch, 6)
		checkSHT(t, r, sim.NewEnvironment(1).At(sim.Indoor, start.Add(306*ms)))
		if bytes.Equal(first, r) {
			t.Error("measured the same twice")
		}
		refused(t, b, sht, fetch, 6)
		time.Sleep(50 * ms)
		get(t, b, sht, fetch, 6)

		put(t, b, sht, 0x30, 0x93)                // break
		refused(t, b, sht, []byte{0x24, 0x0B}, 0) // it takes 1 ms
		time.Sleep(ms)
		put(t, b, sht, 0x24, 0x0B)
	})
}

func TestSHT3xStatusAndSerial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, 1)
		status := func(want uint16) {
			t.Helper()
			r := get(t, b, sht, []byte{0xF3, 0x2D}, 3)
			if got := binary.BigEndian.Uint16(r); got != want || crc(r[:2]) != r[2] {
				t.Errorf("status % x, want %04x", r, want)
			}
		}
		status(0x8010) // alert pending, reset detected
		put(t, b, sht, 0x30, 0x41)
		status(0)
		refused(t, b, sht, []byte{0x12, 0x34}, 0)
		status(0x0002) // the last command failed
		status(0)
		put(t, b, sht, 0x30, 0x6D)
		status(0x2000) // heater
		put(t, b, sht, 0x30, 0x66)
		status(0)
		put(t, b, sht, 0x30, 0xA2) // reset
		refused(t, b, sht, []byte{0xF3, 0x2D}, 3)
		time.Sleep(1500 * time.Microsecond)
		status(0x8010)

		serial := get(t, b, sht, []byte{0x36, 0x82}, 6)
		if crc(serial[:2]) != serial[2] || crc(serial[3:5]) != serial[5] {
			t.Errorf("serial % x: wrong checksum", serial)
		}
		if other := get(t, newBus(t, 2), sht, []byte{0x37, 0x80}, 6); bytes.Equal(serial, other) {
			t.Errorf("serial % x twice", serial)
		}
		// Bytes after the answer are 0xFF: nobody pulls the line down.
		if r := get(t, b, sht, []byte{0xF3, 0x2D}, 5); r[3] != 0xFF || r[4] != 0xFF {
			t.Errorf("after the answer: % x", r[3:])
		}
	})
}

func TestAHT20(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, 1)
		status := func(want byte) {
			t.Helper()
			if r := get(t, b, aht, []byte{0x71}, 1); r[0] != want {
				t.Errorf("status %02x, want %02x", r[0], want)
			}
		}
		status(0x10) // not calibrated
		put(t, b, aht, 0xBE, 0x08, 0x00)
		time.Sleep(10 * ms)
		status(0x18)
		put(t, b, aht, 0xAC, 0x33, 0x00)
		done := time.Now().Add(80 * ms)
		time.Sleep(80*ms - time.Nanosecond)
		status(0x98) // busy
		time.Sleep(time.Nanosecond)
		r := get(t, b, aht, nil, 7)
		if r[0] != 0x18 || crc(r[:6]) != r[6] {
			t.Errorf("% x: wrong status or checksum", r)
		}
		h := uint32(r[1])<<12 | uint32(r[2])<<4 | uint32(r[3])>>4
		v := uint32(r[3]&15)<<16 | uint32(r[4])<<8 | uint32(r[5])
		air := sim.NewEnvironment(1).At(sim.Outdoor, done)
		within(t, "temperature", float64(v)/(1<<20)*200-50, air.Temperature, 0.1)
		within(t, "humidity", float64(h)/(1<<20)*100, air.Humidity, 0.2)

		put(t, b, aht, 0xBA)
		refused(t, b, aht, []byte{0x71}, 1)
		time.Sleep(20 * ms)
		status(0x10)
		refused(t, b, aht, []byte{0xAC}, 0) // lacks its arguments
		refused(t, b, aht, []byte{0x00}, 0) // no command
	})
}

func TestBME280Forced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, 1)
		reg := func(r byte) byte { t.Helper(); return get(t, b, bme, []byte{r}, 1)[0] }
		if id := reg(0xD0); id != 0x60 {
			t.Errorf("id %02x", id)
		}
		none := []byte{0x80, 0, 0, 0x80, 0, 0, 0x80, 0}
		if r := get(t, b, bme, []byte{0xF7}, 8); !bytes.Equal(r, none) {
			t.Errorf("before a measurement: % x", r)
		}
		put(t, b, bme, 0xF2, 5, 0xF5, 0, 0xF4, 2<<5|3<<2|1) // humidity 16, temperature 2, pressure 4 times, forced
		takes := ms + 2*2*ms + (4*2*ms + ms/2) + (16*2*ms + ms/2)
		if s := reg(0xF3); s != 8 {
			t.Errorf("status %02x while it measures", s)
		}
		time.Sleep(takes - time.Nanosecond)
		if s, r := reg(0xF3), get(t, b, bme, []byte{0xF7}, 8); s != 8 || !bytes.Equal(r, none) {
			t.Errorf("just before the end: status %02x, data % x", s, r)
		}
		time.Sleep(time.Nanosecond)
		if s, c := reg(0xF3), reg(0xF4); s != 0 || c != 2<<5|3<<2 {
			t.Errorf("after the end: status %02x, ctrl_meas %02x, want it asleep", s, c)
		}
		// One burst and the same registers one by one.
		r := get(t, b, bme, []byte{0xF7}, 8)
		for i, want := range r {
			if got := reg(0xF7 + byte(i)); got != want {
				t.Errorf("register %02x: %02x alone, %02x in a burst", 0xF7+i, got, want)
			}
		}
		if r[2]&0x07 != 0 || r[5]&0x07 != 0 { // 18 and 17 bits
			t.Errorf("% x: finer than the oversampling allows", r)
		}
		put(t, b, bme, 0xE0, 0xB6)
		refused(t, b, bme, []byte{0xD0}, 1)
		time.Sleep(2 * ms)
		if c := reg(0xF2); c != 0 {
			t.Errorf("ctrl_hum %02x after a reset", c)
		}
	})
}

func TestBME280Skipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, 1)
		measure := func(w ...byte) []byte {
			t.Helper()
			put(t, b, bme, w...)
			time.Sleep(20 * ms)
			return get(t, b, bme, []byte{0xF7}, 8)
		}
		r := measure(0xF4, 1<<5|1)
		if r[0] != 0x80 || r[3] == 0x80 || r[6] != 0x80 || r[7] != 0 {
			t.Errorf("temperature only: % x", r)
		}
		put(t, b, bme, 0xF2, 1) // counts from the next ctrl_meas on
		if r := measure(0xF4, 1<<5|1<<2|1); r[0] == 0x80 || r[3] == 0x80 || r[6] == 0x80 && r[7] == 0 {
			t.Errorf("all: % x", r)
		}
		if r := measure(0xF2, 0, 0xF4, 1<<2|2); r[0] == 0x80 || r[3] != 0x80 || r[6] != 0x80 {
			t.Errorf("pressure only: % x", r)
		}
	})
}

func TestBME280Normal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, 1)
		put(t, b, bme, 0xF2, 1, 0xF5, 6<<5, 0xF4, 1<<5|1<<2|3) // 8 ms of each 18 ms
		status := func() byte { return get(t, b, bme, []byte{0xF3}, 1)[0] }
		var before []byte
		for range 10 {
			if s := status(); s != 8 {
				t.Fatalf("status %02x while it measures", s)
			}
			time.Sleep(8 * ms)
			r := get(t, b, bme, []byte{0xF7}, 8)
			if status() != 0 || bytes.Equal(r, before) {
				t.Fatalf("status %02x in the pause, % x after % x", status(), r, before)
			}
			before = r
			time.Sleep(10 * ms)
		}
	})
}

func checkSHT(t *testing.T, r []byte, air sim.Air) {
	t.Helper()
	if crc(r[:2]) != r[2] || crc(r[3:5]) != r[5] {
		t.Errorf("% x: wrong checksum", r)
	}
	within(t, "temperature", float64(binary.BigEndian.Uint16(r))/65535*175-45, air.Temperature, 0.25)
	within(t, "humidity", float64(binary.BigEndian.Uint16(r[3:]))/65535*100, air.Humidity, 0.35)
}

func within(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s: got %.4f, want %.4f ± %.3f", what, got, want, tolerance)
	}
}
