package scan

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"sensorgateway/sensors/bus"
	"sensorgateway/sensors/sim"
	"sensorgateway/wire"
)

// told is what a scan found, for people: "0x70/3 0x44 sht3x".
func told(r *Result) (all []string) {
	for _, a := range r.Found {
		where := a.Address
		if a.Mux != nil {
			where = fmt.Sprintf("0x%02x/%d %s", a.Mux.Address, a.Mux.Channel, a.Address)
		}
		who := a.Chip
		switch {
		case a.Sensor != "":
			who = "sensor " + a.Sensor
		case a.Driver != "":
			who = "driver " + a.Driver
		case a.Channels > 0:
			who = fmt.Sprintf("%s with %d channels", a.Model, a.Channels)
		case who == "":
			who = a.Seen
		}
		all = append(all, where+" "+who)
	}
	return all
}

func wantTold(t *testing.T, r *Result, problem string, want ...string) {
	t.Helper()
	if got := told(r); !slices.Equal(got, want) || r.Error != problem {
		t.Errorf("\n got %s\nwant %s\nand %q, want %q", strings.Join(got, ", "), strings.Join(want, ", "), r.Error, problem)
	}
}

// newMuxes is a bus with chips on it and behind two multiplexers, one of them at an
// address of a BME280; both connect a channel already.
func newMuxes(t *testing.T) *sim.Bus {
	t.Helper()
	b := sim.NewBus("bus 1", sim.NewEnvironment(1), 1)
	type wires interface {
		Add(string, uint16, sim.Place) error
	}
	add := func(on wires, chip string, addr uint16) {
		if err := on.Add(chip, addr, sim.Indoor); err != nil {
			t.Fatal(err)
		}
	}
	for _, mux := range []uint16{0x70, 0x76} {
		if err := b.AddMux(mux); err != nil {
			t.Fatal(err)
		}
	}
	add(b, "sht3x", 0x45)
	add(b, "bme280", 0x77)
	add(b.Channel(0x70, 0), "sht3x", 0x44)
	add(b.Channel(0x70, 5), "sht3x", 0x44)
	add(b.Channel(0x70, 5), "aht20", 0x38)
	add(b.Channel(0x76, 7), "sht4x", 0x44)
	set(t, b, 0x70, 0x21)
	set(t, b, 0x76, 0x80)
	return b
}

var inMuxes = []string{
	"0x45 sht3x", "0x70 TCA9548A with 8 channels", "0x76 TCA9548A with 8 channels", "0x77 bme280",
	"0x70/0 0x44 sht3x", "0x70/5 0x38 aht20", "0x70/5 0x44 sht3x", "0x76/7 0x44 sht4x",
}

func set(t *testing.T, b i2c.Bus, mux uint16, mask byte) {
	t.Helper()
	if err := b.Tx(mux, []byte{mask}, nil); err != nil {
		t.Fatal(err)
	}
}

func wantConnected(t *testing.T, b i2c.Bus, mux uint16, mask byte) {
	t.Helper()
	var r [1]byte
	if err := b.Tx(mux, nil, r[:]); err != nil || r[0] != mask {
		t.Errorf("multiplexer 0x%02x connects 0x%02x, %v; it was 0x%02x", mux, r[0], err, mask)
	}
}

// Each chip is found where it is, once, and the multiplexers are left as they were.
func TestScanBehindMultiplexers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, r := newMuxes(t), Result{Bus: "1"}
		r.Ask(t.Context(), b, Others{})
		wantTold(t, &r, "", inMuxes...)
		wantConnected(t, b, 0x70, 0x21)
		wantConnected(t, b, 0x76, 0x80)
	})
}

// The same holds on a bus that loses transfers now and then.
func TestScanBehindMultiplexersWithBadWiring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		emulated := newMuxes(t)
		b := bus.New("bus 1", emulated.Open, slog.New(slog.DiscardHandler))
		defer b.Close()
		for _, mux := range []uint16{0x70, 0x76} {
			if err := emulated.Inject(mux, sim.Failure{Kind: sim.Vanish, Share: 0.1}); err != nil {
				t.Fatal(err)
			}
		}
		r := Result{Bus: "1"}
		r.Ask(t.Context(), b, Others{})
		wantTold(t, &r, "", inMuxes...)
		emulated.Repair(0x70)
		emulated.Repair(0x76)
		wantConnected(t, b, 0x70, 0x21)
		wantConnected(t, b, 0x76, 0x80)
	})
}

