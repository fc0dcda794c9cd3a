package codec

import (
	"encoding/binary"
	"errors"

	"sensorgateway/wire"
)

// Heads are the summaries of a sensor's blocks, without their records:
//
//	offset  size
//	0       4     magic "sgwh"
//	4       4     CRC-32C of what follows
//	8       4     length, all of it
//	12            some times: origin, see AppendOrigin; the number of blocks as a uvarint;
//	              the summary of each
const (
	HeadsMagic  = 0x73677768 // "sgwh"
	headsPrefix = 12
	HeadsMax    = 1000 // of them at once
)

// Head is a block without its records.
type Head struct {
	Origin  Origin
	Summary Summary
}

// ErrHeads is the error of heads whose bytes are not those that were written.
var ErrHeads = errors.New("summaries are damaged")

// AppendHeads appends 1 to HeadsMax heads.
func AppendHeads(b []byte, heads []Head) []byte {
	begin := len(b)
	b = append(b, make([]byte, headsPrefix)...)
	for len(heads) > 0 {
		n := 1
		for n < len(heads) && heads[n].Origin == heads[0].Origin {
			n++
		}
		b = binary.AppendUvarint(AppendOrigin(b, heads[0].Origin), uint64(n))
		for _, h := range heads[:n] {
			b = AppendSummary(b, h.Summary)
		}
		heads = heads[n:]
	}
	all := b[begin:]
	binary.BigEndian.PutUint32(all, HeadsMagic)
	binary.BigEndian.PutUint32(all[8:], uint32(len(all)))
	binary.BigEndian.PutUint32(all[4:], Checksum(all[8:]))
	return b
}

// HasHeads returns whether b begins with heads, by their magic.
func HasHeads(b []byte) bool {
	return len(b) >= headsPrefix && binary.BigEndian.Uint32(b) == HeadsMagic
}

// ParseHeads reads the heads that b begins with. They are of one sensor and epoch, in the
// order of their numbers.
func ParseHeads(b []byte) (heads []Head, size int, err error) {
	if !HasHeads(b) {
		return nil, 0, ErrHeads
	}
	size = int(binary.BigEndian.Uint32(b[8:]))
	if size < headsPrefix || size > BlockMax || size > len(b) || Checksum(b[8:size]) != binary.BigEndian.Uint32(b[4:]) {
		return nil, 0, ErrHeads
	}
	for rest := b[headsPrefix:size]; len(rest) > 0; {
		origin, after, ok := CutOrigin(rest)
		if !ok {
			return nil, 0, ErrHeads
		}
		n, length := binary.Uvarint(after)
		if length <= 0 || n == 0 || n > uint64(HeadsMax-len(heads)) || uint64(len(after)-length) < n*SummarySize {
			return nil, 0, ErrHeads
		}
		for after = after[length:]; n > 0; n, after = n-1, after[SummarySize:] {
			heads = append(heads, Head{origin, ParseSummary(after)})
			if !follows(heads) {
				return nil, 0, ErrHeads
			}
		}
		rest = after
	}
	if len(heads) == 0 {
		return nil, 0, ErrHeads
	}
	return heads, size, nil
}

// follows returns whether the last head can be that of a block, and comes after the one before it.
func follows(heads []Head) bool {
	last := heads[len(heads)-1]
	s := last.Summary
	if s.Count() == 0 || s.Count() > BlockRecords || wire.Before(s.Last, s.First) || int(s.Last-s.First) < s.Count()-1 {
		return false
	}
	if len(heads) == 1 {
		return true
	}
	before := heads[len(heads)-2]
	return before.Origin.Sensor == last.Origin.Sensor && before.Origin.Epoch == last.Origin.Epoch && wire.Before(before.Summary.Last, s.First)
}
