package sim

import (
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

	mu     sync.Mutex
	closed chan struct{} // closed by Close
	wires  *Wires        // of the bus itself
	muxes  []*mux
	flaky  *flaky // nil: nothing fails by itself
}

var _ i2c.BusCloser = (*Bus)(nil)

// NewBus returns a bus without chips, open. The seed decides the chips' noise
// and what fails in flaky mode; name is what errors call it, such as "bus 1".
func NewBus(name string, environment *Environment, seed uint64) *Bus {
	b := &Bus{
		name: name, environment: environment, seed: seed,
		token:  make(chan struct{}, 1),
		closed: make(chan struct{}),
	}
	b.wires = newWires(b, name, 0)
	return b
}

// Add puts a chip on the bus itself, powered for a while already, by the name that a
// configuration has for it: "sht3x".
func (b *Bus) Add(model string, addr uint16, place Place) error {
	return b.wires.Add(model, addr, place)
}

// Inject makes the chip at addr of the bus itself, or a multiplexer, fail from now on.
// Failures add up; it returns an error if there is no chip.
func (b *Bus) Inject(addr uint16, failures ...Failure) error {
	return b.wires.Inject(addr, failures...)
}

// Repair ends what was injected into the chip at addr; one that was unplugged
// is plugged in again. A transaction that is held stays held.
func (b *Bus) Repair(addr uint16) { b.wires.Repair(addr) }

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

// Close ends the transactions that are held and refuses new ones, until Open.
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
// the chips notice neither.
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

// Tx writes w to the chip at addr, then reads r from it; either may be empty.
// Its errors carry [wire.NoAck], [wire.Timeout] or, once closed, [wire.BusDown].
//
// It does not take the time that the bits would take on the wire, well under a
// millisecond: waking up that often would cost a small machine more than
// everything else here, and no driver notices.
func (b *Bus) Tx(addr uint16, w, r []byte) error {
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
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
	first, others := b.connected(addr)
	if first == nil {
		return noAck
	}
	err := b.ask(first, w, r, closed)
	for _, d := range others {
		err = b.collide(err, d, w, r, closed)
	}
	return err
}

// ask does a transaction with one chip.
func (b *Bus) ask(d *device, w, r []byte, closed <-chan struct{}) error {
	now := time.Now()
	b.failIfDue(d, now)
	if d.missing(now) {
		return noAck
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
	return b.transfer(d, w, r, closed)
}

// transfer does a transaction with a chip that takes part in it.
func (b *Bus) transfer(d *device, w, r []byte, closed <-chan struct{}) error {
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

// stand holds a transaction for d, or for ever if it is 0. It reports false if the bus
// was closed first.
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
