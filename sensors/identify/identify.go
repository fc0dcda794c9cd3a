// Package identify finds out which chip answers at an address of an I²C bus, with
// transfers that do no harm to any of the chips that may be there.
//
// It refuses to know which of them there are drivers for. Each function asks for
// what tells its chips apart, in an order in which no question is a command to
// another of them: to an SHT4x the first byte of a measurement of an SHT3x, 0x24,
// is its heater, and a port expander takes whatever is written for its outputs.
package identify

import (
	"errors"
	"fmt"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors/internal/device"
	"sensorgateway/wire"
)

// Answer is who answers at an address.
type Answer struct {
	Model string // as its maker calls it; "" if unknown
	Chip  string // what a configuration calls it; "" if Model is none that measures
	Seen  string // what identified it, such as "id 0x60"

	Channels int // of a multiplexer; 0: it is none
}

// At asks who is at an address of b. Its error is the bus's: one that carries
// [wire.NoAck] says that nobody answers. Of a multiplexer it asks nothing else: whatever
// is written to one selects channels (see [MuxAt]).
func At(b i2c.Bus, addr uint16) (Answer, error) {
	p := &prober{bus: b, addr: addr}
	if a, ok := p.who(); ok {
		return a, nil
	}
	switch {
	case p.bad != nil:
		return Answer{}, p.bad
	case p.acked:
		return Answer{Seen: "it acknowledges, but is not one of the chips known at this address"}, nil
	}
	return Answer{}, p.noAck
}

// who asks the questions of the address.
func (p *prober) who() (Answer, bool) {
	ask := asks[p.addr]
	if p.addr >= FirstMux && p.addr <= LastMux {
		first, m, ok := p.mux()
		switch {
		case ok:
			return m.Answer(), true
		case p.acked && (ask == nil || p.addr == shtc3):
			return Answer{Seen: fmt.Sprintf("read %02x", first)}, p.bad == nil
		case !p.acked && p.addr != shtc3: // a chip might take what is written
			return Answer{}, false
		}
	}
	if ask != nil {
		return ask(p)
	}
	r, ok := p.get(nil, 1)
	return Answer{Seen: fmt.Sprintf("read % x", r)}, ok
}

// prober makes transfers with one address and notes how they went.
type prober struct {
	bus   i2c.Bus
	addr  uint16
	acked bool  // somebody acknowledged
	noAck error // the last transfer that nobody acknowledged
	bad   error // the transfer that failed otherwise; none is made after it
}

// get writes w and reads n bytes in one transaction.
func (p *prober) get(w []byte, n int) ([]byte, bool) {
	if p.bad != nil { // on a stuck bus each further one would take as long
		return nil, false
	}
	r := make([]byte, n)
	err := p.bus.Tx(p.addr, w, r)
	switch {
	case err == nil:
		p.acked = true
		return r, true
	case errors.Is(err, wire.NoAck):
		p.noAck = err
	default:
		p.bad = err
	}
	return nil, false
}

// send writes w.
func (p *prober) send(w ...byte) bool {
	_, ok := p.get(w, 0)
	return ok
}

// word reads a 16-bit register, its high byte first.
func (p *prober) word(reg byte) (uint16, bool) {
	r, ok := p.get([]byte{reg}, 2)
	if !ok {
		return 0, false
	}
	return uint16(r[0])<<8 | uint16(r[1]), true
}

// sensirion sends a 16-bit command and reads a word with its checksum.
func (p *prober) sensirion(command uint16) (uint16, bool) {
	r, ok := p.get([]byte{byte(command >> 8), byte(command)}, 3)
	if !ok || CRC8(r[:2]) != r[2] {
		return 0, false
	}
	return uint16(r[0])<<8 | uint16(r[1]), true
}

// CRC8 is the checksum of Sensirion's and Aosong's chips: polynomial 0x31, begun
// with 0xFF (SHT3x datasheet, section 4.12).
func CRC8(b []byte) byte { return device.CRC8(0xFF, b) }

// CRC8From is the same, begun with another value.
func CRC8From(begin byte, b []byte) byte { return device.CRC8(begin, b) }
