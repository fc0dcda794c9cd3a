package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"sensorgateway/wire"
)

// A block holds up to [blockSpan] of one sensor, packed column by column:
//
//	offset  size
//	0       4     magic "sgwb"
//	4       4     CRC-32C of what follows
//	8       4     length of the block, all of it
//	12      2     number of records
//	14            origin: see appendOrigin
//	        4     number of the record that was made before the first
//	        61    summary: see appendSummary
//	              columns: flags, faults, gaps between numbers, gaps between times,
//	              temperatures, humidities
//
// The first gap of each column is taken from the summary. A record whose numbers
// are the NaNs of its fault has none in the columns; one that failed and has
// others is marked in the flags.
const (
	blockMagic   = 0x73677762 // "sgwb"
	blockPrefix  = 14
	summarySize  = 61
	blockMaxSize = 1 << 20
	blockRecords = 1200      // at most
	blockSpan    = 60 * 1000 // ms
	oddValues    = 1 << 8    // in the column of flags
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	errBlock = errors.New("a block is damaged")
)

// origin is what all records of a block have in common.
type origin struct {
	sensor, epoch, boot string
	unsynced            bool  // made before the clock was synchronised
	offset              int64 // wall clock minus boot clock, ms, that the times were made with
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

const stringMax = 1024 // bytes of a name on disk

func cutString(b []byte) (s string, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > stringMax || n > uint64(len(b)-size) {
		return "", nil, false
	}
	b = b[size:]
	return string(b[:n]), b[n:], true
}

// appendOrigin appends three strings with their lengths as varints, a byte and
// the offset in 8 bytes.
func appendOrigin(b []byte, o origin) []byte {
	b = appendString(b, o.sensor)
	b = appendString(b, o.epoch)
	b = appendString(b, o.boot)
	var unsynced byte
	if o.unsynced {
		unsynced = 1
	}
	return binary.BigEndian.AppendUint64(append(b, unsynced), uint64(o.offset))
}

func cutOrigin(b []byte) (o origin, rest []byte, ok bool) {
	for _, s := range []*string{&o.sensor, &o.epoch, &o.boot} {
		if *s, b, ok = cutString(b); !ok {
			return o, nil, false
		}
	}
	if len(b) < 9 {
		return o, nil, false
	}
	o.unsynced, o.offset = b[0] != 0, int64(binary.BigEndian.Uint64(b[1:]))
	return o, b[9:], true
}

// summary is what a block comes down to. Times are as they were made.
type summary struct {
	first, last  uint32 // numbers
	from, to     int64  // times of these
	good, failed uint16
	fault        wire.Fault // of the last failed one
	values       [2]stat
}

// stat is the range and the sum of some values.
type stat struct {
	min, max float32
	sum      float64
}

func (s *stat) add(v float32, first bool) {
	if first {
		s.min, s.max = v, v
	}
	s.min, s.max = min(s.min, v), max(s.max, v)
	s.sum += float64(v)
}

func (s *stat) merge(x stat, first bool) {
	if first {
		*s = x
		return
	}
	s.min, s.max, s.sum = min(s.min, x.min), max(s.max, x.max), s.sum+x.sum
}

// cause returns why r failed, by its NaN if its fault does not say.
func cause(r wire.Record) wire.Fault {
	if r.Fault == wire.Good && r.Values[1] != r.Values[1] && r.Values[0] == r.Values[0] {
		return wire.Other
	}
	if r.Fault == wire.Good {
		return r.Reading.Fault()
	}
	return r.Fault
}

// add takes the next record in.
func (s *summary) add(r wire.Record) {
	if s.good+s.failed == 0 {
		s.first, s.from = r.Seq, r.UnixMilli
	}
	s.last, s.to = r.Seq, r.UnixMilli
	if f := cause(r); f != wire.Good {
		s.failed, s.fault = s.failed+1, f
		return
	}
	for i, v := range r.Values {
		s.values[i].add(v, s.good == 0)
	}
	s.good++
}

func (s *summary) count() int { return int(s.good) + int(s.failed) }

// appendSummary appends the fields in their order; a stat is minimum and
// maximum as float32 and the sum as float64.
func appendSummary(b []byte, s summary) []byte {
	b = binary.BigEndian.AppendUint32(b, s.first)
	b = binary.BigEndian.AppendUint32(b, s.last)
	b = binary.BigEndian.AppendUint64(b, uint64(s.from))
	b = binary.BigEndian.AppendUint64(b, uint64(s.to))
	b = binary.BigEndian.AppendUint16(b, s.good)
	b = binary.BigEndian.AppendUint16(b, s.failed)
	b = append(b, byte(s.fault))
	for _, v := range s.values {
		b = binary.BigEndian.AppendUint32(b, math.Float32bits(v.min))
		b = binary.BigEndian.AppendUint32(b, math.Float32bits(v.max))
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(v.sum))
	}
	return b
}

