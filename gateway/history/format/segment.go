// Package format is the log's two kinds of files, byte by byte: the journal, a ring
// of pages that is written each tick, and the segment, a file of blocks that is
// written once.
//
// It knows how to find what is intact in a file; not which files there are, when
// they are written and removed, nor what is to be done about damage. All numbers
// are in network byte order; varints are encoding/binary's; strings have their
// length as a uvarint in front.
package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"sensorgateway/gateway/history/codec"
)

// A segment is a file that is written once, then only read, then removed:
//
//	offset  size
//	0       4     magic "sgws"
//	4       4     version
//	8             blocks, see appendBlock
//	              indexes: of each chapter its blocks, each as its summary, its
//	              offset in the file and its length, 4 bytes each
//	              directory: 8 bytes, the newest page of the journal whose records
//	              are all in this segment or in earlier ones; epoch and boot of the
//	              newest record; the chapters, see appendChapter
//	end-12  4     length of the directory
//	end-8   4     CRC-32C of the directory and its length
//	end-4   4     magic "sgwf"
//
// Without a directory, the blocks are found by their magic.
const (
	segmentMagic   = 0x73677773 // "sgws"
	footerMagic    = 0x73677766 // "sgwf"
	segmentVersion = 1
	segmentHeader  = 8
	segmentTrailer = 12
	segmentMax     = 64 << 20 // bytes; far above what is ever written
	indexSize      = codec.SummarySize + 8
)

// ErrSegment is the error of a segment whose directory or index cannot be used.
var ErrSegment = errors.New("the directory of a segment is damaged")

// Chapter is a sensor's blocks in a segment that follow each other without a
// loss and have the same origin.
type Chapter struct {
	Origin codec.Origin
	Prev   uint32 // number of the record that was made before the first
	First  uint32
	Last   uint32
	From   int64 // the earliest time, as made
	To     int64 // the latest one
	Blocks int
	Index  int64  // offset of its index
	sum    uint32 // CRC-32C of that

	found []Place // the index, if the file's is damaged
}

// Place is the summary of a block, and where in the file the block is.
type Place struct {
	codec.Summary
	At     int64
	Length int
}

// add adds the next block to c if it belongs there, and returns whether it does.
func (c *Chapter) add(o codec.Origin, prev uint32, s codec.Summary) bool {
	same := c.Origin
	if step := o.Offset - c.Origin.Offset; !o.Unsynced && max(step, -step) <= codec.OffsetStep {
		same.Offset = o.Offset
	}
	if c.Blocks == 0 {
		*c = Chapter{Origin: o, Prev: prev, First: s.First, Last: prev, From: s.From, To: s.To}
	} else if same != o || prev != c.Last {
		return false
	}
	c.Last, c.From, c.To = s.Last, min(c.From, s.From), max(c.To, s.To)
	c.Blocks++
	return true
}

// appendChapter appends the origin, then prev, first and last in 4 bytes each,
// the times in 8, the number of blocks, the index's offset and CRC-32C in 4.
func appendChapter(b []byte, c Chapter) []byte {
	b = codec.AppendOrigin(b, c.Origin)
	b = binary.BigEndian.AppendUint32(b, c.Prev)
	b = binary.BigEndian.AppendUint32(b, c.First)
	b = binary.BigEndian.AppendUint32(b, c.Last)
	b = binary.BigEndian.AppendUint64(b, uint64(c.From))
	b = binary.BigEndian.AppendUint64(b, uint64(c.To))
	b = binary.BigEndian.AppendUint32(b, uint32(c.Blocks))
	b = binary.BigEndian.AppendUint32(b, uint32(c.Index))
	return binary.BigEndian.AppendUint32(b, c.sum)
}

func cutChapter(b []byte) (c Chapter, rest []byte, ok bool) {
	const size = 3*4 + 2*8 + 3*4
	c.Origin, b, ok = codec.CutOrigin(b)
	if !ok || len(b) < size {
		return c, nil, false
	}
	c.Prev = binary.BigEndian.Uint32(b)
	c.First = binary.BigEndian.Uint32(b[4:])
	c.Last = binary.BigEndian.Uint32(b[8:])
	c.From = int64(binary.BigEndian.Uint64(b[12:]))
	c.To = int64(binary.BigEndian.Uint64(b[20:]))
	c.Blocks = int(binary.BigEndian.Uint32(b[28:]))
	c.Index = int64(binary.BigEndian.Uint32(b[32:]))
	c.sum = binary.BigEndian.Uint32(b[36:])
	return c, b[size:], c.Blocks > 0
}

