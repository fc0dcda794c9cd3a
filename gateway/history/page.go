package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"sensorgateway/wire"
)

// A page of the journal holds the ticks of about a second. It needs no other
// page to be understood:
//
//	offset  size
//	0       4     magic "sgwj"
//	4       4     CRC-32C of what follows, to the end of the page
//	8       1     version
//	9       1     binary logarithm of the page's size
//	10      2     length of the run
//	12      2     length of the events
//	14      2     length of the events of the page before, when this one was begun;
//	              65535: not known. A page that was cut off short is told by it
//	16      8     number of the page, counted over all journals of a directory
//	24      8     number of the newest page that was synced when this one was written
//	32            the run: epoch, boot, number of sensors, their names
//	              events: see appendTick and appendBegin
//	              zeros
//
// A record in it is laid out for speed, not for size: a page is written as a
// whole however little it holds. Its first byte says which fields follow; the
// others are as in the record before.
const (
	pageMagic    = 0x7367776A // "sgwj"
	pageVersion  = 1
	pageHeader   = 32
	pageShift    = 12 // 4 KiB, what disks and page caches write at least
	pageShiftMax = 16

	hasSensor   = 1 << 0 // uvarint; else one more than before, the first is 0
	hasSeq      = 1 << 1 // uvarint, how much more than one after the sensor's last in this page, or than 0
	hasTime     = 1 << 2 // varint, how much later than the tick
	hasFlags    = 1 << 3 // byte; else as the record before, the first 0
	hasFault    = 1 << 4 // byte; else 0
	lacksValues = 1 << 5 // the NaNs of the fault

	momentMax = 200   // bytes of an epoch or a boot
	runMax    = 12000 // bytes of a run without its epoch

	recordMax = 1 + 3 + 5 + 10 + 1 + 1 + 8
	tickMax   = 3 + 10 + 10 // before its first record
)

var (
	errPage    = errors.New("a page is damaged")
	errVersion = errors.New("written by a newer version of the program")
)

// run is what the records of a page have in common.
type run struct {
	epoch, boot string
	sensors     []string
}

func appendRun(b []byte, r run) []byte {
	b = appendString(b, r.epoch)
	b = appendString(b, r.boot)
	b = binary.AppendUvarint(b, uint64(len(r.sensors)))
	for _, name := range r.sensors {
		b = appendString(b, name)
	}
	return b
}

func parseRun(b []byte) (r run, ok bool) {
	if r.epoch, b, ok = cutString(b); !ok {
		return r, false
	}
	if r.boot, b, ok = cutString(b); !ok {
		return r, false
	}
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)) {
		return r, false
	}
	b = b[size:]
	for range n {
		var name string
		if name, b, ok = cutString(b); !ok {
			return r, false
		}
		r.sensors = append(r.sensors, name)
	}
	return r, len(b) == 0
}

// page is a page that is being written.
type page struct {
	b           []byte // all of it
	runLen, end int    // length of the run; where the next event goes
	before      int    // length of the events of the page before

	last   []uint32 // by sensor: one more is its next number
	begun  []bool
	time   int64 // of the last tick
	offset int64
}

// newPage returns an empty page of a size that leaves room for records, whatever
// the epoch and the boot are called.
func newPage(r run) *page {
	most := len(appendRun(nil, run{sensors: r.sensors})) + 2*momentMax + 5*len(r.sensors)
	shift := pageShift
	for 1<<shift < pageHeader+2*most+1024 {
		shift++
	}
	p := &page{b: make([]byte, 1<<shift), before: notKnown, last: make([]uint32, len(r.sensors)), begun: make([]bool, len(r.sensors))}
	binary.BigEndian.PutUint32(p.b, pageMagic)
	p.b[8], p.b[9] = pageVersion, byte(shift)
	p.describe(r)
	return p
}

