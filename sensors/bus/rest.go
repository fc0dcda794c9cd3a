package bus

import (
	"fmt"
	"slices"
	"time"

	"sensorgateway/sensors/internal/backoff"
	"sensorgateway/wire"
)

// costly is how long a failure may hold the bus before its chip is left alone
// for a while: the others on the bus could not measure meanwhile.
const costly = 20 * time.Millisecond

// rest is why a chip is left alone, and for how long.
type rest struct {
	backoff.Backoff // the zero value: it is not left alone
	err             *Error
	slow            []shape // its transactions that held the bus when they were last made
}

// shape is how many bytes a transaction writes and reads.
type shape struct{ w, r int }

// rest leaves the chip of a transaction alone if it failed and held the bus.
//
// If a transaction succeeded late, either the chip stretched the clock, or the transaction
// waited for the transfer of another program, which says nothing about the chip. So the chip
// is left alone only if the same transaction was late the last time too, whatever else the
// chip has answered in between.
func (b *Bus) rest(res result) {
	r, late := b.resting[res.at], res.took >= TransactionLimit
	if answered(res.err) && !late {
		if r != nil {
			r.slow = slices.DeleteFunc(r.slow, func(s shape) bool { return s == res.shape })
			if len(r.slow) == 0 {
				delete(b.resting, res.at)
			}
		}
		return
	}
	if !res.open || res.took < costly {
		return
	}
	if r == nil {
		r = &rest{}
		b.resting[res.at] = r
	}
	again := slices.Contains(r.slow, res.shape)
	if !again {
		r.slow = append(r.slow, res.shape)
	}
	r.err = res.err
	if answered(res.err) {
		if !again {
			return
		}
		r.err = &Error{Bus: res.at.on(b.String()), Addr: res.at.addr, Op: "transaction", Fault: wire.Timeout,
			Err: fmt.Errorf("it held the bus for %v", res.took.Round(time.Millisecond))}
	}
	r.Fail(res.took)
}
