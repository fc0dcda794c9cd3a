package scan

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors"
	"sensorgateway/sensors/bus"
	"sensorgateway/sensors/identify"
	"sensorgateway/wire"
)

// scanner is a scan of one bus that is under way.
type scanner struct {
	ctx    context.Context
	bus    i2c.Bus
	others Others
	result *Result
	own    map[uint16]bool // who answers on the bus itself, and so through each channel too
}

// patient is a bus that waits while it is down because a transfer has not ended.
type patient struct{ i2c.Bus }

func (p patient) Tx(addr uint16, w, r []byte) error {
	err := p.Bus.Tx(addr, w, r)
	for begin := time.Now(); wire.FaultOf(err) == wire.BusDown && !bus.CannotOpen(err) && time.Since(begin) < hangTime; {
		time.Sleep(hangTime / 100)
		err = p.Bus.Tx(addr, w, r)
	}
	return err
}

// askEverybody asks on the bus itself while no multiplexer connects anything, and then
// behind each channel, one after the other.
func (s *scanner) askEverybody() {
	muxes := s.ask(Mux{})
	defer func() { s.putBack(muxes) }()
	for _, m := range muxes {
		if !m.beyond && !s.failed() {
			s.askBehind(m)
		}
	}
}

// askBehind asks behind each channel of a multiplexer, which then connects nothing again.
func (s *scanner) askBehind(m multiplexer) {
	for channel := range m.Channels {
		mask := byte(1) << channel
		s.connect(m.addr, mask)
		if s.failed() {
			return
		}
		s.putBack(s.ask(Mux{m.addr, uint8(channel)}))
		s.wantConnected(m.addr, mask)
	}
	s.connect(m.addr, 0)
}

// ask asks all addresses on the bus itself, or behind a channel that is connected, and
// returns the multiplexers there, which connect nothing any more.
func (s *scanner) ask(on Mux) []multiplexer {
	muxes := s.findMuxes(on)
	known := map[uint16]identify.Mux{}
	for _, m := range muxes {
		if !m.beyond {
			known[m.addr] = m.Mux
		}
	}
	before := len(s.result.Found)
	failed := s.each(on, firstAddress, lastAddress, func(addr uint16) error { return s.askOne(Place{on, addr}, known[addr]) })
	found := s.result.Found[before:]
	if len(found) >= manyAnswers {
		s.result.Found = s.result.Found[:before]
		s.fail(on, fmt.Sprintf("%d of %d addresses answer, as on no real bus", len(found), lastAddress-firstAddress+1),
			"SDA is held low, which reads as an answer: take the sensors' power away for a second; if that does not help, take them off one by one")
		return muxes
	}
	for addr, err := range failed {
		a := answerAt(Place{on, addr})
		a.Seen = "a transfer fails: " + bus.Cause(err).Error()
		s.add(a, Place{on, addr})
	}
	slices.SortStableFunc(s.result.Found[before:], func(a, b Answer) int { return strings.Compare(a.Address, b.Address) })
	return muxes
}

// each calls f for each address until it cannot go on: the scan has failed, or the bus
// does not work. Addresses for which f fails are asked again after all others, up to twice;
// before that, each pauses for as long as it has taken since the first failure. It returns
// those that failed again.
func (s *scanner) each(on Mux, first, last uint16, f func(addr uint16) error) (failed map[uint16]error) {
	var again []uint16
	var since time.Time // when the first of them was asked
	var why error       // the error of the first of those that failed in a row
	stuck, longest := 0, time.Duration(0)
	for addr := first; addr <= last && !s.failed(); addr++ {
		if s.ctx.Err() != nil {
			s.fail(on, "interrupted", "")
			break
		}
		begin := time.Now()
		err := f(addr)
		took := time.Since(begin)
		switch {
		case err == nil || wire.FaultOf(err) == wire.NoAck:
			stuck = 0
			continue
		case bus.CannotOpen(err):
			s.fail(on, bus.Cause(err).Error(), "")
			continue
		}
		if again = append(again, addr); len(again) == 1 {
			since = begin
		}
		if longest = max(longest, took); stuck == 0 {
			why = err // later errors may only say that this transfer has not ended
		}
		if stuck++; stuck == maxStuck || wire.FaultOf(err) == wire.BusDown {
			s.fail(on, fmt.Sprintf("an address takes up to %.0f ms and fails (%s)", milliseconds(longest), bus.Cause(why)), bus.StuckFix)
		}
	}
	failed = map[uint16]error{}
	for n := 0; n < 2 && len(again) > 0 && !s.failed(); n++ {
		time.Sleep(time.Since(since))
		again = slices.DeleteFunc(again, func(addr uint16) bool {
			failed[addr] = f(addr)
			return failed[addr] == nil || wire.FaultOf(failed[addr]) == wire.NoAck
		})
	}
	for addr := range failed {
		if !slices.Contains(again, addr) {
			delete(failed, addr)
		}
	}
	return failed
}

// askOne asks who is at a place, unless somebody else's chip or a multiplexer is, and adds
// the answer.
func (s *scanner) askOne(p Place, m identify.Mux) error {
	if p.Mux != (Mux{}) && s.own[p.Address] {
		return nil
	}
	a, owned := s.others.owner(p)
	begin := time.Now()
	var who identify.Answer
	switch {
	case owned:
	case m.Channels > 0:
		who = m.Answer()
	case s.mustNotSwitch(p.Address) && s.answers(p.Address):
		who.Seen = "it answers; whether as a multiplexer is not asked while the gateway uses the bus: sudo systemctl stop gateway"
	default:
		var err error
		if who, err = identify.At(s.bus, p.Address); err != nil {
			return err
		}
		if who.Channels > 0 {
			s.fail(p.Mux, "the multiplexer at "+a.Address+" answers now and then, so who is behind it is not known", "check its wiring")
		}
	}
	if !owned {
		a.Model, a.Seen, a.Channels, a.TookMS = who.Model, who.Seen, who.Channels, milliseconds(time.Since(begin))
	}
	if _, driver := sensors.Chips()[who.Chip]; driver {
		a.Chip = who.Chip
	}
	s.add(a, p)
	return nil
}

// add adds the answer of a place.
func (s *scanner) add(a Answer, p Place) {
	s.result.Found = append(s.result.Found, a)
	s.own[p.Address] = s.own[p.Address] || p.Mux == (Mux{})
}

// mustNotSwitch returns whether an address may be that of a multiplexer which a gateway
// uses: asking what is there could connect other channels, and disturb the gateway.
func (s *scanner) mustNotSwitch(addr uint16) bool {
	return len(s.others.Sensors) > 0 && addr >= identify.FirstMux && addr <= identify.LastMux
}

// answers returns whether somebody answers a plain read, which harms no chip. It tries
// twice, because of bad wiring.
func (s *scanner) answers(addr uint16) bool {
	var r [1]byte
	for range 2 {
		if s.bus.Tx(addr, nil, r[:]) == nil {
			return true
		}
	}
	return false
}

// failed returns whether there is no use in going on.
func (s *scanner) failed() bool { return s.result.Error != "" }

// fail notes why not everybody was asked, unless something was wrong before.
func (s *scanner) fail(on Mux, why, fix string) {
	if s.failed() {
		return
	}
	if on != (Mux{}) {
		why = on.String() + ": " + why
	}
	s.result.Error, s.result.Fix = why, fix
}
