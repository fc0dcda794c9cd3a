package bus

import (
	"fmt"
	"sync/atomic"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"sensorgateway/wire"
)

// What a TCA9548A has: it takes one byte, with a bit for each channel that it connects
// from the end of that transaction on, and answers a read with it. After power-on or a
// reset it connects none.
const (
	FirstMux    = 0x70 // its lowest address
	LastMux     = 0x77
	MuxChannels = 8
)

// maxMissed is for how many turns in a row a multiplexer may not acknowledge that it is to
// disconnect before it counts as missing. Fewer may be due to bad wiring, which is no reason
// to let two channels answer at once; and a multiplexer that is missing must not make the
// chips behind the others unreachable.
const maxMissed = 3

// place is where a chip is: on the bus itself, or behind a channel of a multiplexer.
type place struct {
	addr    uint16
	mux     uint16 // its address; 0: the chip is on the bus itself
	channel uint8
}

// on names the place's wires.
func (p place) on(bus string) string {
	if p.mux == 0 {
		return bus
	}
	return fmt.Sprintf("%s, channel %d of multiplexer 0x%02x", bus, p.channel, p.mux)
}

// check refuses what no multiplexer can do. muxes has a bit for each multiplexer on the bus.
func (p place) check(muxes uint32) error {
	switch {
	case p.mux == 0:
		return nil
	case p.mux < FirstMux || p.mux > LastMux:
		return fmt.Errorf("0x%02x is no multiplexer's address (0x%02x to 0x%02x)", p.mux, FirstMux, LastMux)
	case p.channel >= MuxChannels:
		return fmt.Errorf("a multiplexer has no channel %d (0 to %d)", p.channel, MuxChannels-1)
	case p.addr >= FirstMux && p.addr <= LastMux && muxes&(1<<(p.addr-FirstMux)) != 0:
		return fmt.Errorf("0x%02x is the address of a multiplexer, which would answer", p.addr)
	}
	return nil
}

// A Channel is an [i2c.Bus]: the chips behind one channel of a multiplexer on a [Bus].
// Connecting the channel and the transaction itself are one turn of that bus.
type Channel struct {
	bus *Bus
	at  place // without a chip
}

var _ i2c.Bus = (*Channel)(nil)

// Channel returns what is behind a channel of the multiplexer at an address. From then
// on the multiplexer connects at most one channel, and none during a transaction with
// a chip on the bus itself.
func (b *Bus) Channel(mux uint16, channel uint8) *Channel {
	if mux >= FirstMux && mux <= LastMux {
		b.transport.switches.present.Or(1 << (mux - FirstMux))
	}
	return &Channel{b, place{mux: mux, channel: channel}}
}

// ChannelName returns what errors and log lines call a channel on the bus that a
// configuration calls name.
func ChannelName(name string, mux uint16, channel uint8) string {
	return place{mux: mux, channel: channel}.on(Name(name))
}

// String returns "bus 1, channel 3 of multiplexer 0x70".
func (c *Channel) String() string { return c.at.on(c.bus.String()) }

// SetSpeed refuses, as that of the bus does.
func (c *Channel) SetSpeed(f physic.Frequency) error { return c.bus.SetSpeed(f) }

// Wait is [Bus.Wait].
func (c *Channel) Wait(d time.Duration) { c.bus.Wait(d) }

// Tx is [Bus.Tx] for a chip behind the channel.
func (c *Channel) Tx(addr uint16, w, r []byte) error {
	at := c.at
	at.addr = addr
	return c.bus.tx(at, w, r)
}

// switches is what a transport knows of the multiplexers on its bus.
type switches struct {
	present atomic.Uint32 // a bit for each, from [FirstMux] on
	state   [LastMux - FirstMux + 1]selection
	mask    [1]byte // here, because what goes through the i2c.Bus interface would be allocated
}

// selection is what one multiplexer connects. Its zero value is unknown: it may have
// been reset, or used by another program.
type selection struct {
	known  bool
	mask   byte
	missed int // in how many turns in a row it acknowledged nothing
}

// forget has the multiplexer of a place told again which channel to connect: if it was
// reset, it connects none.
func (s *switches) forget(at place) {
	if at.mux != 0 {
		s.state[at.mux-FirstMux].known = false
	}
}

// connect has the multiplexers connect the channel of a place and no other: chips
// behind two of them may have one address.
func (t *transport) connect(at place) *Error {
	present := t.switches.present.Load()
	for mux := uint16(FirstMux); mux <= LastMux; mux++ {
		if mux == at.mux || present&(1<<(mux-FirstMux)) == 0 {
			continue
		}
		err := t.set(mux, 0)
		missing := t.switches.state[mux-FirstMux].missed >= maxMissed
		// For a chip on the bus itself NoAck does no harm: no chip behind a channel has its address.
		if err != nil && (faultOf(err) != wire.NoAck || at.mux != 0 && !missing) {
			return t.fail(at, fmt.Sprintf("disconnect the channels of 0x%02x", mux), faultOf(err), err)
		}
	}
	if at.mux == 0 {
		return nil
	}
	if err := t.set(at.mux, 1<<at.channel); err != nil {
		return t.fail(at, "select the channel", faultOf(err), err)
	}
	return nil
}

// set has a multiplexer connect the channels of mask, unless it does so already.
func (t *transport) set(mux uint16, mask byte) error {
	s := &t.switches.state[mux-FirstMux]
	if s.known && s.mask == mask {
		return nil
	}
	repeats := maxRepeats
	if s.missed >= maxMissed {
		repeats = 0 // other chips wait for the bus
	}
	s.known = false
	t.switches.mask[0] = mask
	for n := 0; ; n++ {
		err := t.port.Tx(mux, t.switches.mask[:], nil)
		switch {
		case err == nil:
			*s = selection{known: true, mask: mask}
			return nil
		case n == repeats || !passing(err):
			if faultOf(err) == wire.NoAck {
				s.missed++
			}
			return err
		}
		t.pause()
	}
}

// disconnectAll leaves no channel connected for other users of the bus. A failure does not
// matter to us: the next start connects what it needs.
func (t *transport) disconnectAll() {
	if t.port != nil && t.unanswered == 0 {
		_ = t.connect(place{})
	}
}
