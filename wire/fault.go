package wire

import (
	"fmt"
	"math"
)

// Fault is the cause for which a measurement failed; [Good] is none.
//
// A Fault is an error too: the code that notices a failure wraps the fault into its
// error (fmt.Errorf("…: %w", wire.Checksum)), and [FaultOf] finds it again at
// the top, so that no layer between has to translate.
type Fault uint8

// The causes, as they stand in a record's fourth byte and in the low mantissa
// byte of a failed reading's NaN.
const (
	Good        Fault = 0
	NoAck       Fault = 1   // the chip did not acknowledge
	Checksum    Fault = 2   // a CRC did not match
	Timeout     Fault = 3   // no answer in time
	Stuck       Fault = 4   // the same bits for too long
	Implausible Fault = 5   // outside what the chip can measure
	WarmingUp   Fault = 6   // the chip has not measured since it was reset
	BusDown     Fault = 7   // the bus is missing or hangs
	Absent      Fault = 8   // no such chip: it never answered, or stopped answering
	Other       Fault = 255 // anything else; the log says what
)

var faultNames = map[Fault]string{
	Good: "good", NoAck: "no_ack", Checksum: "checksum", Timeout: "timeout", Stuck: "stuck",
	Implausible: "implausible", WarmingUp: "warming_up", BusDown: "bus_down", Absent: "absent", Other: "other",
}

// String returns the fault's name in JSON, such as "no_ack".
func (f Fault) String() string {
	if s, ok := faultNames[f]; ok {
		return s
	}
	return fmt.Sprintf("fault_%d", uint8(f))
}

// Error makes a Fault an error; see [FaultOf].
func (f Fault) Error() string { return f.String() }

// FaultOf returns the fault that err carries: [Good] for nil, [Other] for an
// error without one.
func FaultOf(err error) Fault {
	if err == nil {
		return Good
	}
	if f, ok := asFault(err); ok && f != Good {
		return f
	}
	return Other
}

// asFault is errors.As for a Fault without its allocation: it runs for every
// failed tick, for as long as a chip is away.
func asFault(err error) (Fault, bool) {
	for err != nil {
		if f, ok := err.(Fault); ok {
			return f, true
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			for _, child := range e.Unwrap() {
				if f, ok := asFault(child); ok {
					return f, true
				}
			}
			return Good, false
		default:
			return Good, false
		}
	}
	return Good, false
}

const nanBits = 0x7FC00000 // a quiet NaN; its low mantissa byte is the fault

// NaN returns the quiet NaN that stands for f on the wire, 0x7FC000cc.
func (f Fault) NaN() float32 { return math.Float32frombits(nanBits | uint32(f)) }

// faultOfFloat returns the fault that v stands for: Good for a number, Other for a
// NaN that is none of ours.
func faultOfFloat(v float32) Fault {
	b := math.Float32bits(v)
	switch {
	case v == v:
		return Good
	case b&^0xFF == nanBits && b&0xFF != 0:
		return Fault(b & 0xFF)
	}
	return Other
}
