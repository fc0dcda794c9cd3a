package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"sensorgateway/sensors/internal/backoff"
	"sensorgateway/sensors/timer"
	"sensorgateway/wire"
)

const (
	// TransactionLimit is how long a transaction may take until the bus counts as hanging.
	// An adapter takes up to a second by default until it gives up on a stuck bus.
	TransactionLimit = 250 * time.Millisecond
	// waitLimit is how long a caller waits for its turn: a little longer than TransactionLimit,
	// so that it can return that another one's transaction hangs.
	waitLimit = 300 * time.Millisecond
	// closeLimit is how long Close waits for a transaction that hangs.
	closeLimit = time.Second
)

var (
	errClosed = errors.New("the bus is closed")
	errBusy   = fmt.Errorf("the bus was busy with other chips for %v", waitLimit)
)

// minCost is the least time that counts for a transport that does not open, because this
// is found out at once.
const minCost = 100 * time.Millisecond

// Bus is an i2c.BusCloser that outlives its transport. It opens the transport
// at the first transaction, and again, with a growing pause, whenever it
// fails, vanishes or has not answered for long; and it does one transaction at a
// time, in the order of the callers. A transaction that fails is an [*Error].
//
// A transaction that was not acknowledged is made again, up to twice. If a chip's failure
// held the bus for long, the chip is left alone for a pause that depends on how long; until
// then its transactions fail at once, with the same cause. So do those of a chip that
// answers, if the same transaction held the bus twice in a row: once, it may have waited
// for the transfer of another program.
//
// A transaction is made by the caller's goroutine: to hand it to another would wake two
// threads, which costs more than the transaction. So Tx returns when the transport does. If
// that never does, the caller's goroutine and an OS thread are held, nothing is tried on
// this bus until it ends, and [Bus.Hangs] says so. Callers that must not be held use a
// [Bounded]. All others that wait for their turn give up after 300 ms.
type Bus struct {
	log *slog.Logger

	closing atomic.Bool
	token   chan struct{} // holds 1: the caller that has put its token in has the bus; the others queue, oldest first
	waiting sync.Pool     // *time.Timer, stopped, for those who queue
	flight  flight

	timers   timer.Kind
	sleepers sync.Pool // *timer.Sleeper, for those who wait for their chips

	// What follows is used by the goroutine that has the bus.
	transport transport
	w, r      []byte // of a transaction: what goes through the i2c.BusCloser interface would be allocated
	resting   map[place]*rest

	downSince time.Time       // zero while the bus answers
	cause     error           // for being down
	retry     backoff.Backoff // nothing is tried while it waits

	recovery
}

// New returns the bus called name, such as "bus 1", whose transport open
// opens. It logs to log when the bus goes down and when it is back. Whoever
// calls New closes the bus.
func New(name string, open func() (i2c.BusCloser, error), log *slog.Logger) *Bus {
	return &Bus{
		log:       log.With("bus", name),
		token:     make(chan struct{}, 1),
		waiting:   sync.Pool{New: func() any { return stoppedTimer() }},
		transport: transport{name: name, open: open},
		resting:   map[place]*rest{},
		recovery:  newRecovery(),
	}
}

// SetTimers sets whose timers the bus waits with, before it is used.
func (b *Bus) SetTimers(kind timer.Kind) { b.timers = kind }

// Wait waits while a driver's chip works, which does not need the bus meanwhile. See
// [timer.Sleeper].
func (b *Bus) Wait(d time.Duration) {
	s, _ := b.sleepers.Get().(*timer.Sleeper)
	if s == nil {
		s = timer.NewSleeper(b.timers)
	}
	s.Sleep(d)
	b.sleepers.Put(s)
}

// Repeats is how many transactions were made again because they were not
// acknowledged or lost the bus to another master.
func (b *Bus) Repeats() int64 { return b.transport.repeats.Load() }

// String returns the bus's name.
func (b *Bus) String() string { return b.transport.name }

// SetSpeed refuses: the speed is that of all chips, and on Linux it is set at boot.
func (b *Bus) SetSpeed(physic.Frequency) error { return fmt.Errorf("%v: %w", b, errSpeed) }

// Tx writes w to the chip at addr and then reads r, as one transaction; either
// may be empty. r is written only when Tx returns nil. The faults that Tx itself finds
// are wire.Timeout for a wait for the bus that took too long, and wire.BusDown while the
// bus is missing or hangs, at once when that is known.
func (b *Bus) Tx(addr uint16, w, r []byte) error { return b.tx(place{addr: addr}, w, r) }

