package format

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

// A page of the journal has the ticks of about a second. It can be parsed without
// any other page:
//
//	offset  size
//	0       4     magic "sgwj"
//	4       4     CRC-32C of what follows, to the end of the page
//	8       1     version
//	9       1     binary logarithm of the page's size
//	10      2     length of the run
//	12      2     length of the events
//	14      2     length of the events of the page before, when this one was begun;
//	              65535: not known. It shows where the last write of a page is missing
//	16      8     number of the page, counted over all journals of a directory
//	24      8     number of the newest page that was synced when this one was written
//	32            the run: epoch, boot, number of sensors, their names
//	              events: see appendTick and appendBegin
//	              zeros
//
// A record in it is laid out for speed, not for size: a page is written as a
// whole, however little is in it. Its first byte says which fields follow; the
// others are as in the record before.
const (
	pageMagic    = 0x7367776A // "sgwj"
	PageVersion  = 1
	pageHeader   = 32
	PageShift    = 12 // 4 KiB, what disks and page caches write at least
	pageShiftMax = 16

	hasSensor   = 1 << 0 // uvarint; else one more than before, the first is 0
	hasSeq      = 1 << 1 // uvarint, how much more than one after the sensor's last in this page, or than 0
	hasTime     = 1 << 2 // varint, how much later than the tick
	hasFlags    = 1 << 3 // byte; else as the record before, the first 0
	hasFault    = 1 << 4 // byte; else 0
	lacksValues = 1 << 5 // the NaNs of the fault

	MomentMax = 200   // bytes of an epoch or a boot
	RunMax    = 12000 // bytes of a run without its epoch

	recordMax = 1 + 3 + 5 + 10 + 1 + 1 + 8
	tickMax   = 3 + 10 + 10 // before its first record
)

// The errors of a page, ErrVersion also of a segment.
var (
	ErrPage    = errors.New("a page is damaged")
	ErrVersion = errors.New("written by a newer version of the program")
)

// Run is what the records of a page have in common.
type Run struct {
	Epoch, Boot string
	Sensors     []string
}

// AppendRun appends the epoch, the boot, the number of sensors and their names.
func AppendRun(b []byte, r Run) []byte {
	b = codec.AppendString(b, r.Epoch)
	b = codec.AppendString(b, r.Boot)
	b = binary.AppendUvarint(b, uint64(len(r.Sensors)))
	for _, name := range r.Sensors {
		b = codec.AppendString(b, name)
	}
	return b
}

// ParseRun parses what AppendRun appends, which must be all of b.
func ParseRun(b []byte) (r Run, ok bool) {
	if r.Epoch, b, ok = codec.CutString(b); !ok {
		return r, false
	}
	if r.Boot, b, ok = codec.CutString(b); !ok {
		return r, false
	}
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)) {
		return r, false
	}
	b = b[size:]
	for range n {
		var name string
		if name, b, ok = codec.CutString(b); !ok {
			return r, false
		}
		r.Sensors = append(r.Sensors, name)
	}
	return r, len(b) == 0
}

// Page is a page that is being written.
type Page struct {
	b           []byte // all of it
	runLen, end int    // length of the run; where the next event goes
	Before      int    // length of the events of the page before

	last   []uint32 // by sensor: one more is its next number
	begun  []bool
	time   int64 // of the last tick
	offset int64
}

// NewPage returns an empty page of a size that leaves room for records, whatever
// the epoch and the boot are called.
func NewPage(r Run) *Page {
	most := len(AppendRun(nil, Run{Sensors: r.Sensors})) + 2*MomentMax + 5*len(r.Sensors)
	shift := PageShift
	for 1<<shift < pageHeader+2*most+1024 {
		shift++
	}
	p := &Page{b: make([]byte, 1<<shift), Before: NotKnown, last: make([]uint32, len(r.Sensors)), begun: make([]bool, len(r.Sensors))}
	binary.BigEndian.PutUint32(p.b, pageMagic)
	p.b[8], p.b[9] = PageVersion, byte(shift)
	p.Describe(r)
	return p
}

