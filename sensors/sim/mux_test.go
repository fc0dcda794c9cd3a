package sim_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/sensors/sim"
)

// newMuxes returns a bus with two multiplexers, and an SHT3x at one address behind
// several channels.
func newMuxes(t *testing.T) *sim.Bus {
	t.Helper()
	b := sim.NewBus("bus 1", sim.NewEnvironment(1), 1)
	for _, mux := range []uint16{0x70, 0x71} {
		if err := b.AddMux(mux); err != nil {
			t.Fatal(err)
		}
		for _, channel := range []uint8{3, 7} {
			if err := b.Channel(mux, channel).Add("sht3x", sht, sim.Indoor); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b
}

// serial reads the serial number, by which one SHT3x differs from another.
func serial(t *testing.T, b *sim.Bus) []byte {
	t.Helper()
	return get(t, b, sht, []byte{0x37, 0x80}, 6)
}

func TestMux(t *testing.T) {
	b := newMuxes(t)
	refused(t, b, sht, []byte{0x37, 0x80}, 6) // nothing is connected after power-on
	if got := get(t, b, 0x70, nil, 2); !bytes.Equal(got, []byte{0, 0}) {
		t.Errorf("after power-on its mask reads % x", got)
	}
	seen := map[string]bool{}
	for _, mux := range []uint16{0x70, 0x71} {
		for _, channel := range []uint8{3, 7} {
			put(t, b, mux, 0xFF, 1<<channel) // the last byte holds
			if got := get(t, b, mux, nil, 1); got[0] != 1<<channel {
				t.Errorf("the mask reads % x", got)
			}
			seen[string(serial(t, b))] = true
		}
		put(t, b, mux, 1<<2)
		refused(t, b, sht, []byte{0x37, 0x80}, 6) // nobody is behind it
		put(t, b, mux, 0)
	}
	if len(seen) != 4 {
		t.Errorf("%d chips answered behind four channels", len(seen))
	}
}

// Two chips that answer at once pull the line down for each other's zeros.
func TestMuxCollision(t *testing.T) {
	b := newMuxes(t)
	both := make([]byte, 6)
	for i := range both {
		both[i] = 0xFF
	}
	for _, mux := range []uint16{0x70, 0x71} {
		put(t, b, mux, 1<<3)
		for i, x := range serial(t, b) {
			both[i] &= x
		}
		put(t, b, mux, 0)
	}
	put(t, b, 0x70, 1<<3)
	put(t, b, 0x71, 1<<3)
	if got := serial(t, b); !bytes.Equal(got, both) {
		t.Errorf("both answer % x, want % x", got, both)
	}
	if err := b.Channel(0x71, 3).Inject(sht, sim.Failure{Kind: sim.Vanish}); err != nil {
		t.Fatal(err)
	}
	if got := serial(t, b); bytes.Equal(got, both) {
		t.Errorf("one that does not answer changes nothing: % x", got)
	}
	b.Channel(0x71, 3).Repair(sht)
	if got := serial(t, b); !bytes.Equal(got, both) {
		t.Errorf("both answer % x, want % x", got, both)
	}
}

func TestMuxFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMuxes(t)
		put(t, b, 0x70, 1<<3)
		b.ResetMux(0x70)
		refused(t, b, sht, []byte{0x37, 0x80}, 6)

		put(t, b, 0x70, 1<<3)
		inject(t, b, 0x70, sim.Failure{Kind: sim.Vanish, For: time.Second})
		refused(t, b, 0x70, []byte{1 << 3}, 0)
		refused(t, b, sht, []byte{0x37, 0x80}, 6) // its wires are loose too
		time.Sleep(time.Second)
		serial(t, b)

		inject(t, b, 0x70, sim.Failure{Kind: sim.Unplug, For: time.Second})
		refused(t, b, 0x70, []byte{1 << 3}, 0)
		time.Sleep(time.Second)
		refused(t, b, sht, []byte{0x37, 0x80}, 6) // it has lost what it connected
		put(t, b, 0x70, 1<<3)
		serial(t, b)

		inject(t, b, 0x70, sim.Failure{Kind: sim.Ones})
		if got := get(t, b, 0x70, nil, 1); got[0] != 0xFF {
			t.Errorf("it reads % x", got)
		}
	})
}

func TestMuxRefuses(t *testing.T) {
	b := newMuxes(t)
	for _, c := range []struct {
		err  error
		want string
	}{
		{b.AddMux(0x70), "tca9548a 0x70 on bus 1: address taken by tca9548a"},
		{b.AddMux(0x6F), "tca9548a 0x6f on bus 1: no address of this chip, use one from 0x70 to 0x77"},
		{b.Channel(0x70, 3).Add("sht3x", sht, sim.Indoor), "sht3x 0x44 on bus 1, channel 3 of multiplexer 0x70: address taken by sht3x"},
		{b.Channel(0x70, 4).Inject(sht), "0x44 on bus 1, channel 4 of multiplexer 0x70: no chip to fail"},
	} {
		if c.err == nil || c.err.Error() != c.want {
			t.Errorf("got %v, want %s", c.err, c.want)
		}
	}
	if b.Channel(0x72, 0) != nil || b.Channel(0x70, 8) != nil {
		t.Error("there is a channel that is not there")
	}
}
