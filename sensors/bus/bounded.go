package bus

import (
	"fmt"
	"slices"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/wire"
)

// boundedLimit is how long a transaction may take with the wait for its turn.
const boundedLimit = waitLimit + TransactionLimit

// Managed is what a [Bus] and its channels are.
type Managed interface {
	i2c.Bus
	// Wait waits as a driver does for its chip.
	Wait(d time.Duration)
	// Hangs returns why a transaction with the chip at addr would have to wait for one that
	// does not end; nil while there is none.
	Hangs(addr uint16) error
}

// Bounded is a bus for callers that cannot be left behind in a transaction: Tx returns
// within 550 ms even if the transport never does.
type Bounded struct{ Managed }

// Tx is [Bus.Tx]. A transaction that does not end keeps a goroutine, on memory of its own.
func (b Bounded) Tx(addr uint16, w, r []byte) error {
	own := slices.Clone(w)
	read := make([]byte, len(r))
	done := make(chan error, 1)
	go func() { done <- b.Managed.Tx(addr, own, read) }()
	limit := time.NewTimer(boundedLimit)
	defer limit.Stop()
	select {
	case err := <-done:
		if err == nil {
			copy(r, read)
		}
		return err
	case <-limit.C:
		return &Error{Bus: b.String(), Addr: addr, Op: operation(w, r), Fault: wire.Timeout, Err: fmt.Errorf("no answer within %v", boundedLimit)}
	}
}
