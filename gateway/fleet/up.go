package fleet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

// MaxUp is how long the payload of a message on [Up] can be, in bytes. A block is
// shorter by far.
const MaxUp = 64 << 10

// upMagic begins the payload: "sgwu".
const upMagic = 0x73677775

// Blocks is a part of the payload of [Up], and of an answer that carries readings: one or
// more blocks of one sensor and epoch, as they are in the sensor's log, in their order.
// While the bytes of the month are nearly used, a part on [Up] has the heads of blocks instead.
type Blocks struct {
	Sensor      string   // as in each block
	Epoch       string   // as in each block
	Values      []Values // what the values of the records are, in their order; none: not known
	First, Last uint32   // numbers of the first and the last record
	Records     int
	Blocks      [][]byte // of the payload: to be copied if it is used again
	Heads       []byte   // of blocks that are not in the payload; likewise
}

// Values says what a sensor's values are from a number of the epoch on. The log stores
// them as they were measured, and this beside them.
type Values struct {
	From   uint32
	Sensor wire.SensorInfo // its name, Values, Calibration and Median
}

// valuesMax is how many of them a payload can have.
const valuesMax = 255

// AppendUpHeader begins a part of a payload in b with what the values are. Blocks follow as
// they are. The names need no check: the configuration has made it.
func AppendUpHeader(b []byte, values []Values) []byte {
	b = binary.BigEndian.AppendUint32(b, upMagic)
	values = values[max(len(values)-valuesMax, 0):]
	b = append(b, byte(len(values)))
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v.From)
		quantities := v.Sensor.Quantities()
		b = append(b, byte(v.Sensor.Median), byte(len(quantities)))
		for _, q := range quantities {
			b = codec.AppendString(codec.AppendString(b, q.Name), q.Unit)
			c := v.Sensor.Calibration[q.Name]
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(c.Scale))
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(c.Offset))
		}
	}
	return b
}

// ParseUp reads the parts of a payload and checks their blocks, each by its checksum: a
// payload with any error is refused as a whole. It does not unpack the blocks.
func ParseUp(payload []byte) (parts []Blocks, err error) {
	if len(payload) > MaxUp {
		return nil, fmt.Errorf("up: %d bytes, of %d at most", len(payload), MaxUp)
	}
	for b := payload; len(parts) == 0 || len(b) > 0; {
		var u Blocks
		if b, err = u.cut(b); err != nil {
			return nil, err
		}
		parts = append(parts, u)
	}
	return parts, nil
}

// cut reads a part, and returns what follows it.
func (u *Blocks) cut(b []byte) (rest []byte, err error) {
	if b, err = u.cutHeader(b); err != nil {
		return nil, err
	}
	if codec.HasHeads(b) {
		if b, err = u.cutHeads(b); err != nil {
			return nil, err
		}
	}
	for len(b) > 0 && !begins(b) {
		block, size, err := codec.ParseBlock(b)
		if err == nil && u.Heads != nil {
			err = codec.ErrHeads
		}
		if err != nil {
			return nil, fmt.Errorf("up: block %d: %w", len(u.Blocks), err)
		}
		if err := u.add(block, b[:size:size]); err != nil {
			return nil, err
		}
		b = b[size:]
	}
	if len(u.Blocks) == 0 && u.Heads == nil {
		return nil, errors.New("up: no block")
	}
	for i := range u.Values {
		u.Values[i].Sensor.Name = u.Sensor
	}
	return b, nil
}

// begins returns whether a part begins with these bytes.
func begins(b []byte) bool { return len(b) >= 4 && binary.BigEndian.Uint32(b) == upMagic }

var errUpHeader = errors.New("up: not a payload of blocks of this version")

// cutHeader reads what stands before the blocks, and returns the rest.
func (u *Blocks) cutHeader(b []byte) ([]byte, error) {
	if len(b) < 5 || !begins(b) {
		return nil, errUpHeader
	}
	n, b := int(b[4]), b[5:]
	for range n {
		v, rest, ok := cutValues(b)
		if !ok || len(u.Values) > 0 && !wire.Before(u.Values[len(u.Values)-1].From, v.From) {
			return nil, errUpHeader
		}
		u.Values, b = append(u.Values, v), rest
	}
	return b, nil
}

func cutValues(b []byte) (v Values, rest []byte, ok bool) {
	if len(b) < 6 || b[5] < 1 || b[5] > 2 {
		return v, nil, false
	}
	v.From, v.Sensor.Median = binary.BigEndian.Uint32(b), int(b[4])
	n, b := int(b[5]), b[6:]
	for range n {
		var name, unit string
		if name, b, ok = codec.CutString(b); !ok || name == "" || !printable(name) {
			return v, nil, false
		}
		if unit, b, ok = codec.CutString(b); !ok || !printable(unit) || len(b) < 16 {
			return v, nil, false
		}
		v.Sensor.Values = append(v.Sensor.Values, quantityOf(name, unit))
		c := wire.Calibration{Scale: math.Float64frombits(binary.BigEndian.Uint64(b)), Offset: math.Float64frombits(binary.BigEndian.Uint64(b[8:]))}
		b = b[16:]
		if c == (wire.Calibration{}) {
			continue
		}
		if !(c.Scale > 0) || math.IsInf(c.Scale, 0) || math.IsNaN(c.Offset) || math.IsInf(c.Offset, 0) {
			return v, nil, false
		}
		if v.Sensor.Calibration == nil {
			v.Sensor.Calibration = map[string]wire.Calibration{}
		}
		v.Sensor.Calibration[name] = c
	}
	return v, b, true
}

// quantityOf returns the quantity of the table, or one with two decimals.
func quantityOf(name, unit string) wire.Quantity {
	for _, known := range wire.Quantities() {
		if known.Name == name && known.Unit == unit {
			return known
		}
	}
	return wire.Quantity{Name: name, Unit: unit, Decimals: 2}
}

// cutHeads reads the heads of a part, which has nothing else.
func (u *Blocks) cutHeads(b []byte) (rest []byte, err error) {
	heads, size, err := codec.ParseHeads(b)
	if err != nil {
		return nil, fmt.Errorf("up: %w", err)
	}
	last := heads[len(heads)-1]
	u.Sensor, u.Epoch, u.First, u.Last, u.Heads = last.Origin.Sensor, last.Origin.Epoch, heads[0].Summary.First, last.Summary.Last, b[:size:size]
	return b[size:], nil
}

func (u *Blocks) add(block codec.Block, raw []byte) error {
	o, s := block.Origin, block.Summary
	if len(u.Blocks) == 0 {
		u.Sensor, u.Epoch, u.First = o.Sensor, o.Epoch, s.First
	}
	switch {
	case o.Sensor != u.Sensor || o.Epoch != u.Epoch:
		return errors.New("up: blocks of several sensors or epochs in one part")
	case wire.Before(s.Last, s.First) || len(u.Blocks) > 0 && !wire.Before(u.Last, s.First):
		return errors.New("up: the blocks are not in their order")
	}
	u.Last = s.Last
	u.Records += block.Count
	u.Blocks = append(u.Blocks, raw)
	return nil
}
