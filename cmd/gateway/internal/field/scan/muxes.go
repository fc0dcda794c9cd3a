package scan

import (
	"errors"
	"fmt"
	"slices"

	"sensorgateway/sensors/bus"
	"sensorgateway/sensors/identify"
	"sensorgateway/wire"
)

// multiplexer is a multiplexer that was found, with the channels that it connected.
type multiplexer struct {
	addr uint16
	identify.Mux
	beyond bool // it was behind another one, which connected it
}

// findMuxes finds the multiplexers on the bus itself, or behind a channel that is
// connected, and has them connect nothing. On a bus that a gateway uses it looks for none.
func (s *scanner) findMuxes(on Mux) (found []multiplexer) {
	s.each(on, identify.FirstMux, identify.LastMux, func(addr uint16) error {
		if _, owned := s.others.owner(Place{on, addr}); owned || s.mustNotSwitch(addr) || on != (Mux{}) && s.own[addr] {
			return nil
		}
		m, there, err := identify.MuxAt(s.bus, addr)
		if there {
			found = append(found, multiplexer{addr: addr, Mux: m})
			s.connect(addr, 0)
		}
		return err
	})
	for i := range found {
		found[i].beyond = !s.failed() && !s.answers(found[i].addr)
	}
	return found
}

// connect has a multiplexer connect the channels of mask.
func (s *scanner) connect(addr uint16, mask byte) {
	if err := s.set(addr, mask); err != nil && !s.failed() {
		s.fail(Mux{}, fmt.Sprintf("multiplexer 0x%02x: cannot connect 0x%02x: %v", addr, mask, bus.Cause(err)), bus.StuckFix)
	}
}

// wantConnected makes the scan fail if a multiplexer no longer connects the channels of
// mask: then the chips behind it may not have been asked.
func (s *scanner) wantConnected(addr uint16, mask byte) {
	if s.failed() {
		return
	}
	if err := twice(func() error { return s.check(addr, mask) }); err != nil {
		s.fail(Mux{}, fmt.Sprintf("multiplexer 0x%02x connected 0x%02x: %v", addr, mask, bus.Cause(err)), bus.StuckFix)
	}
}

// errOther says that a multiplexer connects other channels than it was told to.
var errOther = errors.New("it connects something else now: another program uses it, or it was reset")

// set has a multiplexer connect the channels of mask.
func (s *scanner) set(addr uint16, mask byte) error {
	return twice(func() error {
		if err := s.bus.Tx(addr, []byte{mask}, nil); err != nil {
			return err
		}
		return s.check(addr, mask)
	})
}

// check returns whether a multiplexer connects the channels of mask.
func (s *scanner) check(addr uint16, mask byte) error {
	var r [1]byte
	err := s.bus.Tx(addr, nil, r[:])
	if err == nil && r[0] != mask {
		return errOther
	}
	return err
}

// twice calls f again if bad wiring may be why it failed.
func twice(f func() error) error {
	err := f()
	if wire.FaultOf(err) == wire.NoAck || errors.Is(err, errOther) {
		err = f()
	}
	return err
}

// putBack has multiplexers connect again what they connected before. The last one is
// first: those before it may be reachable only through it.
func (s *scanner) putBack(muxes []multiplexer) {
	for _, m := range slices.Backward(muxes) {
		if err := s.set(m.addr, m.Mask); err != nil {
			s.result.Error = join(s.result.Error, fmt.Sprintf("multiplexer 0x%02x connected 0x%02x and cannot be put back: %v", m.addr, m.Mask, bus.Cause(err)))
			s.result.Fix = bus.StuckFix
		}
	}
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
