package identify

import (
	"fmt"

	"periph.io/x/conn/v3/i2c"
)

// Where a multiplexer of the kind of a TCA9548A can be (TI SCPS207, table 8-1).
const (
	FirstMux = 0x70
	LastMux  = 0x77
)

// shtc3 is the only one of these addresses where a chip may not answer a plain read.
const shtc3 = 0x70

// Mux is a multiplexer: a byte that is written to it has a bit for each channel that it
// connects, and is read back.
type Mux struct {
	Channels int
	Mask     byte // what it connects
}

// MuxAt asks whether a multiplexer is at an address of b, from [FirstMux] to [LastMux],
// and leaves it as it was. Meanwhile it connects one channel after the other, so b must be
// nobody else's. If ok is false there is none, or, with an error, it is not certain that there is none.
//
// This does no harm to other chips: to Bosch's, and to all others known at these addresses,
// the first three bytes choose a register to read, or are no command. The bytes after them,
// which switch an HT16K33 off, are only written to what has read back all three.
func MuxAt(b i2c.Bus, addr uint16) (m Mux, ok bool, err error) {
	p := &prober{bus: b, addr: addr}
	_, m, ok = p.mux()
	return m, ok, p.bad
}

// mux is [MuxAt]; first is what a plain read gave, if one was acknowledged.
func (p *prober) mux() (first byte, m Mux, ok bool) {
	r, there := p.twice(nil, 1)
	if !there {
		return 0, Mux{}, false
	}
	first, m.Mask = r[0], r[0]
	changed := false
	for bit := byte(1); bit != 0; bit <<= 1 {
		if _, taken := p.twice([]byte{bit}, 0); !taken {
			break
		}
		r, there := p.twice(nil, 1)
		changed = changed || !there || r[0] == bit
		if !there || r[0] != bit {
			break
		}
		m.Channels++
	}
	if changed && p.bad != nil {
		p.bad = fmt.Errorf("the multiplexer at 0x%02x no longer answers with channel %d connected: %w", p.addr, m.Channels, p.bad)
	}
	if changed {
		p.putBack(m.Mask)
	}
	const sure = 3 // bits: fewer are read back from other chips by chance
	return first, m, m.Channels >= sure && p.bad == nil
}

// twice is get, made again if nobody acknowledged: bad wiring must not make it look like another chip.
func (p *prober) twice(w []byte, n int) ([]byte, bool) {
	r, ok := p.get(w, n)
	if !ok {
		r, ok = p.get(w, n)
	}
	return r, ok
}

// putBack has the multiplexer connect what it connected before.
func (p *prober) putBack(mask byte) {
	err := p.bus.Tx(p.addr, []byte{mask}, nil)
	if err != nil {
		err = p.bus.Tx(p.addr, []byte{mask}, nil)
	}
	if err != nil && p.bad == nil {
		// Without the error's fault, which may say that nobody is there.
		p.bad = fmt.Errorf("a multiplexer that connected 0x%02x cannot be put back: %v", mask, err)
	}
}

// Answer is the multiplexer for people.
func (m Mux) Answer() Answer {
	model := "multiplexer"
	switch m.Channels {
	case 8:
		model = "TCA9548A"
	case 4:
		model = "TCA9546A"
	}
	return Answer{Model: model, Seen: fmt.Sprintf("%d channels", m.Channels), Channels: m.Channels}
}
