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
	// transactionLimit is how long a caller waits for a transaction. An adapter
	// takes up to a second by default until it gives up on a stuck bus.
	transactionLimit = 250 * time.Millisecond
	// waitLimit is how long one waits for the others on the bus: a little
	// longer than for the one of them that hangs, to hear why.
	waitLimit = 300 * time.Millisecond
	// closeLimit is how long Close waits for a transaction that hangs.
	closeLimit = time.Second
)

var (
	errClosed   = errors.New("the bus is closed")
	errNoAnswer = fmt.Errorf("no answer within %v", transactionLimit)
	errBusy     = fmt.Errorf("the bus was busy with other chips for %v", waitLimit)
)

// minCost is the least that counts for a transport that does not open, which is found
// out at once.
const minCost = 100 * time.Millisecond

// hangError is why nothing is tried while a transaction is out that should
// have ended long ago.
type hangError struct {
	since time.Time
	at    place
}

func (e hangError) Error() string {
	return fmt.Sprintf("hangs since %s, at %s", e.since.Format(time.DateTime), e.at.on(fmt.Sprintf("chip 0x%02x", e.at.addr)))
}

// Bus is an i2c.BusCloser that outlives its transport. It opens the transport
// at the first transaction, and again, with a growing pause, whenever it
// fails, vanishes or has not answered for long; it does one transaction at a
// time, in the order of the callers; and Tx returns within 550 ms even if the
// transport never does. A transaction that fails is an [*Error].
//
// One that was not acknowledged is made again, up to twice. A chip whose failure
// held the bus for long is not tried again before a pause that goes by how long;
// until then its transactions fail at once, with the same cause. So is one that
// answers, if two such transactions in a row held the bus: a single one may have waited
// for the transfer of another program.
//
// A transaction that does not end keeps one goroutine and one OS thread, and
// nothing is tried on this bus until it does end.
type Bus struct {
	name string
	open func() (i2c.BusCloser, error)
	log  *slog.Logger

	closing atomic.Bool
	token   chan struct{} // holds 1: who has put its token in has the bus; the others queue, oldest first
	waiting sync.Pool     // *time.Timer, stopped, for those who queue

	timers   timer.Kind
	sleepers sync.Pool // *timer.Sleeper, for those who wait for their chips

	// What follows is used by the goroutine that has the bus.
	worker  *worker      // nil before the first transaction
	limit   *timer.Timer // stopped when nobody has the bus; made with the worker
	w, r    []byte       // the worker's while a job is out
	hanging bool         // a job is out and late
	resting map[place]*rest

	downSince time.Time       // zero while the bus answers
	cause     error           // for being down
	retry     backoff.Backoff // nothing is tried while it waits

	recovery
	muxes   atomic.Uint32 // a bit for each multiplexer, from [FirstMux] on
	repeats atomic.Int64
}

// New returns the bus called name, such as "bus 1", whose transport open
// opens. It logs to log when the bus goes down and when it is back. Whoever
// calls New closes the bus.
func New(name string, open func() (i2c.BusCloser, error), log *slog.Logger) *Bus {
	return &Bus{
		name:     name,
		open:     open,
		log:      log.With("bus", name),
		token:    make(chan struct{}, 1),
		waiting:  sync.Pool{New: func() any { return stoppedTimer() }},
		resting:  map[place]*rest{},
		recovery: newRecovery(),
	}
}

// SetTimers sets whose timers the bus waits with, before it is used.
func (b *Bus) SetTimers(kind timer.Kind) { b.timers = kind }

// Wait waits as a driver does for its chip, which needs no bus for that. See
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
func (b *Bus) Repeats() int64 { return b.repeats.Load() }

// String returns the bus's name.
func (b *Bus) String() string { return b.name }

// SetSpeed refuses: the speed is that of all chips, and on Linux it is set at boot.
func (b *Bus) SetSpeed(physic.Frequency) error { return fmt.Errorf("%s: %w", b.name, errSpeed) }

