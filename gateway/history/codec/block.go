// Package codec packs a minute of a sensor's records into a block: column by
// column, with a summary in front that can be read without unpacking.
//
// It knows bytes and records; no file, no clock and no order among blocks.
package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"sensorgateway/wire"
)

// A block holds up to [BlockSpan] of one sensor, packed column by column:
//
//	offset  size
//	0       4     magic "sgwb"
//	4       4     CRC-32C of what follows
//	8       4     length of the block, all of it
//	12      2     number of records
//	14            origin: see AppendOrigin
//	        4     number of the record that was made before the first
//	        61    summary: see AppendSummary
//	              columns: flags, faults, gaps between numbers, gaps between times,
//	              first values, second values
//
// The first gap of each column is taken from the summary. A record whose numbers
// are the NaNs of its fault has none in the columns; one that failed and has
// others is marked in the flags.
const (
	BlockMagic   = 0x73677762 // "sgwb"
	BlockPrefix  = 14         // bytes before the origin
	SummarySize  = 61         // bytes
	BlockMax     = 1 << 20    // bytes
	BlockRecords = 1200       // at most
	BlockSpan    = 60 * 1000  // ms, at most
	OffsetStep   = 5          // ms; if the offset of a synchronised clock changes by more, the clock was stepped; less is how precisely it is read
	oddValues    = 1 << 8     // in the column of flags
)

// ErrBlock is the error of a block whose bytes are not those that were written.
var ErrBlock = errors.New("a block is damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum is the CRC-32C that all files of the log have.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Origin is what all records of a block have in common.
type Origin struct {
	Sensor, Epoch, Boot string
	Unsynced            bool  // the clock was not synchronised when they were made
	Offset              int64 // wall clock minus boot clock when they were made, ms
}

// AppendString appends the length as a varint and the string.
func AppendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// StringMax is how long the name of a sensor can be, in bytes.
const StringMax = 1024

// CutString parses what AppendString appends, and returns what follows it.
func CutString(b []byte) (s string, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > StringMax || n > uint64(len(b)-size) {
		return "", nil, false
	}
	b = b[size:]
	return string(b[:n]), b[n:], true
}

// AppendOrigin appends three strings with their lengths as varints, a byte and
// the offset in 8 bytes.
func AppendOrigin(b []byte, o Origin) []byte {
	b = AppendString(b, o.Sensor)
	b = AppendString(b, o.Epoch)
	b = AppendString(b, o.Boot)
	var unsynced byte
	if o.Unsynced {
		unsynced = 1
	}
	return binary.BigEndian.AppendUint64(append(b, unsynced), uint64(o.Offset))
}

// CutOrigin parses what AppendOrigin appends, and returns what follows it.
func CutOrigin(b []byte) (o Origin, rest []byte, ok bool) {
	for _, s := range []*string{&o.Sensor, &o.Epoch, &o.Boot} {
		if *s, b, ok = CutString(b); !ok {
			return o, nil, false
		}
	}
	if len(b) < 9 {
		return o, nil, false
	}
	o.Unsynced, o.Offset = b[0] != 0, int64(binary.BigEndian.Uint64(b[1:]))
	return o, b[9:], true
}

// Summary summarises a block. Its times are not corrected.
type Summary struct {
	First, Last  uint32 // numbers
	From, To     int64  // times of these
	Good, Failed uint16
	Fault        wire.Fault // of the last failed one
	Values       [2]Stat
}

// Stat is the range and the sum of some values, NaN if one of them was not measured.
type Stat struct {
	Min, Max float32
	Sum      float64
}

// Add adds a value; first: s has none yet.
func (s *Stat) Add(v float32, first bool) {
	if first {
		s.Min, s.Max = v, v
	}
	s.Min, s.Max = min(s.Min, v), max(s.Max, v)
	s.Sum += float64(v)
}

// Merge adds the values of x; first: s has none yet.
func (s *Stat) Merge(x Stat, first bool) {
	if first {
		*s = x
		return
	}
	s.Min, s.Max, s.Sum = min(s.Min, x.Min), max(s.Max, x.Max), s.Sum+x.Sum
}

// Cause returns the fault of r, by its NaNs if the field does not say.
func Cause(r wire.Record) wire.Fault {
	if r.Fault != wire.Good {
		return r.Fault
	}
	if f := r.Reading.Fault(); f != wire.Good {
		return f
	}
	if v := r.Values[1]; v != v && !wire.IsNotMeasured(v) {
		return wire.Other
	}
	return wire.Good
}

// Add adds the next record.
func (s *Summary) Add(r wire.Record) {
	if s.Good+s.Failed == 0 {
		s.First, s.From = r.Seq, r.UnixMilli
	}
	s.Last, s.To = r.Seq, r.UnixMilli
	if f := Cause(r); f != wire.Good {
		s.Failed, s.Fault = s.Failed+1, f
		return
	}
	for i, v := range r.Values {
		s.Values[i].Add(v, s.Good == 0)
	}
	s.Good++
}

// Count is how many records the block has.
func (s *Summary) Count() int { return int(s.Good) + int(s.Failed) }

// AppendSummary appends the fields in their order; a stat is minimum and
// maximum as float32 and the sum as float64.
func AppendSummary(b []byte, s Summary) []byte {
	b = binary.BigEndian.AppendUint32(b, s.First)
	b = binary.BigEndian.AppendUint32(b, s.Last)
	b = binary.BigEndian.AppendUint64(b, uint64(s.From))
	b = binary.BigEndian.AppendUint64(b, uint64(s.To))
	b = binary.BigEndian.AppendUint16(b, s.Good)
	b = binary.BigEndian.AppendUint16(b, s.Failed)
	b = append(b, byte(s.Fault))
	for _, v := range s.Values {
		b = binary.BigEndian.AppendUint32(b, math.Float32bits(v.Min))
		b = binary.BigEndian.AppendUint32(b, math.Float32bits(v.Max))
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(v.Sum))
	}
	return b
}

