package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Wires are what chips share: those of a bus, or those behind a channel of a
// multiplexer on it.
type Wires struct {
	bus     *Bus
	name    string
	who     uint64             // makes chips that have the same address on different wires differ
	devices map[uint16]*device // guarded by the bus's mu
}

// device is a chip on its wires.
type device struct {
	model    string
	who      uint64
	chip     chip
	chance   *rand.Rand // its noise and which bits get corrupted
	failures failures
	had      [len(flakyFailures)]int64 // flaky mode: in how many cycles it had each failure
}

func newWires(b *Bus, name string, who uint64) *Wires {
	return &Wires{bus: b, name: name, who: who, devices: map[uint16]*device{}}
}

// Add puts a chip on the wires, powered for a while already, by the name that a
// configuration has for it: "sht3x".
func (s *Wires) Add(model string, addr uint16, place Place) error {
	m, ok := models[model]
	if !ok {
		return fmt.Errorf("chip %q on %s: not emulated, only %s", model, s.name, strings.Join(slices.Sorted(maps.Keys(models)), ", "))
	}
	if !slices.Contains(m.addrs, addr) {
		return fmt.Errorf("%s 0x%02x on %s: no address of this chip, use one of %#02x", model, addr, s.name, m.addrs)
	}
	d := s.device(model, addr)
	p := &probe{environment: s.bus.environment, place: place, chance: d.chance, frozen: func(now time.Time) bool {
		_, frozen := d.failures.strike(now, Freeze)
		return frozen
	}}
	d.chip = m.make(p, uint32(mix(s.bus.seed, d.who)))
	return s.put(d, addr)
}

// device returns one for the address, still without a chip.
func (s *Wires) device(model string, addr uint16) *device {
	who := uint64(addr) | s.who
	d := &device{model: model, who: who, chance: rand.New(rand.NewPCG(s.bus.seed, who))}
	d.failures.chance = rand.New(rand.NewPCG(who, s.bus.seed))
	return d
}

// put gives a device its address and power.
func (s *Wires) put(d *device, addr uint16) error {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	if other := s.devices[addr]; other != nil {
		return fmt.Errorf("%s 0x%02x on %s: address taken by %s", d.model, addr, s.name, other.model)
	}
	d.chip.powerOn(time.Now().Add(-time.Second))
	s.devices[addr] = d
	return nil
}

// Inject makes the chip at addr fail from now on. Failures add up; it returns
// an error if there is no chip.
func (s *Wires) Inject(addr uint16, failures ...Failure) error {
	d := s.at(addr)
	if d == nil {
		return fmt.Errorf("0x%02x on %s: no chip to fail", addr, s.name)
	}
	d.failures.add(time.Now(), failures...)
	return nil
}

// Repair ends what was injected into the chip at addr; one that was unplugged
// is plugged in again. A transaction that is held stays held.
func (s *Wires) Repair(addr uint16) {
	if d := s.at(addr); d != nil {
		d.failures.repair(time.Now())
	}
}

// at returns the chip at addr, nil if there is none.
func (s *Wires) at(addr uint16) *device {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	return s.devices[addr]
}

// missing returns whether the device takes no part in a transaction now. One that is
// back from being unplugged is powered on.
func (d *device) missing(now time.Time) bool {
	if powered := d.failures.settle(now); !powered.IsZero() {
		d.chip.powerOn(powered)
	}
	for _, kind := range [...]Kind{Unplug, Vanish} {
		if _, gone := d.failures.strike(now, kind); gone {
			return true
		}
	}
	return false
}
