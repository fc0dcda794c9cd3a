package identify

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"sensorgateway/sensors/bus"
	"sensorgateway/sensors/sim"
	"sensorgateway/wire"
)

// heard is a bus that notes what is written to a chip.
type heard struct {
	i2c.Bus
	writes [][]byte
}

func (h *heard) Tx(addr uint16, w, r []byte) error {
	if len(w) > 0 {
		h.writes = append(h.writes, bytes.Clone(w))
	}
	return h.Bus.Tx(addr, w, r)
}

// wantMasks wants nothing written but single bits, and what was connected before.
func (h *heard) wantMasks(t *testing.T, before byte) {
	t.Helper()
	for _, w := range h.writes {
		if len(w) != 1 || w[0]&(w[0]-1) != 0 && w[0] != before {
			t.Errorf("% x was written", w)
		}
	}
}

// newMux returns a bus with a multiplexer, and what sets it.
func newMux(t *testing.T, addr uint16) *sim.Bus {
	t.Helper()
	b := sim.NewBus("bus 1", sim.NewEnvironment(1), uint64(addr))
	if err := b.AddMux(addr); err != nil {
		t.Fatal(err)
	}
	return b
}

// connects returns what a multiplexer connects.
func connects(t *testing.T, b i2c.Bus, addr uint16) byte {
	t.Helper()
	var r [1]byte
	if err := b.Tx(addr, nil, r[:]); err != nil {
		t.Fatal(err)
	}
	return r[0]
}

// A multiplexer is recognised at any of its addresses, whatever it connects. It gets no other
// requests, and is left as it was.
func TestMultiplexer(t *testing.T) {
	for addr := uint16(FirstMux); addr <= LastMux; addr++ {
		for _, before := range []byte{0, 0x08, 0xD0, 0xFF} {
			b := newMux(t, addr)
			if err := b.Tx(addr, []byte{before}, nil); err != nil {
				t.Fatal(err)
			}
			h := &heard{Bus: b}
			if m, ok, err := MuxAt(h, addr); m != (Mux{8, before}) || !ok || err != nil {
				t.Errorf("0x%02x: %+v, %v, %v", addr, m, ok, err)
			}
			if a, err := At(h, addr); a != (Answer{Model: "TCA9548A", Seen: "8 channels", Channels: 8}) || err != nil {
				t.Errorf("0x%02x: %+v, %v", addr, a, err)
			}
			h.wantMasks(t, before)
			if got := connects(t, b, addr); got != before {
				t.Errorf("0x%02x connected 0x%02x, and now 0x%02x", addr, before, got)
			}
		}
	}
}

// With bad wiring too, a multiplexer is not taken for another chip, and is left as it was.
func TestMultiplexerWithBadWiring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		emulated := newMux(t, 0x76)
		b := bus.New("bus 1", emulated.Open, slog.New(slog.DiscardHandler))
		defer b.Close()
		if err := b.Tx(0x76, []byte{0x20}, nil); err != nil {
			t.Fatal(err)
		}
		if err := emulated.Inject(0x76, sim.Failure{Kind: sim.Vanish, Share: 0.1}); err != nil {
			t.Fatal(err)
		}
		h, lost := &heard{Bus: b}, 0
		for range 1000 {
			if a, err := At(h, 0x76); err != nil || a.Channels != 8 {
				lost++
			}
		}
		h.wantMasks(t, 0x20)
		emulated.Repair(0x76)
		if got := connects(t, b, 0x76); lost > 1 || got != 0x20 {
			t.Errorf("%d of 1000 times it was not known; it connects 0x%02x", lost, got)
		}
	})
}

// registers is a chip with a pointer to its registers, as most have; or with one that
// keeps some bits of what is written, which is a multiplexer.
type registers struct {
	values  map[byte]byte
	mask    byte // bits that a multiplexer keeps; 0: it is none
	pointer byte
	max     byte // the highest byte written
	fails   int  // which transfer fails, from 1 on
	failure error
}

func (*registers) String() string                  { return "bus 1" }
func (*registers) SetSpeed(physic.Frequency) error { return nil }