func (b *Bus) tx(at place, w, r []byte) error {
	if len(w) == 0 && len(r) == 0 {
		return nil
	}
	fault, err := wire.Other, check(at.addr, w, r)
	if err == nil {
		err = at.check(b.transport.switches.present.Load())
	}
	if err == nil {
		fault, err = b.inTurn(at, w, r)
	}
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok {
		return e
	}
	return &Error{Bus: at.on(b.String()), Addr: at.addr, Op: operation(w, r), Fault: fault, Err: err}
}

// inTurn does a transaction when it is the caller's turn. The fault belongs to an error
// that is not an *Error yet.
func (b *Bus) inTurn(at place, w, r []byte) (wire.Fault, error) {
	if err := b.hangs(); err != nil {
		return wire.BusDown, err
	}
	if !b.acquire() {
		if err := b.hangs(); err != nil {
			return wire.BusDown, err
		}
		return wire.Timeout, errBusy
	}
	defer b.release() // also if a transport panics
	return b.transact(at, w, r)
}

// acquire waits for the bus, but not for long.
func (b *Bus) acquire() bool {
	select {
	case b.token <- struct{}{}:
		return true
	default:
	}
	t := b.waiting.Get().(*time.Timer)
	t.Reset(waitLimit)
	defer func() {
		t.Stop()
		b.waiting.Put(t)
	}()
	select {
	case b.token <- struct{}{}:
		return true
	case <-t.C:
		return false
	}
}

func (b *Bus) release() { <-b.token }

// transact does one transaction for the caller that has the bus.
func (b *Bus) transact(at place, w, r []byte) (wire.Fault, error) {
	if b.closing.Load() {
		return wire.BusDown, errClosed
	}
	if b.retry.Waiting() {
		return wire.BusDown, b.cause
	}
	if r := b.resting[at]; r != nil && r.Waiting() {
		return r.err.Fault, r.err
	}
	step := b.nextStep(b.log)
	b.w = append(b.w[:0], w...)
	b.r = append(b.r[:0], r...) // the length counts
	clear(b.r)                  // if a transport reports success wrongly, no other chip's answer must be in it
	res := b.fly(job{at: at, step: step, w: b.w, r: b.r})
	switch {
	case !res.open:
		b.lost(res)
	case answered(res.err):
		b.up()
	}
	b.rest(res)
	if res.err != nil {
		return res.err.Fault, res.err
	}
	copy(r, b.r)
	return wire.Good, nil
}

// fly makes a transaction. If other callers were told meanwhile that it does not end, the
// bus was down from then on.
func (b *Bus) fly(j job) (res result) {
	start := time.Now()
	b.flight.begin(j.at, start, !b.downSince.IsZero())
	defer func() { // also if a transport panics
		if b.flight.end() && b.downSince.IsZero() {
			b.downSince = start.Add(TransactionLimit)
		}
	}()
	res = b.transport.do(j)
	res.at, res.shape, res.took = j.at, shape{len(j.w), len(j.r)}, time.Since(start)
	return res
}

// down notes why the bus is down, and logs it when it was not.
func (b *Bus) down(cause error) {
	b.cause = cause
	if b.downSince.IsZero() {
		b.downSince = time.Now()
		b.log.Warn("I²C bus is down", "cause", cause)
	}
}

// lost notes that the transport was closed or did not open.
func (b *Bus) lost(res result) {
	clear(b.resting) // the next transport may do better
	b.retry.Fail(max(res.took, minCost))
	b.down(res.err.Err)
	if b.mute = res.mute; res.mute {
		b.inVain(b.log)
	}
}

// up notes that the bus has answered.
func (b *Bus) up() {
	if b.downSince.IsZero() {
		return
	}
	b.log.Info("I²C bus is back", append(b.answered(), "after", time.Since(b.downSince).Round(time.Millisecond))...)
	b.downSince, b.cause = time.Time{}, nil
	b.retry.Reset()
}

// Close ends the bus; later transactions fail. It waits up to 1 s for a transaction that
// hangs and then returns an error: nothing can end such a transaction. If it ends later,
// the transport is closed then.
func (b *Bus) Close() error {
	if b.closing.Swap(true) {
		return nil
	}
	closed := make(chan error, 1)
	go func() { // to disconnect a multiplexer may hang too
		b.token <- struct{}{}
		defer b.release()
		b.transport.disconnectAll()
		closed <- b.transport.shut()
	}()
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	select {
	case err := <-closed:
		if err != nil {
			return fmt.Errorf("close %v: %w", b, err)
		}
		return nil
	case <-limit.C:
		if err := b.hangs(); err != nil {
			return fmt.Errorf("close %v: %w", b, err)
		}
		return fmt.Errorf("close %v: no answer within %v", b, closeLimit)
	}
}

func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}