// A scan that is interrupted, wherever it is, leaves the multiplexers as they were too.
func TestScanInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMuxes(t)
		for after := 1; after < 2000; after += 197 {
			ctx, cancel := context.WithCancel(t.Context())
			r := Result{Bus: "1"}
			r.Ask(ctx, &counting{b, after, cancel}, Others{})
			cancel()
			if !strings.HasSuffix(r.Error, "interrupted") {
				t.Errorf("after %d transfers: %q", after, r.Error)
			}
			wantConnected(t, b, 0x70, 0x21)
			wantConnected(t, b, 0x76, 0x80)
		}
	})
}

// counting is a bus that calls a function with a transfer.
type counting struct {
	i2c.Bus
	after int
	call  func()
}

func (c *counting) Tx(addr uint16, w, r []byte) error {
	if c.after--; c.after == 0 {
		c.call()
	}
	return c.Bus.Tx(addr, w, r)
}

// careful is a bus on which nothing may be written to some addresses.
type careful struct {
	i2c.Bus
	t    *testing.T
	mine func(addr uint16, w []byte) bool
}

func (c careful) Tx(addr uint16, w, r []byte) error {
	if !c.mine(addr, w) {
		c.t.Errorf("% x was written to 0x%02x", w, addr)
	}
	return c.Bus.Tx(addr, w, r)
}

// While a gateway uses the bus, no multiplexer is switched; while it switches one, nobody
// is asked at all.
func TestScanLeavesTheGatewayItsBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMuxes(t)
		r := Result{Bus: "1"}
		r.Ask(t.Context(), careful{b, t, func(uint16, []byte) bool { return false }}, Others{Sensors: map[Place]string{
			{Mux{0x70, 5}, 0x44}: "five", {Mux{0x70, 0}, 0x44}: "zero", {Mux{}, 0x45}: "own",
		}})
		wantTold(t, &r, "the gateway that runs switches the multiplexer at 0x70: who answers now may be behind any channel",
			"0x45 sensor own", "0x70/0 0x44 sensor zero", "0x70/5 0x44 sensor five")
		if !strings.Contains(r.Fix, "systemctl stop gateway") {
			t.Error(r.Fix)
		}

		set(t, b, 0x70, 0)
		set(t, b, 0x76, 0)
		r = Result{Bus: "1"}
		r.Ask(t.Context(), careful{b, t, func(addr uint16, w []byte) bool { return addr < 0x70 && addr != 0x45 || len(w) == 0 && addr != 0x45 }},
			Others{Sensors: map[Place]string{{Mux{}, 0x45}: "own"}})
		const unknown = " it answers; whether as a multiplexer is not asked while the gateway uses the bus: sudo systemctl stop gateway"
		wantTold(t, &r, "", "0x45 sensor own", "0x70"+unknown, "0x76"+unknown, "0x77"+unknown)
	})
}

// A multiplexer that a kernel's driver has is left alone.
func TestScanLeavesTheKernelItsMultiplexer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, r := newMuxes(t), Result{Bus: "1"}
		set(t, b, 0x70, 0)
		r.Ask(t.Context(), careful{b, t, func(addr uint16, _ []byte) bool { return addr != 0x70 }}, Others{Driver: func(addr uint16) string {
			return map[uint16]string{0x70: "pca954x"}[addr]
		}})
		wantTold(t, &r, "", "0x45 sht3x", "0x70 driver pca954x", "0x76 TCA9548A with 8 channels", "0x77 bme280", "0x76/7 0x44 sht4x")
	})
}

// wires are chips and multiplexers, which may be behind others.
type wires struct {
	chips answers
	muxes map[uint16]*fakeMux
}

type fakeMux struct {
	mask     byte
	channels [8]*wires
}

func (*wires) String() string                  { return "bus 1" }
func (*wires) SetSpeed(physic.Frequency) error { return nil }

func (s *wires) Tx(addr uint16, w, r []byte) error {
	if m := s.muxes[addr]; m != nil {
		if len(w) > 0 {
			m.mask = w[len(w)-1]
		}
		for i := range r {
			r[i] = m.mask
		}
		return nil
	}
	for _, m := range s.muxes {
		for i, behind := range m.channels {
			if m.mask&(1<<i) == 0 || behind == nil {
				continue
			}
			if err := behind.Tx(addr, w, r); wire.FaultOf(err) != wire.NoAck {
				return err
			}
		}
	}
	return s.chips.Tx(addr, w, r)
}

