// Package trace records what chips are asked and what they answer, and replays it: a
// user's bug report becomes a file on which the shipped drivers run, on any machine, to
// the same values bit by bit.
//
// It knows drivers and transfers. It refuses to know who reads the values, and any
// hardware.
//
// A trace is lines of JSON. The first one is the [Header]; each further one is a [Call]
// of a driver, with its transfers in it. So a trace that was cut off anywhere loses its
// last line only.
package trace

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"sensorgateway/sensors/bus"
)

// Version is that of the format.
const Version = 1

// maxLine is how long a line may be, in bytes: a call has some dozens of transfers.
const maxLine = 1 << 20

// maxValues is how many values a measurement may have.
const maxValues = 16

// Header says what was recorded.
type Header struct {
	Trace   int    `json:"trace"`   // Version
	Gateway string `json:"gateway"` // the program's version
	Time    int64  `json:"time"`    // when the recording began, Unix milliseconds
	Chips   []Chip `json:"chips"`   // by their numbers in calls
}

// Chip is a chip of the recording, as the configuration had it.
type Chip struct {
	Name       string   `json:"name"`
	Chip       string   `json:"chip"`
	Bus        string   `json:"bus"`
	Mux        *Mux     `json:"mux,omitempty"` // that the chip is behind
	Address    uint16   `json:"address"`
	IntervalMS int64    `json:"interval_ms"`
	StuckMS    int64    `json:"stuck_after_ms"`
	Also       []string `json:"also,omitempty"`
}

// Mux is a channel of a multiplexer.
type Mux struct {
	Address uint16 `json:"address"`
	Channel uint8  `json:"channel"`
}

// Wires is what errors call the wires that the chip is on.
func (c *Chip) Wires() string {
	if c.Mux == nil {
		return bus.Name(c.Bus)
	}
	return bus.ChannelName(c.Bus, c.Mux.Address, c.Mux.Channel)
}

// The calls of a driver.
const (
	Open  = "open"
	Sense = "sense"
)

// Call is a driver's opening or measuring once.
type Call struct {
	Chip      int        `json:"chip"`
	Do        string     `json:"do"`   // Open or Sense
	At        int64      `json:"at"`   // microseconds since the recording began
	Took      int64      `json:"took"` // microseconds
	Transfers []Transfer `json:"x,omitempty"`
	Values    Values     `json:"values,omitempty"` // of a measurement that succeeded
	Failure
}

// Transfer is a transaction on the bus, all its repeats included.
type Transfer struct {
	At    int64 `json:"at"`   // microseconds since the call began
	Took  int64 `json:"took"` // microseconds
	Write Bytes `json:"w,omitempty"`
	Read  Bytes `json:"r,omitempty"` // what was read; after a failure as many zeros
	Failure
}

// Failure is why something failed; zero if it did not.
type Failure struct {
	Error string `json:"err,omitempty"`
	Fault uint8  `json:"fault,omitempty"` // wire.Fault
	Errno int    `json:"errno,omitempty"` // Linux's; 0: none
}

// Bytes are hexadecimal in a trace.
type Bytes []byte

// MarshalText writes hexadecimal.
func (b Bytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

// UnmarshalText reads it.
func (b *Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.AppendDecode(nil, text)
	return err
}

// Values are numbers whose every bit counts: in a trace they are the hexadecimal of
// their bits, separated by blanks.
type Values []float32

// MarshalText writes the bits.
func (v Values) MarshalText() (b []byte, _ error) {
	for i, x := range v {
		if i > 0 {
			b = append(b, ' ')
		}
		b = fmt.Appendf(b, "%08x", math.Float32bits(x))
	}
	return b, nil
}

// UnmarshalText reads them.
func (v *Values) UnmarshalText(text []byte) error {
	*v = nil
	for word := range strings.FieldsSeq(string(text)) {
		bits, err := strconv.ParseUint(word, 16, 32)
		if err != nil || len(word) != 8 || len(*v) == maxValues {
			return fmt.Errorf("%q are not values: up to %d of 8 hexadecimal digits each", text, maxValues)
		}
		*v = append(*v, math.Float32frombits(uint32(bits)))
	}
	return nil
}

// encode writes a line.
func encode(line any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(line)
	return b.Bytes(), err
}

// Read reads a trace. A last line that was cut off is left out, and ends it.
func Read(r io.Reader) (h Header, calls []Call, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		line, err := readLine(in)
		whole := err == nil
		if err != nil && !errors.Is(err, io.EOF) {
			return h, nil, fmt.Errorf("line %d: %w", n, err)
		}
		switch {
		case n == 1:
			if err := h.decode(line); err != nil {
				return h, nil, fmt.Errorf("line 1: not a trace of the gateway: %w", err)
			}
		case whole:
			c, err := decodeCall(line, len(h.Chips))
			if err != nil {
				return h, nil, fmt.Errorf("line %d: %w", n, err)
			}
			calls = append(calls, c)
		}
		if !whole {
			return h, calls, nil
		}
	}
}

var errTooLong = fmt.Errorf("longer than %d bytes", maxLine)

// readLine returns a line, and io.EOF with one that was not ended.
func readLine(in *bufio.Reader) (line []byte, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxLine {
			return nil, errTooLong
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func (h *Header) decode(line []byte) error {
	if err := strictly(line, h); err != nil {
		return err
	}
	if h.Trace != Version {
		return fmt.Errorf("its format is version %d, this program reads %d", h.Trace, Version)
	}
	if len(h.Chips) == 0 {
		return errors.New("it has no chips")
	}
	return nil
}

func decodeCall(line []byte, chips int) (c Call, err error) {
	if err := strictly(line, &c); err != nil {
		return c, err
	}
	switch {
	case c.Chip < 0 || c.Chip >= chips:
		return c, fmt.Errorf("there is no chip %d", c.Chip)
	case c.Do != Open && c.Do != Sense:
		return c, fmt.Errorf("%q is neither %q nor %q", c.Do, Open, Sense)
	case c.At < 0 || c.Took < 0:
		return c, errors.New("a negative time")
	case c.Fault == 0 && c.Error != "":
		return c, errors.New("an error without a fault")
	}
	for _, x := range c.Transfers {
		if x.At < 0 || x.Took < 0 || x.Fault == 0 && x.Error != "" {
			return c, errors.New("a transfer with a negative time, or an error without a fault")
		}
	}
	return c, nil
}

// strictly decodes one JSON value with no fields but those that are known.
func strictly(line []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more data after the JSON value")
	}
	return nil
}