// Segment is what the directory of a segment says.
type Segment struct {
	Size     int64
	Through  uint64 // newest page of the journal that is sealed by it
	Newest   Moment // of the record that was made last
	Chapters []*Chapter
}

// Moment is when a record was made, as far as sequence numbers are concerned.
type Moment struct{ Epoch, Boot string }

// PackedBlock is a block to be written, with what a chapter has of it.
type PackedBlock struct {
	Origin  codec.Origin
	Prev    uint32
	Summary codec.Summary
	Bytes   []byte
	Length  int // where the bytes are elsewhere
}

// FormatSegment returns a segment's file, and what it is. The blocks of each
// sensor stand in a row, in order.
func FormatSegment(blocks []PackedBlock, through uint64, newest Moment) ([]byte, *Segment) {
	b, tail, s := FrameSegment(blocks, through, newest)
	for _, x := range blocks {
		b = append(b, x.Bytes...)
	}
	return append(b, tail...), s
}

// FrameSegment returns what stands before the blocks in a segment's file, and what behind them.
func FrameSegment(blocks []PackedBlock, through uint64, newest Moment) (head, b []byte, s *Segment) {
	s = &Segment{Through: through, Newest: newest}
	head = binary.BigEndian.AppendUint32(nil, segmentMagic)
	head = binary.BigEndian.AppendUint32(head, segmentVersion)
	at := len(head)
	var indexes [][]byte
	for _, x := range blocks {
		n, length := len(s.Chapters), max(x.Length, len(x.Bytes))
		if n == 0 || !s.Chapters[n-1].add(x.Origin, x.Prev, x.Summary) {
			c := &Chapter{}
			c.add(x.Origin, x.Prev, x.Summary)
			s.Chapters, indexes = append(s.Chapters, c), append(indexes, nil)
		}
		index := &indexes[len(indexes)-1]
		*index = codec.AppendSummary(*index, x.Summary)
		*index = binary.BigEndian.AppendUint32(*index, uint32(at))
		*index = binary.BigEndian.AppendUint32(*index, uint32(length))
		at += length
	}
	for i, c := range s.Chapters {
		c.Index, c.sum = int64(at+len(b)), codec.Checksum(indexes[i])
		b = append(b, indexes[i]...)
	}
	directory := binary.BigEndian.AppendUint64(nil, through)
	directory = codec.AppendString(directory, newest.Epoch)
	directory = codec.AppendString(directory, newest.Boot)
	for _, c := range s.Chapters {
		directory = appendChapter(directory, *c)
	}
	directory = binary.BigEndian.AppendUint32(directory, uint32(len(directory)))
	b = append(b, directory...)
	b = binary.BigEndian.AppendUint32(b, codec.Checksum(directory))
	b = binary.BigEndian.AppendUint32(b, footerMagic)
	s.Size = int64(at + len(b))
	return head, b, s
}

// parseDirectory reads a directory with its trailer, which b ends with.
func parseDirectory(b []byte) (s Segment, err error) {
	n := len(b) - segmentTrailer
	if n < 8 || binary.BigEndian.Uint32(b[n+8:]) != footerMagic {
		return s, ErrSegment
	}
	length := int64(binary.BigEndian.Uint32(b[n:]))
	if length < 8 || length > int64(n) || codec.Checksum(b[n-int(length):n+4]) != binary.BigEndian.Uint32(b[n+4:]) {
		return s, ErrSegment
	}
	b = b[n-int(length) : n]
	s.Through, b = binary.BigEndian.Uint64(b), b[8:]
	var ok bool
	for _, to := range []*string{&s.Newest.Epoch, &s.Newest.Boot} {
		if *to, b, ok = codec.CutString(b); !ok {
			return s, ErrSegment
		}
	}
	for len(b) > 0 {
		c, rest, ok := cutChapter(b)
		if !ok {
			return s, ErrSegment
		}
		s.Chapters, b = append(s.Chapters, &c), rest
	}
	return s, nil
}

// directoryLen returns how long the directory is with its trailer, of which b is
// the end.
func directoryLen(trailer []byte) int64 {
	return int64(binary.BigEndian.Uint32(trailer[len(trailer)-segmentTrailer:])) + segmentTrailer
}