// Tx writes w to the chip at addr and then reads r, as one transaction; either
// may be empty. r is written only when Tx returns nil, and neither is touched
// afterwards. The faults that Tx itself finds are wire.Timeout for
// a transaction, or a wait for the bus, that took too long, and wire.BusDown, at once, while
// the bus is missing or hangs.
func (b *Bus) Tx(addr uint16, w, r []byte) error { return b.tx(place{addr: addr}, w, r) }

func (b *Bus) tx(at place, w, r []byte) error {
	if len(w) == 0 && len(r) == 0 {
		return nil
	}
	fault, err := wire.Other, check(at.addr, w, r)
	if err == nil {
		err = at.check(b.muxes.Load())
	}
	if err == nil {
		if b.acquire() {
			fault, err = b.transact(at, w, r)
			<-b.token
		} else {
			fault, err = wire.Timeout, errBusy
		}
	}
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok {
		return e
	}
	return &Error{Bus: at.on(b.name), Addr: at.addr, Op: operation(w, r), Fault: fault, Err: err}
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

// transact does one transaction for the caller that has the bus. The fault goes with an
// error that is no *Error yet.
func (b *Bus) transact(at place, w, r []byte) (wire.Fault, error) {
	if b.closing.Load() {
		return wire.BusDown, errClosed
	}
	if b.hanging {
		select {
		case late := <-b.worker.done: // its caller has left: only the transport's state counts
			b.hanging = false
			b.rest(late)
			if !late.open {
				b.lost(late)
			}
		default:
			return wire.BusDown, b.cause
		}
	}
	if b.retry.Waiting() {
		return wire.BusDown, b.cause
	}
	if r := b.resting[at]; r != nil && r.Waiting() {
		return r.err.Fault, r.err
	}
	if b.worker == nil {
		b.worker = startWorker(b.name, b.open, &b.muxes, &b.repeats)
		b.worker.prepare = b.prepare // it is read when a job is there
		b.limit = timer.New(b.timers)
	}
	step := b.nextStep(b.log)
	b.w = append(b.w[:0], w...)
	b.r = append(b.r[:0], r...) // the length counts
	clear(b.r)                  // a transport that lies about success must not repeat another chip's answer
	b.worker.jobs <- job{at: at, step: step, w: b.w, r: b.r}
	res, ok := b.await()
	if !ok {
		b.hanging = true
		b.down(hangError{since: time.Now().Add(-transactionLimit), at: at})
		return wire.Timeout, errNoAnswer
	}
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

// await returns the result of the job that is out, if it comes in time.
func (b *Bus) await() (result, bool) {
	b.limit.Reset(transactionLimit)
	defer b.limit.Stop()
	select {
	case res := <-b.worker.done:
		return res, true
	case <-b.limit.C():
	}
	select { // on a busy machine both can be there
	case res := <-b.worker.done:
		return res, true
	default:
		return result{}, false
	}
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

// Close ends the bus; later transactions fail at once. It waits up to 1 s for
// a transaction that hangs and then leaves its goroutine to itself, with an
// error: nothing can end it, and it closes the transport should it come back.
func (b *Bus) Close() error {
	if b.closing.Swap(true) {
		return nil
	}
	b.token <- struct{}{} // soon: whoever has it is bounded, and those who queue see closing
	defer func() { <-b.token }()
	if b.worker == nil {
		return nil
	}
	close(b.worker.jobs)
	b.limit.Reset(closeLimit)
	defer b.limit.Close()
	select {
	case err := <-b.worker.exit:
		if err != nil {
			return fmt.Errorf("close %s: %w", b.name, err)
		}
		return nil
	case <-b.limit.C():
		if b.hanging {
			return fmt.Errorf("close %s: %w", b.name, b.cause)
		}
		return fmt.Errorf("close %s: no answer within %v", b.name, closeLimit)
	}
}

func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}
