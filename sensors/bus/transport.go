package bus

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/wire"
)

// maxUnanswered is how many transactions in a row may fail without a sign of
// life before the transport is opened anew. On a stuck bus each takes an adapter up to
// a second.
const maxUnanswered = 3

// A transaction that was not acknowledged, or lost the bus to another master, is made again.
// That costs 0.2 ms; if bad wiring loses 10 % of all transfers, only 0.1 % of the transactions
// fail. It harms no chip to get a command again that it has not taken.
const (
	maxRepeats  = 2
	repeatPause = 200 * time.Microsecond
)

// transport is what a bus's transactions go over. It is opened when it is needed, and closed
// when it is lost or nobody answers. Only the goroutine that has the bus uses it.
type transport struct {
	name       string
	open       func() (i2c.BusCloser, error)
	prepare    func() error  // see Bus.SetRecovery; nil: there is none
	port       i2c.BusCloser // nil while it is closed
	switches   switches
	unanswered int          // in a row
	repeats    atomic.Int64 // of all transactions
}

type job struct {
	at   place
	step func() // done before the transport is opened; nil: nothing
	w, r []byte
}

type result struct {
	at    place
	shape shape
	err   *Error
	open  bool          // the transport still is
	mute  bool          // it was closed because nobody answered
	took  time.Duration // of the bus's time
}

func (t *transport) do(j job) result {
	if t.port == nil {
		if t.prepare != nil {
			if err := t.prepare(); err != nil {
				return result{err: t.fail(j.at, operation(j.w, j.r), wire.BusDown, err)}
			}
		}
		if j.step != nil {
			j.step()
		}
		port, err := t.open()
		if err != nil {
			return result{err: t.fail(j.at, operation(j.w, j.r), wire.BusDown, err)}
		}
		t.port, t.unanswered = port, 0
		t.switches.state = [len(t.switches.state)]selection{}
	}
	e := t.transact(j)
	if answered(e) {
		t.unanswered = 0
		return result{err: e, open: true}
	}
	t.unanswered++
	mute := t.unanswered == maxUnanswered
	if mute {
		e = t.fail(j.at, e.Op, e.Fault, fmt.Errorf("no answer %d times in a row: %w", t.unanswered, e.Err))
	} else if !transportLost(e) {
		return result{err: e, open: true}
	}
	_ = t.shut() // it is closed; e says why
	return result{err: e, mute: mute && !transportLost(e)}
}

// transact does a transaction, again if that may help.
func (t *transport) transact(j job) *Error {
	for n := 0; ; n++ {
		if err := t.connect(j.at); err != nil {
			return err // it has repeated that itself
		}
		err := t.port.Tx(j.at.addr, j.w, j.r)
		if err == nil {
			return nil
		}
		t.switches.forget(j.at)
		if n == maxRepeats || !passing(err) {
			return t.fail(j.at, operation(j.w, j.r), faultOf(err), err)
		}
		t.pause()
	}
}

// pause goes before a transaction that is made again.
func (t *transport) pause() {
	t.repeats.Add(1)
	time.Sleep(repeatPause)
}

// passing returns whether err took no time, and may not occur again.
func passing(err error) bool {
	return faultOf(err) == wire.NoAck || errors.Is(err, syscall.EAGAIN)
}

// answered returns whether the bus worked: a missing acknowledge is seen on working lines
// only, and somebody has sent a checksum that is wrong. Other faults do not count as an
// answer.
func answered(e *Error) bool {
	return e == nil || e.Fault == wire.NoAck || e.Fault == wire.Checksum
}

// fail is why a transaction with the chip at a place failed.
func (t *transport) fail(at place, op string, f wire.Fault, err error) *Error {
	if e, ok := err.(*Error); ok { // of the transport: it knows no multiplexers
		err = e.Err
	}
	return &Error{Bus: at.on(t.name), Addr: at.addr, Op: op, Fault: f, Err: err}
}

func (t *transport) shut() error {
	if t.port == nil {
		return nil
	}
	port := t.port
	t.port = nil
	return port.Close()
}