// ReadSegment reads what a segment's directory says. If it is damaged, the
// blocks are searched for, and damage says what is wrong. It fails if the file
// cannot be read, and with ErrVersion if a newer version of the program wrote it.
func ReadSegment(f io.ReaderAt, size int64) (s *Segment, damage, err error) {
	var header [segmentHeader]byte
	if size < segmentHeader+segmentTrailer {
		return &Segment{Size: size}, ErrSegment, nil
	}
	if err := ReadFull(f, header[:], 0); err != nil {
		return nil, nil, err
	}
	version := binary.BigEndian.Uint32(header[4:])
	if binary.BigEndian.Uint32(header[:]) != segmentMagic || version != segmentVersion {
		damage = fmt.Errorf("%w: its header", ErrSegment)
	}
	tail := make([]byte, min(size, 4096))
	err = ReadFull(f, tail, size-int64(len(tail)))
	if n := directoryLen(tail); err == nil && n > int64(len(tail)) && n <= min(size, segmentMax) {
		tail = make([]byte, n)
		err = ReadFull(f, tail, size-n)
	}
	if err != nil {
		return nil, nil, err
	}
	parsed, err := parseDirectory(tail)
	for _, c := range parsed.Chapters {
		if c.Index+int64(c.Blocks)*indexSize > size {
			err = ErrSegment
		}
	}
	if parsed.Size = size; err == nil {
		return &parsed, damage, nil
	}
	if size > segmentMax {
		return &Segment{Size: size}, fmt.Errorf("%w: no segment has %d bytes", ErrSegment, size), nil
	}
	chapters, scanErr := ScanSegment(f, size)
	if scanErr != nil {
		return nil, nil, scanErr
	}
	if binary.BigEndian.Uint32(header[:]) == segmentMagic && version > segmentVersion && len(chapters) == 0 {
		return nil, nil, ErrVersion
	}
	return &Segment{Size: size, Newest: latest(chapters), Chapters: chapters}, err, nil
}

// latest returns when the newest record was made, by the clock.
func latest(chapters []*Chapter) (m Moment) {
	to := int64(math.MinInt64)
	for _, c := range chapters {
		if c.To >= to {
			to, m = c.To, Moment{c.Origin.Epoch, c.Origin.Boot}
		}
	}
	return m
}

// ScanSegment finds a segment's blocks without its directory.
func ScanSegment(f io.ReaderAt, size int64) ([]*Chapter, error) {
	if size > segmentMax {
		return nil, fmt.Errorf("%w: %d bytes", ErrSegment, size)
	}
	b := make([]byte, size)
	if err := ReadFull(f, b, 0); err != nil {
		return nil, err
	}
	magic := binary.BigEndian.AppendUint32(nil, codec.BlockMagic)
	var found []*Chapter
	for at := 0; ; {
		i := bytes.Index(b[at:], magic)
		if i < 0 {
			return found, nil
		}
		at += i
		head, n, err := codec.ParseBlock(b[at:])
		if err != nil {
			at += len(magic)
			continue
		}
		k := len(found)
		if k == 0 || !found[k-1].add(head.Origin, head.Prev, head.Summary) {
			c := &Chapter{}
			c.add(head.Origin, head.Prev, head.Summary)
			found, k = append(found, c), k+1
		}
		found[k-1].found = append(found[k-1].found, Place{head.Summary, int64(at), n})
		at += n
	}
}

// Places returns the blocks of a chapter, which is in f.
func (c *Chapter) Places(f io.ReaderAt) ([]Place, error) {
	if c.found != nil {
		return c.found, nil
	}
	b := make([]byte, c.Blocks*indexSize)
	if err := ReadFull(f, b, c.Index); err != nil {
		return nil, err
	}
	if codec.Checksum(b) != c.sum {
		return nil, fmt.Errorf("%w: the index of %q", ErrSegment, c.Origin.Sensor)
	}
	places := make([]Place, 0, c.Blocks)
	for ; len(b) > 0; b = b[indexSize:] {
		places = append(places, Place{codec.ParseSummary(b),
			int64(binary.BigEndian.Uint32(b[codec.SummarySize:])), int(binary.BigEndian.Uint32(b[codec.SummarySize+4:]))})
	}
	return places, nil
}

// ReadFull fills b from offset at of f. A read that fails is tried again once.
func ReadFull(f io.ReaderAt, b []byte, at int64) error {
	var err error
	for range 2 {
		var n int
		if n, err = f.ReadAt(b, at); n == len(b) {
			return nil
		}
		if errors.Is(err, io.EOF) {
			break
		}
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}