// ParseSummary reads the first SummarySize bytes of b.
func ParseSummary(b []byte) Summary {
	s := Summary{
		First:  binary.BigEndian.Uint32(b),
		Last:   binary.BigEndian.Uint32(b[4:]),
		From:   int64(binary.BigEndian.Uint64(b[8:])),
		To:     int64(binary.BigEndian.Uint64(b[16:])),
		Good:   binary.BigEndian.Uint16(b[24:]),
		Failed: binary.BigEndian.Uint16(b[26:]),
		Fault:  wire.Fault(b[28]),
	}
	for i := range s.Values {
		v, b := &s.Values[i], b[29+16*i:]
		v.Min = math.Float32frombits(binary.BigEndian.Uint32(b))
		v.Max = math.Float32frombits(binary.BigEndian.Uint32(b[4:]))
		v.Sum = math.Float64frombits(binary.BigEndian.Uint64(b[8:]))
	}
	return s
}

// LacksValues returns whether the values of r are the NaNs of its fault, which need
// not be stored.
func LacksValues(r wire.Record) bool {
	nan := math.Float32bits(r.Fault.NaN())
	return r.Fault != wire.Good && math.Float32bits(r.Values[0]) == nan && math.Float32bits(r.Values[1]) == nan
}

// AppendBlock appends the records as a block, 1 to BlockRecords of them.
func (p *Packer) AppendBlock(b []byte, o Origin, prev uint32, s Summary, records []wire.Record) []byte {
	begin := len(b)
	b = append(b, make([]byte, BlockPrefix)...)
	b = AppendOrigin(b, o)
	b = binary.BigEndian.AppendUint32(b, prev)
	b = AppendSummary(b, s)
	column := func(value func(before, r wire.Record) int64) {
		p.ints = p.ints[:0]
		for i, r := range records {
			p.ints = append(p.ints, value(records[max(i-1, 0)], r))
		}
		b = p.appendInts(b, p.ints)
	}
	column(func(_, r wire.Record) int64 {
		flags := int64(r.Flags)
		if r.Fault != wire.Good && !LacksValues(r) {
			flags |= oddValues
		}
		return flags
	})
	column(func(_, r wire.Record) int64 { return int64(r.Fault) })
	column(func(before, r wire.Record) int64 { return int64(r.Seq - before.Seq) })
	column(func(before, r wire.Record) int64 { return r.UnixMilli - before.UnixMilli })
	for i := range 2 {
		p.floats = p.floats[:0]
		for _, r := range records {
			if !LacksValues(r) {
				p.floats = append(p.floats, r.Values[i])
			}
		}
		b = p.appendFloats(b, p.floats)
	}
	block := b[begin:]
	binary.BigEndian.PutUint32(block, BlockMagic)
	binary.BigEndian.PutUint32(block[8:], uint32(len(block)))
	binary.BigEndian.PutUint16(block[12:], uint16(len(records)))
	binary.BigEndian.PutUint32(block[4:], Checksum(block[8:]))
	return b
}