// describe empties the page and makes it one of the run, whose sensors are as many.
func (p *page) describe(r run) {
	description := appendRun(nil, r)
	p.runLen = copy(p.b[pageHeader:], description)
	binary.BigEndian.PutUint16(p.b[10:], uint16(p.runLen))
	p.reset()
}

// reset empties the page.
func (p *page) reset() {
	p.end = pageHeader + p.runLen
	clear(p.b[p.end:])
	clear(p.begun)
	p.time, p.offset = 0, 0
}

// events is the length of the events.
func (p *page) events() int { return p.end - pageHeader - p.runLen }

// seal completes the page for being written.
func (p *page) seal(seq, synced uint64) []byte {
	binary.BigEndian.PutUint16(p.b[12:], uint16(p.events()))
	binary.BigEndian.PutUint16(p.b[14:], uint16(p.before))
	binary.BigEndian.PutUint64(p.b[16:], seq)
	binary.BigEndian.PutUint64(p.b[24:], synced)
	binary.BigEndian.PutUint32(p.b[4:], crc32.Checksum(p.b[8:], castagnoli))
	return p.b
}

// appendBegin notes the numbers that come next, by sensor: a zero, then as many
// uvarints as there are sensors. It tells whether there was room.
func (p *page) appendBegin(next []uint32) bool {
	if len(p.b)-p.end < 1+5*len(next) {
		return false
	}
	b := append(p.b[:p.end], 0)
	for _, n := range next {
		b = binary.AppendUvarint(b, uint64(n))
	}
	p.end = len(b)
	return true
}

// appendTick appends as many of the records as there is room for, and returns
// how many: their number as a uvarint; the time of the first one and the offset
// of the clock as varints, relative to the tick before; the records.
func (p *page) appendTick(records []wire.Record, offset int64) int {
	n := min((len(p.b)-p.end-tickMax)/recordMax, len(records))
	if n <= 0 {
		return 0
	}
	records = records[:n]
	at := records[0].UnixMilli
	b := binary.AppendUvarint(p.b[:p.end], uint64(n))
	b = binary.AppendVarint(b, at-p.time)
	b = binary.AppendVarint(b, offset-p.offset)
	p.time, p.offset = at, offset
	sensor, flags := -1, wire.Flags(0)
	for _, r := range records {
		head := len(b)
		b = append(b, 0)
		if int(r.Sensor) != sensor+1 {
			b[head] |= hasSensor
			b = binary.AppendUvarint(b, uint64(r.Sensor))
		}
		sensor = int(r.Sensor)
		expected := uint32(0)
		if p.begun[sensor] {
			expected = p.last[sensor] + 1
		}
		p.begun[sensor], p.last[sensor] = true, r.Seq
		if r.Seq != expected {
			b[head] |= hasSeq
			b = binary.AppendUvarint(b, uint64(r.Seq-expected))
		}
		if r.UnixMilli != at {
			b[head] |= hasTime
			b = binary.AppendVarint(b, r.UnixMilli-at)
		}
		if r.Flags != flags {
			b[head] |= hasFlags
			b = append(b, byte(r.Flags))
			flags = r.Flags
		}
		if r.Fault != wire.Good {
			b[head] |= hasFault
			b = append(b, byte(r.Fault))
		}
		if isNaNs(r) {
			b[head] |= lacksValues
			continue
		}
		b = binary.BigEndian.AppendUint32(b, math.Float32bits(r.Values[0]))
		b = binary.BigEndian.AppendUint32(b, math.Float32bits(r.Values[1]))
	}
	p.end = len(b)
	return n
}

// pageHead is a page of the disk whose checksum is right.
type pageHead struct {
	seq, synced uint64
	before      int // length of the events of the page before
	run, events []byte
}

const notKnown = math.MaxUint16

