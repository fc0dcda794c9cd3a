package bus

import (
	"fmt"
	"sync"
	"time"

	"sensorgateway/wire"
)

// flight is the transaction that is under way.
type flight struct {
	mu    sync.Mutex
	at    place
	since time.Time // zero: there is none
	told  bool      // the log says that the bus is down
}

func (f *flight) begin(at place, now time.Time, told bool) {
	f.mu.Lock()
	f.at, f.since, f.told = at, now, told
	f.mu.Unlock()
}

// end returns whether the log says that the bus is down.
func (f *flight) end() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.since = time.Time{}
	return f.told
}

// hangError is why nothing is tried while a transaction is under way that should
// have ended long ago.
type hangError struct {
	since time.Time
	at    place
}

func (e hangError) Error() string {
	return fmt.Sprintf("a transaction with %s has been hanging since %s", e.at.on(fmt.Sprintf("chip 0x%02x", e.at.addr)), e.since.Format(time.DateTime))
}

// late returns why the bus hangs, nil if it does not, and whether that is to be logged.
func (f *flight) late() (untold bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.since.IsZero() || time.Since(f.since) < TransactionLimit {
		return false, nil
	}
	untold, f.told = !f.told, true
	return untold, hangError{f.since, f.at}
}

// hangs returns why the bus hangs, nil if it does not, and logs it once.
func (b *Bus) hangs() error {
	untold, err := b.flight.late()
	if untold {
		b.log.Warn("I²C bus is down", "cause", err)
	}
	return err
}

// Hangs returns the error that a transaction with the chip at addr would get because another
// one does not end; nil while there is none.
func (b *Bus) Hangs(addr uint16) error { return b.hangsAt(place{addr: addr}) }

// Hangs is [Bus.Hangs] for a chip behind the channel.
func (c *Channel) Hangs(addr uint16) error {
	at := c.at
	at.addr = addr
	return c.bus.hangsAt(at)
}

func (b *Bus) hangsAt(at place) error {
	err := b.hangs()
	if err == nil {
		return nil
	}
	return &Error{Bus: at.on(b.String()), Addr: at.addr, Op: "transaction", Fault: wire.BusDown, Err: err}
}
