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

// A transaction that was not acknowledged, or lost the bus to another master, is
// made again: that costs 0.2 ms, and with 10 % of them lost by bad wiring, 0.1 %
// are. No chip is harmed by hearing a command again that it has not taken.
const (
	maxRepeats  = 2
	repeatPause = 200 * time.Microsecond
)

// worker owns a transport: only its goroutine opens, uses and closes it, so
// that only this goroutine is lost to a call that never returns. A call may
// return after its caller has left, so the memory it works on is the worker's.
type worker struct {
	name       string
	open       func() (i2c.BusCloser, error)
	power      func(cut bool) error // see Bus.SetPower; nil: there is none
	jobs       chan job             // holds 1; at most one job is out
	done       chan result          // holds 1, so a result that nobody awaits blocks nothing
	exit       chan error           // holds 1; how closing the transport ended, after jobs was closed
	transport  i2c.BusCloser
	unanswered int           // in a row
	repeats    *atomic.Int64 // of all transactions
}

type job struct {
	addr uint16
	cut  bool // the chips' power is cut first
	w, r []byte
}

type result struct {
	addr uint16
	err  *Error
	open bool          // the transport still is
	mute bool          // it was closed because nobody answered
	took time.Duration // of the bus's time
}

func startWorker(name string, open func() (i2c.BusCloser, error), repeats *atomic.Int64) *worker {
	w := &worker{name: name, open: open, repeats: repeats, jobs: make(chan job, 1), done: make(chan result, 1), exit: make(chan error, 1)}
	go w.run()
	return w
}

func (w *worker) run() {
	for j := range w.jobs {
		start := time.Now()
		res := w.do(j)
		res.addr, res.took = j.addr, time.Since(start)
		w.done <- res
	}
	w.exit <- w.shut()
}

func (w *worker) do(j job) result {
	if w.transport == nil {
		if w.power != nil {
			if err := w.power(j.cut); err != nil {
				return result{err: w.fail(j, wire.BusDown, err)}
			}
		}
		t, err := w.open()
		if err != nil {
			return result{err: w.fail(j, wire.BusDown, err)}
		}
		w.transport, w.unanswered = t, 0
	}
	err := w.transact(j)
	if err == nil {
		w.unanswered = 0
		return result{open: true}
	}
	e := w.wrap(j, err)
	if answered(e) {
		w.unanswered = 0
		return result{err: e, open: true}
	}
	w.unanswered++
	mute := w.unanswered == maxUnanswered
	if mute {
		e = w.fail(j, e.Fault, fmt.Errorf("no answer %d times in a row: %w", w.unanswered, e.Err))
	} else if !transportLost(e) {
		return result{err: e, open: true}
	}
	_ = w.shut() // it is closed; e says why
	return result{err: e, mute: mute && !transportLost(e)}
}

// transact does a transaction, again if that may help.
func (w *worker) transact(j job) error {
	for n := 0; ; n++ {
		err := w.transport.Tx(j.addr, j.w, j.r)
		if err == nil || n == maxRepeats || !passing(err) {
			return err
		}
		w.repeats.Add(1)
		time.Sleep(repeatPause)
	}
}

// passing returns whether err costs no time and may not come again.
func passing(err error) bool {
	return faultOf(err) == wire.NoAck || errors.Is(err, syscall.EAGAIN)
}

// answered returns whether the bus worked: a chip's missing acknowledge
// needs working lines too, and a wrong checksum somebody who sent it. What we do
// not know is none.
func answered(e *Error) bool {
	return e == nil || e.Fault == wire.NoAck || e.Fault == wire.Checksum
}

// wrap makes a transport's error an Error; ours are Errors already.
func (w *worker) wrap(j job, err error) *Error {
	if e, ok := err.(*Error); ok {
		return e
	}
	return w.fail(j, faultOf(err), err)
}

func (w *worker) fail(j job, f wire.Fault, err error) *Error {
	return &Error{Bus: w.name, Addr: j.addr, Op: operation(j.w, j.r), Fault: f, Err: err}
}

func (w *worker) shut() error {
	if w.transport == nil {
		return nil
	}
	t := w.transport
	w.transport = nil
	return t.Close()
}