// For a multiplexer behind another one, the scan says where it is. Chips behind it do not
// count as its neighbours, and all is put back, whatever was connected.
func TestScanOfNestedMultiplexers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip := func(_, r []byte) error { clear(r); return nil }
		for _, outer := range []uint16{0x70, 0x72} {
			for _, mask := range []byte{0, 1 << 2, 0xFF} {
				inner := &fakeMux{mask: 0x05}
				inner.channels[0] = &wires{chips: answers{0x50: chip}}
				m := &fakeMux{mask: mask}
				m.channels[2] = &wires{chips: answers{0x51: chip}, muxes: map[uint16]*fakeMux{0x71: inner}}
				r := Result{Bus: "1"}
				r.Ask(t.Context(), &wires{chips: answers{0x52: chip}, muxes: map[uint16]*fakeMux{outer: m}}, Others{})
				wantTold(t, &r, "", "0x52 read 00", fmt.Sprintf("0x%02x TCA9548A with 8 channels", outer),
					fmt.Sprintf("0x%02x/2 0x51 read 00", outer), fmt.Sprintf("0x%02x/2 0x71 TCA9548A with 8 channels", outer))
				if m.mask != mask || inner.mask != 0x05 {
					t.Errorf("0x%02x, which connected 0x%02x: it connects 0x%02x, the inner one 0x%02x and not 0x05", outer, mask, m.mask, inner.mask)
				}
			}
		}
	})
}

// A chip that holds its channel's lines holds the whole bus as soon as the channel is
// connected, and the multiplexer cannot be told to disconnect it: the result says both.
func TestScanOfAStuckChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMuxes(t)
		set(t, b, 0x70, 0)
		r := Result{Bus: "1"}
		r.Ask(t.Context(), &held{Bus: b, mask: 1 << 5}, Others{})
		wantTold(t, &r, "an address takes up to 0 ms and fails (the multiplexer at 0x70 no longer answers with channel 5 connected: 0x70 on bus 1: write: "+syscall.ETIMEDOUT.Error()+")")
		if r.Fix != bus.StuckFix {
			t.Error(r.Fix)
		}
	})
}

// A multiplexer that is lost, or reset, in the middle of the scan is named: those behind
// it may not have been asked.
func TestScanLosesAMultiplexer(t *testing.T) {
	for name, tt := range map[string]struct {
		lose func(*sim.Bus)
		want string
	}{
		"lost": {func(b *sim.Bus) { _ = b.Inject(0x70, sim.Failure{Kind: sim.Unplug}) },
			"multiplexer 0x70 connected 0x01: remote I/O error; multiplexer 0x70 connected 0x21 and cannot be put back: remote I/O error"},
		"reset": {func(b *sim.Bus) { b.ResetMux(0x70) },
			"multiplexer 0x70 connected 0x01: it connects something else now: another program uses it, or it was reset"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newMuxes(t)
				r := Result{Bus: "1"}
				first := &onChannel{Bus: b, mask: 1 << 0, call: func() { tt.lose(b) }}
				r.Ask(t.Context(), first, Others{})
				wantTold(t, &r, tt.want, inMuxes[:4]...)
				wantConnected(t, b, 0x76, 0x80)
			})
		})
	}
}

// onChannel is a bus that calls a function when a chip is asked first while 0x70 connects a
// mask and the chips on the bus itself have been asked.
type onChannel struct {
	i2c.Bus
	mask  byte
	asked bool
	call  func()
}

func (o *onChannel) Tx(addr uint16, w, r []byte) error {
	var mask [1]byte
	_ = o.Bus.Tx(0x70, nil, mask[:])
	o.asked = o.asked || addr == 0x77
	if o.asked && addr < 0x70 && mask[0] == o.mask && o.call != nil {
		o.call()
		o.call = nil
	}
	return o.Bus.Tx(addr, w, r)
}

// held is a bus that is held low from when channels are connected on.
type held struct {
	i2c.Bus
	mask byte
	low  bool
}

func (h *held) Tx(addr uint16, w, r []byte) error {
	if h.low {
		return failure(addr, wire.Timeout, syscall.ETIMEDOUT)
	}
	h.low = addr == 0x70 && len(w) > 0 && w[len(w)-1] == h.mask
	return h.Bus.Tx(addr, w, r)
}