func (c *registers) Tx(_ uint16, w, r []byte) error {
	if c.fails--; c.fails == 0 {
		return c.failure
	}
	if len(w) > 0 {
		c.pointer, c.max = w[0], max(c.max, w[0])
		if c.mask != 0 {
			c.pointer &= c.mask
		}
	}
	for i := range r {
		r[i] = c.values[c.pointer+byte(i)]
		if c.mask != 0 {
			r[i] = c.pointer
		}
	}
	return nil
}

// Other chips are not taken for a multiplexer, and get nothing that could harm them.
func TestNoMultiplexer(t *testing.T) {
	for name, c := range map[string]*registers{
		"BMP390":                               {values: map[byte]byte{0x00: 0x60, 0x01: 0x01, 0x02: 0x02, 0x04: 0x05}},
		"BME280, whose pointer is at its id":   {values: map[byte]byte{0xD0: 0x60}, pointer: 0xD0},
		"HT16K33, with a picture":              {values: map[byte]byte{0x00: 0x21, 0x01: 0x01, 0x02: 0x02, 0x04: 0x03}},
		"PCA9543A, with two channels":          {mask: 0x03, pointer: 0x02},
		"PCA9685, by its address for them all": {values: map[byte]byte{0x00: 0x11, 0x01: 0x04, 0x02: 0xE2}},
	} {
		t.Run(name, func(t *testing.T) {
			before := c.pointer
			m, ok, err := MuxAt(c, 0x70)
			if ok || err != nil {
				t.Errorf("%+v, %v, %v", m, ok, err)
			}
			if c.max > 0x04 && c.max != c.values[before] {
				t.Errorf("0x%02x was written", c.max)
			}
			if c.mask != 0 && c.pointer != before {
				t.Errorf("it connected 0x%02x, and now 0x%02x", before, c.pointer)
			}
		})
	}
}

// The number of channels is that of the bits that are kept.
func TestChannelsOfAMultiplexer(t *testing.T) {
	for mask, want := range map[byte]Answer{
		0x07: {Model: "multiplexer", Seen: "3 channels", Channels: 3},
		0x0F: {Model: "TCA9546A", Seen: "4 channels", Channels: 4},
		0xFF: {Model: "TCA9548A", Seen: "8 channels", Channels: 8},
	} {
		if a, err := At(&registers{mask: mask}, 0x71); a != want || err != nil {
			t.Errorf("%+v, %v, want %+v", a, err, want)
		}
	}
}

// Whichever transfer fails, the multiplexer is left as it was, or the error says that it is not.
func TestMultiplexerFails(t *testing.T) {
	for n := 1; n <= 18; n++ {
		for _, failure := range []wire.Fault{wire.Timeout, wire.NoAck} {
			c := &registers{mask: 0xFF, pointer: 0x24, fails: n, failure: fmt.Errorf("it fails: %w", failure)}
			m, ok, err := MuxAt(c, 0x70)
			switch {
			case failure == wire.NoAck && (m != Mux{8, 0x24} || !ok || err != nil): // a single failure changes nothing
				t.Errorf("transfer %d: %+v, %v, %v", n, m, ok, err)
			case failure == wire.Timeout && ok == (err != nil):
				t.Errorf("transfer %d: %+v, %v, %v", n, m, ok, err)
			case c.pointer != 0x24:
				t.Errorf("transfer %d: it connects 0x%02x", n, c.pointer)
			}
		}
	}
	c := &registers{mask: 0xFF, pointer: 0x24}
	if _, ok, err := MuxAt(&vanishes{c, 4}, 0x70); ok || err == nil || wire.FaultOf(err) == wire.NoAck {
		t.Errorf("%v, %v, though it connects 0x%02x and not 0x24", ok, err, c.pointer)
	}
}

// vanishes is a bus on which nobody answers after some transfers.
type vanishes struct {
	i2c.Bus
	after int
}

func (v *vanishes) Tx(addr uint16, w, r []byte) error {
	if v.after--; v.after < 0 {
		return fmt.Errorf("no acknowledge: %w", wire.NoAck)
	}
	return v.Bus.Tx(addr, w, r)
}
