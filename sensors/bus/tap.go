package bus

import (
	"slices"
	"time"

	"periph.io/x/conn/v3/i2c"
)

// Transfer is one transaction, as whoever asked for it saw it.
type Transfer struct {
	At   time.Time
	Took time.Duration
	Addr uint16
	W    []byte
	R    []byte // what was read; after an error, as many zeros as were asked for
	Err  error  // an [*Error]; nil: it succeeded
}

// Tap is an [i2c.Bus] that shows what goes over another one.
type Tap struct {
	i2c.Bus
	show func(Transfer)
}

// NewTap returns a tap of b. It calls show after each transaction, on the goroutine
// that made it, with bytes that show may retain.
func NewTap(b i2c.Bus, show func(Transfer)) *Tap { return &Tap{b, show} }

// Tx makes a transaction and shows it.
func (t *Tap) Tx(addr uint16, w, r []byte) error {
	begin := time.Now()
	err := t.Bus.Tx(addr, w, r)
	seen := Transfer{At: begin, Took: time.Since(begin), Addr: addr, W: slices.Clone(w), R: slices.Clone(r), Err: err}
	if err != nil {
		clear(seen.R)
	}
	t.show(seen)
	return err
}