// Describe empties the page and gives it another run, with as many sensors.
func (p *Page) Describe(r Run) {
	description := AppendRun(nil, r)
	p.runLen = copy(p.b[pageHeader:], description)
	binary.BigEndian.PutUint16(p.b[10:], uint16(p.runLen))
	p.Reset()
}

// Reset empties the page.
func (p *Page) Reset() {
	p.end = pageHeader + p.runLen
	clear(p.b[p.end:])
	clear(p.begun)
	p.time, p.offset = 0, 0
}

// Size is how long the page is.
func (p *Page) Size() int { return len(p.b) }

// Events is the length of the events.
func (p *Page) Events() int { return p.end - pageHeader - p.runLen }

// Seal completes the page and returns it, to be written.
func (p *Page) Seal(seq, synced uint64) []byte {
	binary.BigEndian.PutUint16(p.b[12:], uint16(p.Events()))
	binary.BigEndian.PutUint16(p.b[14:], uint16(p.Before))
	binary.BigEndian.PutUint64(p.b[16:], seq)
	binary.BigEndian.PutUint64(p.b[24:], synced)
	binary.BigEndian.PutUint32(p.b[4:], codec.Checksum(p.b[8:]))
	return p.b
}

// AppendBegin appends the numbers that come next, by sensor: a zero, then as many
// uvarints as there are sensors. It returns whether there was room.
func (p *Page) AppendBegin(next []uint32) bool {
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

// AppendTick appends as many of the records as there is room for, and returns
// how many: their number as a uvarint; the time of the first one and the offset
// of the clock as varints, relative to the tick before; the records.
func (p *Page) AppendTick(records []wire.Record, offset int64) int {
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
		if codec.LacksValues(r) {
			b[head] |= lacksValues
			continue
		}
		b = binary.BigEndian.AppendUint32(b, math.Float32bits(r.Values[0]))
		b = binary.BigEndian.AppendUint32(b, math.Float32bits(r.Values[1]))
	}
	p.end = len(b)
	return n
}

// PageHead is a page of the disk whose checksum is right.
type PageHead struct {
	Seq, Synced uint64
	Before      int // length of the events of the page before
	Run, Events []byte
}

// NotKnown is a length of events that is not known.
const NotKnown = math.MaxUint16

// ParsePage checks the page that b begins with. The size is that of
// the page, 0 if it is damaged.
func ParsePage(b []byte) (h PageHead, size int, err error) {
	if len(b) < pageHeader || binary.BigEndian.Uint32(b) != pageMagic || b[9] < PageShift || b[9] > pageShiftMax || 1<<b[9] > len(b) {
		return h, 0, ErrPage
	}
	b = b[:1<<b[9]]
	if codec.Checksum(b[8:]) != binary.BigEndian.Uint32(b[4:]) {
		return h, 0, ErrPage
	}
	if b[8] > PageVersion {
		return h, len(b), ErrVersion
	}
	runLen, eventsLen := int(binary.BigEndian.Uint16(b[10:])), int(binary.BigEndian.Uint16(b[12:]))
	if pageHeader+runLen+eventsLen > len(b) {
		return h, 0, ErrPage
	}
	return PageHead{
		Seq:    binary.BigEndian.Uint64(b[16:]),
		Synced: binary.BigEndian.Uint64(b[24:]),
		Before: int(binary.BigEndian.Uint16(b[14:])),
		Run:    b[pageHeader : pageHeader+runLen],
		Events: b[pageHeader+runLen : pageHeader+runLen+eventsLen],
	}, len(b), nil
}

// Replay calls begin and tick for each event of a page whose run has so many
// sensors. The records are valid during the call.
func (h PageHead) Replay(sensors int, begin func(next []uint32), tick func(records []wire.Record, offset int64)) error {
	b, at, offset := h.Events, int64(0), int64(0)
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
				return ErrPage
			}
			begin(next)
			b = c.b
			continue
		}
		if n > uint64(len(c.b)) { // a record takes a byte at least
			return ErrPage
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

// cursor parses fields of b.
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
			return dst, fmt.Errorf("%w: sensor %d of %d", ErrPage, sensor, len(last))
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
		return dst, ErrPage
	}
	return dst, nil
}
