package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

// Bus is an emulated I²C bus; any number of goroutines may use it. Like a real
// one it carries one transaction at a time.
type Bus struct {
	name        string
	environment *Environment
	seed        uint64

	token chan struct{} // holds a token during a transaction. A channel, not a mutex: a test's clock goes on while goroutines wait for it

	mu      sync.Mutex
	closed  chan struct{} // closed by Close
	devices map[uint16]*device
	flaky   *flaky // nil: nothing fails by itself
}

var _ i2c.BusCloser = (*Bus)(nil)

// device is a chip on the bus.
type device struct {
	model    string
	chip     chip
	chance   *rand.Rand // its noise and which bits get corrupted
	failures failures
	had      [len(flakyFailures)]int64 // flaky mode: how many cycles' flakyFailures it had
}

// NewBus returns a bus without chips, open. The seed decides the chips' noise
// and what fails in flaky mode; name is what errors call it, such as "bus 1".
func NewBus(name string, environment *Environment, seed uint64) *Bus {
	return &Bus{
		name: name, environment: environment, seed: seed,
		token:   make(chan struct{}, 1),
		closed:  make(chan struct{}),
		devices: make(map[uint16]*device),
	}
}

// Add puts a chip on the bus, powered for a while already, by the name that a
// configuration has for it: "sht3x".
func (b *Bus) Add(model string, addr uint16, place Place) error {
	m, ok := models[model]
	if !ok {
		return fmt.Errorf("chip %q on %s: not emulated, only %s", model, b.name, strings.Join(slices.Sorted(maps.Keys(models)), ", "))
	}
	if !slices.Contains(m.addrs, addr) {
		return fmt.Errorf("%s 0x%02x on %s: no address of this chip, use one of %#02x", model, addr, b.name, m.addrs)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := b.devices[addr]; d != nil {
		return fmt.Errorf("%s 0x%02x on %s: address taken by %s", model, addr, b.name, d.model)
	}
	d := &device{model: model, chance: rand.New(rand.NewPCG(b.seed, uint64(addr)))}
	d.failures.chance = rand.New(rand.NewPCG(uint64(addr), b.seed))
	p := &probe{environment: b.environment, place: place, chance: d.chance, frozen: func(now time.Time) bool {
		_, frozen := d.failures.strike(now, Freeze)
		return frozen
	}}
	d.chip = m.make(p, uint32(mix(b.seed, uint64(addr))))
	d.chip.powerOn(time.Now().Add(-time.Second))
	b.devices[addr] = d
	return nil
}

// Inject makes the chip at addr fail from now on. Failures add up; it returns
// an error if there is no chip.
func (b *Bus) Inject(addr uint16, failures ...Failure) error {
	d, _ := b.at(addr)
	if d == nil {
		return fmt.Errorf("0x%02x on %s: no chip to fail", addr, b.name)
	}
	d.failures.add(time.Now(), failures...)
	return nil
}

// Repair ends what was injected into the chip at addr; one that was unplugged
// is plugged in again. A transaction that stands goes on standing.
func (b *Bus) Repair(addr uint16) {
	if d, _ := b.at(addr); d != nil {
		d.failures.repair(time.Now())
	}
}

// SetFlaky lets the chips fail by themselves from now on, as the bus's seed has
// it: within any ten seconds each vanishes for 0.5 s, spoils three answers and
// freezes for 3 s, and one of them stalls the bus, in turns below and above a
// quarter of a second. In between they work.
func (b *Bus) SetFlaky() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.flaky == nil {
		b.flaky = &flaky{seed: b.seed, start: time.Now()}
	}
}

// String returns the bus's name.
func (b *Bus) String() string { return b.name }

// SetSpeed accepts any speed: transactions take no time anyway.
func (b *Bus) SetSpeed(physic.Frequency) error { return nil }

// Close ends the transactions that stand and refuses new ones, until Open.
func (b *Bus) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.closed:
	default:
		close(b.closed)
	}
	return nil
}

// Open opens the bus again after Close, and returns it. As with a device file,
// the chips noticed neither.
func (b *Bus) Open() (i2c.BusCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.closed:
		b.closed = make(chan struct{})
	default:
	}
	return b, nil
}

// at returns the chip at addr, nil if there is none, and what says that the
// bus was closed.
func (b *Bus) at(addr uint16) (*device, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.devices[addr], b.closed
}

// Tx writes w to the chip at addr, then reads r from it; either may be empty.
// Its errors carry [wire.NoAck], [wire.Timeout] or, once closed, [wire.BusDown].
//
// It does not take the time that the bits would take on the wire, well under a
// millisecond: waking up that often would cost a small machine more than
// everything else here, and no driver notices.
func (b *Bus) Tx(addr uint16, w, r []byte) error {
	d, closed := b.at(addr)
	select {
	case <-closed: // also when the bus is free
		return busClosed
	default:
	}
	select {
	case <-closed:
		return busClosed
	case b.token <- struct{}{}:
	}
	defer func() { <-b.token }()
	if d == nil {
		return noAck
	}

	now := time.Now()
	b.failIfDue(addr, d, now)
	if powered := d.failures.settle(now); !powered.IsZero() {
		d.chip.powerOn(powered)
	}
	for _, kind := range [...]Kind{Unplug, Vanish} {
		if _, gone := d.failures.strike(now, kind); gone {
			return noAck
		}
	}
	if f, hangs := d.failures.strike(now, Hang); hangs {
		if !stand(f.For, closed) {
			return busClosed
		}
		return timedOut
	}
	if f, stalls := d.failures.strike(now, Stall); stalls && !stand(f.For, closed) {
		return busClosed
	}
	return b.transfer(d, addr, w, r, closed)
}

// transfer does a transaction with a chip that takes part in it.
func (b *Bus) transfer(d *device, addr uint16, w, r []byte, closed <-chan struct{}) error {
	if (len(w) > 0 || len(r) == 0) && !d.chip.write(time.Now(), w) {
		return noAck
	}
	if len(r) == 0 {
		return nil
	}
	now := time.Now()
	answer := d.chip.read(now, r)
	for answer.hold > 0 {
		if !stand(answer.hold, closed) {
			return busClosed
		}
		now = time.Now()
		answer = d.chip.read(now, r)
	}
	if !answer.ack {
		return noAck
	}
	if answer.data {
		if _, corrupt := d.failures.strike(now, Corrupt); corrupt {
			d.chip.corrupt(r, d.chance)
		}
	}
	if _, ones := d.failures.strike(now, Ones); ones {
		fill(r, 0xFF)
	}
	if _, zeros := d.failures.strike(now, Zeros); zeros {
		fill(r, 0x00)
	}
	return nil
}

// stand waits for d, or for ever if it is 0. It reports false if the bus was
// closed first.
func stand(d time.Duration, closed <-chan struct{}) bool {
	var over <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
		return true
	case <-closed:
		return false
	}
}