// parsePage checks the page that b begins with. The size is of the page, and
// known only without an error.
func parsePage(b []byte) (h pageHead, size int, err error) {
	if len(b) < pageHeader || binary.BigEndian.Uint32(b) != pageMagic || b[9] < pageShift || b[9] > pageShiftMax || 1<<b[9] > len(b) {
		return h, 0, errPage
	}
	b = b[:1<<b[9]]
	if crc32.Checksum(b[8:], castagnoli) != binary.BigEndian.Uint32(b[4:]) {
		return h, 0, errPage
	}
	if b[8] > pageVersion {
		return h, len(b), errVersion
	}
	runLen, eventsLen := int(binary.BigEndian.Uint16(b[10:])), int(binary.BigEndian.Uint16(b[12:]))
	if pageHeader+runLen+eventsLen > len(b) {
		return h, 0, errPage
	}
	return pageHead{
		seq:    binary.BigEndian.Uint64(b[16:]),
		synced: binary.BigEndian.Uint64(b[24:]),
		before: int(binary.BigEndian.Uint16(b[14:])),
		run:    b[pageHeader : pageHeader+runLen],
		events: b[pageHeader+runLen : pageHeader+runLen+eventsLen],
	}, len(b), nil
}

// replay calls begin and tick for each event of a page whose run has so many
// sensors. The records are valid during the call.
func (h pageHead) replay(sensors int, begin func(next []uint32), tick func(records []wire.Record, offset int64)) error {
	b, at, offset := h.events, int64(0), int64(0)
	last := make([]uint32, sensors)
	begun := make([]bool, sensors)
	var records []wire.Record
	var err error
	for len(b) > 0 {
		c := cursor{b: b}
		n := c.uvarint()
		if n == 0 {
			next := make([]uint32, sensors)
			for i := range next {
				next[i] = uint32(c.uvarint())
			}
			if c.bad {
				return errPage
			}
			begin(next)
			b = c.b
			continue
		}
		if n > uint64(len(c.b)) { // a record takes a byte at least
			return errPage
		}
		at += c.varint()
		offset += c.varint()
		if records, err = c.records(records[:0], int(n), at, last, begun); err != nil {
			return err
		}
		tick(records, offset)
		b = c.b
	}
	return nil
}

// cursor takes fields from b.
type cursor struct {
	b   []byte
	bad bool // something was missing
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) byte() byte {
	if len(c.b) == 0 {
		c.bad = true
		return 0
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

func (c *cursor) float() float32 {
	if len(c.b) < 4 {
		c.bad, c.b = true, nil
		return 0
	}
	v := math.Float32frombits(binary.BigEndian.Uint32(c.b))
	c.b = c.b[4:]
	return v
}

// records takes n records of a tick.
func (c *cursor) records(dst []wire.Record, n int, at int64, last []uint32, begun []bool) ([]wire.Record, error) {
	sensor, flags := -1, wire.Flags(0)
	for range n {
		var r wire.Record
		head := c.byte()
		if sensor++; head&hasSensor != 0 {
			sensor = int(min(c.uvarint(), math.MaxUint16))
		}
		if c.bad || sensor >= len(last) {
			return dst, fmt.Errorf("%w: sensor %d of %d", errPage, sensor, len(last))
		}
		if begun[sensor] {
			r.Seq = last[sensor] + 1
		}
		if head&hasSeq != 0 {
			r.Seq += uint32(c.uvarint())
		}
		begun[sensor], last[sensor] = true, r.Seq
		r.Sensor, r.UnixMilli = uint16(sensor), at
		if head&hasTime != 0 {
			r.UnixMilli += c.varint()
		}
		if head&hasFlags != 0 {
			flags = wire.Flags(c.byte())
		}
		r.Flags = flags
		if head&hasFault != 0 {
			r.Fault = wire.Fault(c.byte())
		}
		r.Values[0], r.Values[1] = r.Fault.NaN(), r.Fault.NaN()
		if head&lacksValues == 0 {
			r.Values[0], r.Values[1] = c.float(), c.float()
		}
		dst = append(dst, r)
	}
	if c.bad {
		return dst, errPage
	}
	return dst, nil
}
