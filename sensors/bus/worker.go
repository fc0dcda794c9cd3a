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
	prepare    func() error // see Bus.SetRecovery; nil: there is none
	jobs       chan job     // holds 1; at most one job is out
	done       chan result  // holds 1, so a result that nobody awaits blocks nothing
	exit       chan error   // holds 1; how closing the transport ended, after jobs was closed
	transport  i2c.BusCloser
	switches   switches
	unanswered int           // in a row
	repeats    *atomic.Int64 // of all transactions
}

type job struct {
	at   place
	step func() // goes before the transport is opened; nil: nothing does
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

func startWorker(name string, open func() (i2c.BusCloser, error), muxes *atomic.Uint32, repeats *atomic.Int64) *worker {
	w := &worker{name: name, open: open, switches: switches{present: muxes}, repeats: repeats,
		jobs: make(chan job, 1), done: make(chan result, 1), exit: make(chan error, 1)}
	go w.run()
	return w
}

func (w *worker) run() {
	for j := range w.jobs {
		start := time.Now()
		res := w.do(j)
		res.at, res.shape, res.took = j.at, shape{len(j.w), len(j.r)}, time.Since(start)
		w.done <- res
	}
	w.disconnectAll()
	w.exit <- w.shut()
}

func (w *worker) do(j job) result {
	if w.transport == nil {
		if w.prepare != nil {
			if err := w.prepare(); err != nil {
				return result{err: w.fail(j.at, operation(j.w, j.r), wire.BusDown, err)}
			}
		}
		if j.step != nil {
			j.step()
		}
		t, err := w.open()
		if err != nil {
			return result{err: w.fail(j.at, operation(j.w, j.r), wire.BusDown, err)}
		}
		w.transport, w.unanswered = t, 0
		w.switches.state = [len(w.switches.state)]selection{}
	}
	e := w.transact(j)
	if answered(e) {
		w.unanswered = 0
		return result{err: e, open: true}
	}
	w.unanswered++
	mute := w.unanswered == maxUnanswered
	if mute {
		e = w.fail(j.at, e.Op, e.Fault, fmt.Errorf("no answer %d times in a row: %w", w.unanswered, e.Err))
	} else if !transportLost(e) {
		return result{err: e, open: true}
	}
	_ = w.shut() // it is closed; e says why
	return result{err: e, mute: mute && !transportLost(e)}
}

// transact does a transaction, again if that may help.
func (w *worker) transact(j job) *Error {
	for n := 0; ; n++ {
		if err := w.connect(j.at); err != nil {
			return err // it has tried that again
		}
		err := w.transport.Tx(j.at.addr, j.w, j.r)
		if err == nil {
			return nil
		}
		w.switches.forget(j.at)
		if n == maxRepeats || !passing(err) {
			return w.fail(j.at, operation(j.w, j.r), faultOf(err), err)
		}
		w.pause()
	}
}

// pause goes before a transaction that is made again.
func (w *worker) pause() {
	w.repeats.Add(1)
	time.Sleep(repeatPause)
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

// fail is why a transaction with the chip at a place failed.
func (w *worker) fail(at place, op string, f wire.Fault, err error) *Error {
	if e, ok := err.(*Error); ok { // of the transport: it knows no multiplexers
		err = e.Err
	}
	return &Error{Bus: at.on(w.name), Addr: at.addr, Op: op, Fault: f, Err: err}
}

func (w *worker) shut() error {
	if w.transport == nil {
		return nil
	}
	t := w.transport
	w.transport = nil
	return t.Close()
}