// Block is a block without its columns.
type Block struct {
	Origin  Origin
	Prev    uint32
	Summary Summary
	Count   int
	columns []byte
}

// ParseBlock checks the block that b begins with.
func ParseBlock(b []byte) (h Block, size int, err error) {
	if len(b) < BlockPrefix || binary.BigEndian.Uint32(b) != BlockMagic {
		return h, 0, ErrBlock
	}
	size = int(binary.BigEndian.Uint32(b[8:]))
	if size < BlockPrefix || size > BlockMax || size > len(b) {
		return h, 0, ErrBlock
	}
	b = b[:size]
	if Checksum(b[8:]) != binary.BigEndian.Uint32(b[4:]) {
		return h, 0, ErrBlock
	}
	h.Count = int(binary.BigEndian.Uint16(b[12:]))
	var ok bool
	if h.Origin, b, ok = CutOrigin(b[BlockPrefix:]); !ok || len(b) < 4+SummarySize {
		return h, 0, ErrBlock
	}
	h.Prev = binary.BigEndian.Uint32(b)
	h.Summary, h.columns = ParseSummary(b[4:]), b[4+SummarySize:]
	if h.Count == 0 || h.Count > BlockRecords || h.Count != h.Summary.Count() {
		return h, 0, ErrBlock
	}
	return h, size, nil
}

// Unpacker unpacks blocks, in memory that it uses again.
type Unpacker struct {
	ints                    []int64
	floats                  []float32
	flags, fault, seq, time []int64
}

// Records appends the block's records to dst, as records of the sensor.
func (u *Unpacker) Records(dst []wire.Record, h Block, sensor uint16) ([]wire.Record, error) {
	n, b := h.Count, h.columns
	var err error
	u.ints, u.floats = grow(u.ints, n), grow(u.floats, n)
	for _, column := range []*[]int64{&u.flags, &u.fault, &u.seq, &u.time} {
		*column = grow(*column, n)
		if b, err = decodeInts(b, *column); err != nil {
			return dst, err
		}
	}
	begin, seq, at, numbers := len(dst), h.Summary.First, h.Summary.From, 0
	dst = slices.Grow(dst, n)[:begin+n]
	out := dst[begin:]
	for i := range out {
		seq, at = seq+uint32(u.seq[i]), at+u.time[i]
		r := &out[i]
		r.Sensor, r.Flags, r.Fault, r.Seq, r.UnixMilli = sensor, wire.Flags(u.flags[i]), wire.Fault(u.fault[i]), seq, at
		if r.Fault == wire.Good || u.flags[i]&oddValues != 0 {
			numbers++
		} else {
			r.Values[0], r.Values[1] = r.Fault.NaN(), r.Fault.NaN()
		}
	}
	for k := range 2 {
		v := u.floats[:numbers]
		if b, err = decodeFloats(b, v, u.ints[:numbers]); err != nil {
			return dst[:begin], err
		}
		for i := range out {
			r := &out[i]
			if r.Fault != wire.Good && u.flags[i]&oddValues == 0 {
				continue
			}
			r.Values[k], v = v[0], v[1:]
		}
	}
	if len(b) != 0 {
		return dst[:begin], fmt.Errorf("%w: %d bytes too many", ErrBlock, len(b))
	}
	return dst, nil
}

// grow returns s with the length n, its content undefined.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, max(n, 2*cap(s)))
	}
	return s[:n]
}
