package sim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// muxChannels is how many channels a TCA9548A has.
const muxChannels = 8

// mux is an emulated TCA9548A (TI SCPS207, sections 8.3 and 8.5): a byte is written to
// it, with a bit for each channel that it connects from the end of the transaction on,
// and is read back. Without power, and after a reset, it connects none.
type mux struct {
	device   *device
	mask     byte
	channels [muxChannels]*Wires
}

func (m *mux) powerOn(time.Time) { m.mask = 0 }

func (m *mux) write(_ time.Time, b []byte) bool {
	if len(b) > 0 {
		m.mask = b[len(b)-1] // the last one holds
	}
	return true
}

func (m *mux) read(_ time.Time, b []byte) reply {
	fill(b, m.mask)
	return reply{ack: true}
}

func (m *mux) corrupt([]byte, *rand.Rand) {} // what it answers is no measurement

// AddMux puts a TCA9548A on the bus, with no chips behind it. While it fails with [Vanish]
// or [Unplug], the chips behind it cannot be reached.
func (b *Bus) AddMux(addr uint16) error {
	d := b.wires.device("tca9548a", addr)
	if addr < 0x70 || addr > 0x77 {
		return fmt.Errorf("%s 0x%02x on %s: no address of this chip, use one from 0x70 to 0x77", d.model, addr, b.name)
	}
	m := &mux{device: d}
	d.chip = m
	for i := range m.channels {
		m.channels[i] = newWires(b, fmt.Sprintf("%s, channel %d of multiplexer 0x%02x", b.name, i, addr), uint64(addr)<<16|uint64(i+1)<<8)
	}
	if err := b.wires.put(d, addr); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.muxes = append(b.muxes, m)
	return nil
}

// Channel returns what is behind a channel, 0 to 7, of the multiplexer at addr; nil if
// there is none.
func (b *Bus) Channel(addr uint16, channel uint8) *Wires {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.muxes {
		if b.wires.devices[addr] == m.device && channel < muxChannels {
			return m.channels[channel]
		}
	}
	return nil
}

// ResetMux resets the multiplexer at addr, as its pin RESET does.
func (b *Bus) ResetMux(addr uint16) {
	b.token <- struct{}{}
	defer func() { <-b.token }()
	if d := b.wires.at(addr); d != nil {
		d.chip.powerOn(time.Now())
	}
}

// connected returns the devices that hear a transaction with addr: mostly one, but others too
// if multiplexers connect them. It is called within a transaction.
func (b *Bus) connected(addr uint16) (first *device, others []*device) {
	b.mu.Lock()
	defer b.mu.Unlock()
	hears := func(d *device) {
		switch {
		case d == nil:
		case first == nil:
			first = d
		default:
			others = append(others, d)
		}
	}
	hears(b.wires.devices[addr])
	for _, m := range b.muxes {
		for i, wires := range m.channels {
			bit := byte(1) << i
			d := wires.devices[addr]
			if d == nil || m.mask&bit == 0 || m.device.missing(time.Now()) || m.mask&bit == 0 { // missing resets one that is back
				continue
			}
			hears(d)
		}
	}
	return first, others
}

// collide lets another chip take part in a transaction that has ended with err: each
// pulls the line down for its zeros, and for its acknowledge.
func (b *Bus) collide(err error, d *device, w, r []byte, closed <-chan struct{}) error {
	also := make([]byte, len(r))
	switch other := b.ask(d, w, also, closed); {
	case other == noAck:
		return err
	case other != nil:
		return other
	case err == noAck:
		copy(r, also)
		return nil
	}
	for i := range r {
		r[i] &= also[i]
	}
	return err
}
