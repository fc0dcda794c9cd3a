package config

import (
	"fmt"
	"slices"

	"gopkg.in/yaml.v3"

	"sensorgateway/cmd/gateway/internal/phrase"
)

// What a TCA9548A can be: its pins A0 to A2 are three bits of its address.
const (
	firstMux    = 0x70
	lastMux     = 0x77
	lastChannel = 7
)

// mux reads the channel that the chip is behind.
func (s *section) mux(into *Mux) *section {
	n := s.value("mux")
	if n == nil {
		return nil
	}
	m := s.section(n, s.at("mux"))
	if m == nil {
		return nil
	}
	defer m.done()
	m.must("address", "channel")
	var address, channel int
	a := m.number("address", 0xFF, "write 0x70 to 0x77", &address)
	m.draw("address", func(p *Schema) { *p.Minimum, *p.Maximum = firstMux, lastMux })
	switch {
	case a == nil && !m.has("address"):
		m.problem(m.node, "%s: no address (add that of the multiplexer, mostly address: 0x70)", m.path)
	case a != nil && (address < firstMux || address > lastMux):
		m.fault(a, "address", "%s is no address of a multiplexer (write 0x70 to 0x77)", phrase.Quote(a.Value))
		a = nil
	}
	c := m.number("channel", lastChannel, "write 0 to 7", &channel)
	if c == nil && !m.has("channel") {
		m.problem(m.node, "%s: no channel (add the one that the chip is connected to, such as channel: 0)", m.path)
	}
	if a == nil || c == nil {
		return nil
	}
	*into = Mux{uint16(address), uint8(channel)}
	return m
}

// place is where a chip is on its bus.
type place struct {
	sensor  *section
	key     *section // of the multiplexer, nil if the chip is on the bus itself
	mux     Mux
	address uint16
}

// on names the wires of the place.
func (p place) on(bus string) string {
	if p.key == nil {
		return "bus " + bus
	}
	return fmt.Sprintf("channel %d of multiplexer 0x%02x on bus %s", p.mux.Channel, p.mux.Address, bus)
}

// answers returns whether a chip at q answers transfers for the one at p: they have the
// same address, and no multiplexer separates them.
func (p place) answers(q place) bool {
	return p.address == q.address && (p.mux == q.mux || p.key == nil || q.key == nil)
}

// at returns the node that an error names.
func (p place) at() *yaml.Node {
	if n := p.sensor.values["address"]; n != nil {
		return n
	}
	return p.sensor.node
}

// takePlace gives the sensor its place on a bus, unless another chip would answer there too.
func (s *section) takePlace(p place, bus string, spec Chip, taken map[string][]place) {
	for _, q := range taken[bus] {
		if p.takenBy(q, bus, spec, taken[bus]) {
			return
		}
	}
	if p.key != nil && p.address == p.mux.Address {
		s.fault(p.at(), "address", "0x%02x is the address of the multiplexer itself (set one of the two to another address)", p.address)
		return
	}
	taken[bus] = append(taken[bus], p)
}

// takenBy reports whether p cannot be used because of q, and notes why.
func (p place) takenBy(q place, bus string, spec Chip, taken []place) bool {
	s := p.sensor
	switch {
	case p.answers(q) && p.mux == q.mux:
		s.fault(p.at(), "address", "0x%02x on %s is the place of %s too (%s)", p.address, p.on(bus), q.sensor.where("address"), p.elsewhere(spec, taken))
	case p.answers(q):
		behind := "this one"
		if q.key != nil {
			behind = "that one"
		}
		s.fault(p.at(), "address", "0x%02x is the address of %s too, and %s is behind a multiplexer of bus %s: while its channel is connected, both would answer (%s)",
			p.address, q.sensor.where("address"), behind, bus, p.elsewhere(spec, taken))
	case q.key != nil && p.address == q.mux.Address:
		s.fault(p.at(), "address", "0x%02x on bus %s is the address of a multiplexer, that of %s (set one of the two to another address)", p.address, bus, q.key.where("address"))
	case p.key != nil && p.mux.Address == q.address:
		p.key.fault(p.key.values["address"], "address", "0x%02x on bus %s is the address of %s too (set one of the two to another address)", q.address, bus, q.sensor.where("address"))
	default:
		return false
	}
	return true
}

// elsewhere says where the chip could be instead.
func (p place) elsewhere(spec Chip, taken []place) string {
	fix := "connect one of them to another bus"
	if p.key != nil {
		fix = "connect one of them to another channel or bus"
	}
free:
	for _, a := range spec.Addresses {
		p.address = a
		for _, q := range taken {
			if p.answers(q) {
				continue free
			}
		}
		return fmt.Sprintf("set one of the chips to 0x%02x, or %s", a, fix)
	}
	return fix
}

// The further steps against a bus on which nobody answers.
const (
	Clocks = "clocks" // nine on SCL, and a STOP
	Rebind = "rebind" // the adapter is started anew
)

// busRecovery reads which further steps there are.
func (s *section) busRecovery() (steps []string) {
	words := []string{Clocks, Rebind}
	for at, n := range s.texts("bus_recovery") {
		switch {
		case !slices.Contains(words, n.Value):
			s.fault(n, at, "%s is no step (write %s)", phrase.Quote(n.Value), phrase.OneOf(words))
		case slices.Contains(steps, n.Value):
			s.fault(n, at, "%s is there already (remove one)", phrase.Quote(n.Value))
		default:
			steps = append(steps, n.Value)
		}
	}
	s.draw("bus_recovery", func(p *Schema) {
		if p.Items != nil {
			p.Items.Type, p.Items.Enum = nil, words
		}
	})
	return steps
}