// parseSummary reads the first summarySize bytes of b.
func parseSummary(b []byte) summary {
	s := summary{
		first:  binary.BigEndian.Uint32(b),
		last:   binary.BigEndian.Uint32(b[4:]),
		from:   int64(binary.BigEndian.Uint64(b[8:])),
		to:     int64(binary.BigEndian.Uint64(b[16:])),
		good:   binary.BigEndian.Uint16(b[24:]),
		failed: binary.BigEndian.Uint16(b[26:]),
		fault:  wire.Fault(b[28]),
	}
	for i := range s.values {
		v, b := &s.values[i], b[29+16*i:]
		v.min = math.Float32frombits(binary.BigEndian.Uint32(b))
		v.max = math.Float32frombits(binary.BigEndian.Uint32(b[4:]))
		v.sum = math.Float64frombits(binary.BigEndian.Uint64(b[8:]))
	}
	return s
}

// isNaNs tells whether r's numbers follow from its fault.
func isNaNs(r wire.Record) bool {
	nan := math.Float32bits(r.Fault.NaN())
	return r.Fault != wire.Good && math.Float32bits(r.Values[0]) == nan && math.Float32bits(r.Values[1]) == nan
}

// appendBlock appends the records as a block, 1 to blockRecords of them.
func (p *packer) appendBlock(b []byte, o origin, prev uint32, s summary, records []wire.Record) []byte {
	begin := len(b)
	b = append(b, make([]byte, blockPrefix)...)
	b = appendOrigin(b, o)
	b = binary.BigEndian.AppendUint32(b, prev)
	b = appendSummary(b, s)
	column := func(value func(before, r wire.Record) int64) {
		p.ints = p.ints[:0]
		for i, r := range records {
			p.ints = append(p.ints, value(records[max(i-1, 0)], r))
		}
		b = p.appendInts(b, p.ints)
	}
	column(func(_, r wire.Record) int64 {
		flags := int64(r.Flags)
		if r.Fault != wire.Good && !isNaNs(r) {
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
			if !isNaNs(r) {
				p.floats = append(p.floats, r.Values[i])
			}
		}
		b = p.appendFloats(b, p.floats)
	}
	block := b[begin:]
	binary.BigEndian.PutUint32(block, blockMagic)
	binary.BigEndian.PutUint32(block[8:], uint32(len(block)))
	binary.BigEndian.PutUint16(block[12:], uint16(len(records)))
	binary.BigEndian.PutUint32(block[4:], crc32.Checksum(block[8:], castagnoli))
	return b
}

// blockHead is a block without its columns.
type blockHead struct {
	origin  origin
	prev    uint32
	summary summary
	records int
	columns []byte
}

// parseBlock checks the block that b begins with.
func parseBlock(b []byte) (h blockHead, size int, err error) {
	if len(b) < blockPrefix || binary.BigEndian.Uint32(b) != blockMagic {
		return h, 0, errBlock
	}
	size = int(binary.BigEndian.Uint32(b[8:]))
	if size < blockPrefix || size > blockMaxSize || size > len(b) {
		return h, 0, errBlock
	}
	b = b[:size]
	if crc32.Checksum(b[8:], castagnoli) != binary.BigEndian.Uint32(b[4:]) {
		return h, 0, errBlock
	}
	h.records = int(binary.BigEndian.Uint16(b[12:]))
	var ok bool
	if h.origin, b, ok = cutOrigin(b[blockPrefix:]); !ok || len(b) < 4+summarySize {
		return h, 0, errBlock
	}
	h.prev = binary.BigEndian.Uint32(b)
	h.summary, h.columns = parseSummary(b[4:]), b[4+summarySize:]
	if h.records == 0 || h.records > blockRecords || h.records != h.summary.count() {
		return h, 0, errBlock
	}
	return h, size, nil
}

// unpacker unpacks blocks; it is the room that this takes.
type unpacker struct {
	ints                    []int64
	floats                  []float32
	flags, fault, seq, time []int64
}

// records appends the block's records to dst, as records of the sensor.
func (u *unpacker) records(dst []wire.Record, h blockHead, sensor uint16) ([]wire.Record, error) {
	n, b := h.records, h.columns
	var err error
	u.ints, u.floats = grow(u.ints, n), grow(u.floats, n)
	for _, column := range []*[]int64{&u.flags, &u.fault, &u.seq, &u.time} {
		*column = grow(*column, n)
		if b, err = decodeInts(b, *column); err != nil {
			return dst, err
		}
	}
	begin, seq, at, numbers := len(dst), h.summary.first, h.summary.from, 0
	for i := range n {
		seq, at = seq+uint32(u.seq[i]), at+u.time[i]
		r := wire.Record{Sensor: sensor, Flags: wire.Flags(u.flags[i]), Fault: wire.Fault(u.fault[i]), Seq: seq}
		r.UnixMilli = at
		if r.Fault == wire.Good || u.flags[i]&oddValues != 0 {
			numbers++
		} else {
			r.Values[0], r.Values[1] = r.Fault.NaN(), r.Fault.NaN()
		}
		dst = append(dst, r)
	}
	for k := range 2 {
		v := u.floats[:numbers]
		if b, err = decodeFloats(b, v, u.ints[:numbers]); err != nil {
			return dst[:begin], err
		}
		for i := range dst[begin:] {
			r := &dst[begin+i]
			if r.Fault != wire.Good && u.flags[i]&oddValues == 0 {
				continue
			}
			r.Values[k], v = v[0], v[1:]
		}
	}
	if len(b) != 0 {
		return dst[:begin], fmt.Errorf("%w: %d bytes too many", errBlock, len(b))
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
