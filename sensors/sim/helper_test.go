package sim_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"sensorgateway/sensors/sim"
	"sensorgateway/wire"
)

const (
	sht = 0x44
	bme = 0x76
	aht = 0x38
)

// newBus returns a bus with one chip of each model.
func newBus(t testing.TB, seed uint64) *sim.Bus {
	t.Helper()
	b := sim.NewBus("bus 1", sim.NewEnvironment(seed), seed)
	for _, chip := range []struct {
		model string
		addr  uint16
		place sim.Place
	}{{"sht3x", sht, sim.Indoor}, {"bme280", bme, sim.Outdoor}, {"aht20", aht, sim.Outdoor}} {
		if err := b.Add(chip.model, chip.addr, chip.place); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// get does a transaction that must succeed and returns the n bytes it read.
func get(t testing.TB, b *sim.Bus, addr uint16, w []byte, n int) []byte {
	t.Helper()
	r := make([]byte, n)
	if err := b.Tx(addr, w, r); err != nil {
		t.Fatalf("Tx(0x%02x, % x, %d bytes): %v", addr, w, n, err)
	}
	return r
}

func put(t testing.TB, b *sim.Bus, addr uint16, w ...byte) {
	t.Helper()
	get(t, b, addr, w, 0)
}

// refused does a transaction that must not be acknowledged.
func refused(t testing.TB, b *sim.Bus, addr uint16, w []byte, n int) {
	t.Helper()
	if err := b.Tx(addr, w, make([]byte, n)); !errors.Is(err, wire.NoAck) {
		t.Fatalf("Tx(0x%02x, % x, %d bytes): %v, want no acknowledge", addr, w, n, err)
	}
}

func inject(t testing.TB, b *sim.Bus, addr uint16, f ...sim.Failure) {
	t.Helper()
	if err := b.Inject(addr, f...); err != nil {
		t.Fatal(err)
	}
}

func crc(b []byte) byte {
	c := byte(0xFF)
	for _, x := range b {
		c ^= x
		for range 8 {
			c = c<<1 ^ c>>7*0x31
		}
	}
	return c
}

// A reader reads one chip as its datasheet says, and returns the measurement's raw bytes.
type reader struct {
	model string
	addr  uint16
	init  func(b *sim.Bus) error
	read  func(b *sim.Bus) ([]byte, error)
}

var readers = []reader{
	{"sht3x", sht,
		func(*sim.Bus) error { return nil },
		func(b *sim.Bus) ([]byte, error) {
			if err := b.Tx(sht, []byte{0x24, 0x0B}, nil); err != nil {
				return nil, err
			}
			time.Sleep(7 * time.Millisecond)
			r := make([]byte, 6)
			if err := b.Tx(sht, nil, r); err != nil {
				return nil, err
			}
			if crc(r[:2]) != r[2] || crc(r[3:5]) != r[5] {
				return nil, wire.Checksum
			}
			return r, nil
		}},
	{"bme280", bme,
		func(b *sim.Bus) error { return b.Tx(bme, []byte{0xF2, 1, 0xF4, 0x20}, nil) },
		func(b *sim.Bus) ([]byte, error) {
			if err := b.Tx(bme, []byte{0xF4, 0x21}, nil); err != nil {
				return nil, err
			}
			time.Sleep(10 * time.Millisecond)
			r := make([]byte, 8)
			if err := b.Tx(bme, []byte{0xF7}, r); err != nil {
				return nil, err
			}
			if bytes.Count(r, []byte{0xFF}) == 8 || bytes.Count(r, []byte{0}) == 8 {
				return nil, wire.Implausible
			}
			return r, nil
		}},
	{"aht20", aht,
		func(b *sim.Bus) error {
			err := b.Tx(aht, []byte{0xBE, 8, 0}, nil)
			time.Sleep(10 * time.Millisecond)
			return err
		},
		func(b *sim.Bus) ([]byte, error) {
			if err := b.Tx(aht, []byte{0xAC, 0x33, 0}, nil); err != nil {
				return nil, err
			}
			time.Sleep(80 * time.Millisecond)
			r := make([]byte, 7)
			if err := b.Tx(aht, nil, r); err != nil {
				return nil, err
			}
			if crc(r[:6]) != r[6] {
				return nil, wire.Checksum
			}
			if r[0]&0x88 != 0x08 {
				return nil, wire.Other
			}
			return r, nil
		}},
}
