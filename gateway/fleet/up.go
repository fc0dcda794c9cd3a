package fleet

import (
	"encoding/binary"
	"errors"
	"fmt"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

// MaxUp is how long the payload of a message on [Up] can be, in bytes. A block is
// shorter by far.
const MaxUp = 64 << 10

// upMagic begins the payload: "sgwu".
const upMagic = 0x73677775

// Blocks is the payload of [Up], and of an answer that carries readings: one or more
// blocks of one sensor and epoch, as they are in the sensor's log, in their order. The
// log does not say what its values are, so they stand before the blocks.
type Blocks struct {
	Sensor      string          // as in each block
	Epoch       string          // as in each block
	Quantities  []wire.Quantity // one or two: name and unit; the decimals are the table's
	First, Last uint32          // numbers of the first and the last record
	Records     int
	Blocks      [][]byte // of the payload: to be copied if it is used again
}

// AppendUpHeader begins a payload in b with what the sensor's values are. Blocks follow
// as they are.
func AppendUpHeader(b []byte, quantities []wire.Quantity) []byte {
	b = binary.BigEndian.AppendUint32(b, upMagic)
	b = append(b, byte(len(quantities)))
	for _, q := range quantities {
		b = codec.AppendString(codec.AppendString(b, q.Name), q.Unit)
	}
	return b
}

// ParseUp reads a payload and checks its blocks, each by its checksum: nothing of a
// payload is used that is not all right. It does not unpack them.
func ParseUp(payload []byte) (u Blocks, err error) {
	if len(payload) > MaxUp {
		return u, fmt.Errorf("up: %d bytes, of %d at most", len(payload), MaxUp)
	}
	b, err := u.cutHeader(payload)
	if err != nil {
		return Blocks{}, err
	}
	for len(b) > 0 {
		block, size, err := codec.ParseBlock(b)
		if err != nil {
			return Blocks{}, fmt.Errorf("up: block %d: %w", len(u.Blocks), err)
		}
		if err := u.add(block, b[:size:size]); err != nil {
			return Blocks{}, err
		}
		b = b[size:]
	}
	if len(u.Blocks) == 0 {
		return Blocks{}, errors.New("up: no block")
	}
	return u, nil
}

var errUpHeader = errors.New("up: not a payload of blocks of this version")

// cutHeader reads what stands before the blocks, and returns these.
func (u *Blocks) cutHeader(b []byte) ([]byte, error) {
	if len(b) < 5 || binary.BigEndian.Uint32(b) != upMagic || b[4] < 1 || b[4] > 2 {
		return nil, errUpHeader
	}
	n, b := int(b[4]), b[5:]
	for range n {
		var q wire.Quantity
		var ok bool
		if q.Name, b, ok = codec.CutString(b); !ok || !printable(q.Name) || q.Name == "" {
			return nil, errUpHeader
		}
		if q.Unit, b, ok = codec.CutString(b); !ok || !printable(q.Unit) {
			return nil, errUpHeader
		}
		q.Decimals = 2
		for _, known := range wire.Quantities() {
			if known.Name == q.Name && known.Unit == q.Unit {
				q = known
			}
		}
		u.Quantities = append(u.Quantities, q)
	}
	return b, nil
}

func (u *Blocks) add(block codec.Block, raw []byte) error {
	o, s := block.Origin, block.Summary
	if len(u.Blocks) == 0 {
		u.Sensor, u.Epoch, u.First = o.Sensor, o.Epoch, s.First
	}
	switch {
	case o.Sensor != u.Sensor || o.Epoch != u.Epoch:
		return errors.New("up: blocks of several sensors or epochs")
	case wire.Before(s.Last, s.First) || len(u.Blocks) > 0 && !wire.Before(u.Last, s.First):
		return errors.New("up: the blocks are not in their order")
	}
	u.Last = s.Last
	u.Records += block.Count
	u.Blocks = append(u.Blocks, raw)
	return nil
}
