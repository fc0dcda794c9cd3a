package sim

import "sensorgateway/wire"

// cause is why a transaction failed, in the words of the kernel where it has
// any. Where it failed is for the managed bus above to say.
type cause struct {
	text  string
	fault wire.Fault
}

var (
	noAck     = &cause{"remote I/O error", wire.NoAck}
	timedOut  = &cause{"connection timed out", wire.Timeout}
	busClosed = &cause{"bus closed", wire.BusDown}
)

func (c *cause) Error() string { return c.text }

// Unwrap returns the wire.Fault.
func (c *cause) Unwrap() error { return c.fault }
