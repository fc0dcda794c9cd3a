package history

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
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
	indexSize      = summarySize + 8
)

var errSegment = errors.New("the directory of a segment is damaged")

// fileChapter is a sensor's blocks in a segment that follow each other without a
// loss and have the same origin.
type fileChapter struct {
	origin origin
	prev   uint32 // number of the record that was made before the first
	first  uint32
	last   uint32
	from   int64 // the earliest time, as made
	to     int64 // the latest one
	blocks int
	index  int64  // offset of its index
	sum    uint32 // CRC-32C of that

	found []place // the index, if the file's is damaged
}

// place is a block's summary and where it is.
type place struct {
	summary
	at     int64
	length int
}

// grown tells whether the next block belongs to c, and takes it in if so.
func (c *fileChapter) grown(o origin, prev uint32, s summary) bool {
	same := c.origin
	if !o.unsynced {
		same.offset = o.offset
	}
	if c.blocks == 0 {
		*c = fileChapter{origin: o, prev: prev, first: s.first, last: prev, from: s.from, to: s.to}
	} else if same != o || prev != c.last {
		return false
	}
	c.last, c.from, c.to = s.last, min(c.from, s.from), max(c.to, s.to)
	c.blocks++
	return true
}

// appendChapter appends the origin, then prev, first and last in 4 bytes each,
// the times in 8, the number of blocks, the index's offset and CRC-32C in 4.
func appendChapter(b []byte, c fileChapter) []byte {
	b = appendOrigin(b, c.origin)
	b = binary.BigEndian.AppendUint32(b, c.prev)
	b = binary.BigEndian.AppendUint32(b, c.first)
	b = binary.BigEndian.AppendUint32(b, c.last)
	b = binary.BigEndian.AppendUint64(b, uint64(c.from))
	b = binary.BigEndian.AppendUint64(b, uint64(c.to))
	b = binary.BigEndian.AppendUint32(b, uint32(c.blocks))
	b = binary.BigEndian.AppendUint32(b, uint32(c.index))
	return binary.BigEndian.AppendUint32(b, c.sum)
}

func cutChapter(b []byte) (c fileChapter, rest []byte, ok bool) {
	const size = 3*4 + 2*8 + 3*4
	c.origin, b, ok = cutOrigin(b)
	if !ok || len(b) < size {
		return c, nil, false
	}
	c.prev = binary.BigEndian.Uint32(b)
	c.first = binary.BigEndian.Uint32(b[4:])
	c.last = binary.BigEndian.Uint32(b[8:])
	c.from = int64(binary.BigEndian.Uint64(b[12:]))
	c.to = int64(binary.BigEndian.Uint64(b[20:]))
	c.blocks = int(binary.BigEndian.Uint32(b[28:]))
	c.index = int64(binary.BigEndian.Uint32(b[32:]))
	c.sum = binary.BigEndian.Uint32(b[36:])
	return c, b[size:], c.blocks > 0
}

// fileSegment is what the directory of a segment says.
type fileSegment struct {
	size     int64
	through  uint64 // newest page of the journal that is sealed by it
	newest   moment // of the record that was made last
	chapters []*fileChapter
}

// moment is when a record was made, as far as sequence numbers are concerned.
type moment struct{ epoch, boot string }

// sealed is a block ready to be written, with what a chapter needs of it.
type sealed struct {
	origin  origin
	prev    uint32
	summary summary
	bytes   []byte
}

// formatSegment returns a segment's file, and what it is. The blocks of each
// sensor stand in a row, in order.
func formatSegment(blocks []sealed, through uint64, newest moment) ([]byte, *fileSegment) {
	s := &fileSegment{through: through, newest: newest}
	b := binary.BigEndian.AppendUint32(nil, segmentMagic)
	b = binary.BigEndian.AppendUint32(b, segmentVersion)
	var indexes [][]byte
	for _, x := range blocks {
		n := len(s.chapters)
		if n == 0 || !s.chapters[n-1].grown(x.origin, x.prev, x.summary) {
			c := &fileChapter{}
			c.grown(x.origin, x.prev, x.summary)
			s.chapters, indexes = append(s.chapters, c), append(indexes, nil)
		}
		index := &indexes[len(indexes)-1]
		*index = appendSummary(*index, x.summary)
		*index = binary.BigEndian.AppendUint32(*index, uint32(len(b)))
		*index = binary.BigEndian.AppendUint32(*index, uint32(len(x.bytes)))
		b = append(b, x.bytes...)
	}
	for i, c := range s.chapters {
		c.index, c.sum = int64(len(b)), crc32.Checksum(indexes[i], castagnoli)
		b = append(b, indexes[i]...)
	}
	directory := binary.BigEndian.AppendUint64(nil, through)
	directory = appendString(directory, newest.epoch)
	directory = appendString(directory, newest.boot)
	for _, c := range s.chapters {
		directory = appendChapter(directory, *c)
	}
	directory = binary.BigEndian.AppendUint32(directory, uint32(len(directory)))
	b = append(b, directory...)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(directory, castagnoli))
	b = binary.BigEndian.AppendUint32(b, footerMagic)
	s.size = int64(len(b))
	return b, s
}

// parseDirectory reads a directory with its trailer, which b ends with.
func parseDirectory(b []byte) (s fileSegment, err error) {
	n := len(b) - segmentTrailer
	if n < 8 || binary.BigEndian.Uint32(b[n+8:]) != footerMagic {
		return s, errSegment
	}
	length := int64(binary.BigEndian.Uint32(b[n:]))
	if length < 8 || length > int64(n) || crc32.Checksum(b[n-int(length):n+4], castagnoli) != binary.BigEndian.Uint32(b[n+4:]) {
		return s, errSegment
	}
	b = b[n-int(length) : n]
	s.through, b = binary.BigEndian.Uint64(b), b[8:]
	var ok bool
	for _, to := range []*string{&s.newest.epoch, &s.newest.boot} {
		if *to, b, ok = cutString(b); !ok {
			return s, errSegment
		}
	}
	for len(b) > 0 {
		c, rest, ok := cutChapter(b)
		if !ok {
			return s, errSegment
		}
		s.chapters, b = append(s.chapters, &c), rest
	}
	return s, nil
}

// directoryLen returns how long the directory is with its trailer, of which b is
// the end.
func directoryLen(trailer []byte) int64 {
	return int64(binary.BigEndian.Uint32(trailer[len(trailer)-segmentTrailer:])) + segmentTrailer
}

// openSegment reads what a segment's directory says. If it is damaged, the
// blocks are looked for, and damage says what was wrong. It fails if the file
// cannot be read, and with errVersion if it is not to be understood.
func openSegment(f io.ReaderAt, size int64) (s *fileSegment, damage, err error) {
	var header [segmentHeader]byte
	if size < segmentHeader+segmentTrailer {
		return &fileSegment{size: size}, errSegment, nil
	}
	if err := readFull(f, header[:], 0); err != nil {
		return nil, nil, err
	}
	version := binary.BigEndian.Uint32(header[4:])
	if binary.BigEndian.Uint32(header[:]) != segmentMagic || version != segmentVersion {
		damage = fmt.Errorf("%w: its header", errSegment)
	}
	tail := make([]byte, min(size, 4096))
	err = readFull(f, tail, size-int64(len(tail)))
	if n := directoryLen(tail); err == nil && n > int64(len(tail)) && n <= min(size, segmentMax) {
		tail = make([]byte, n)
		err = readFull(f, tail, size-n)
	}
	if err != nil {
		return nil, nil, err
	}
	parsed, err := parseDirectory(tail)
	for _, c := range parsed.chapters {
		if c.index+int64(c.blocks)*indexSize > size {
			err = errSegment
		}
	}
	if parsed.size = size; err == nil {
		return &parsed, damage, nil
	}
	chapters, scanErr := scanSegment(f, size)
	if scanErr != nil {
		return nil, nil, scanErr
	}
	if binary.BigEndian.Uint32(header[:]) == segmentMagic && version > segmentVersion && len(chapters) == 0 {
		return nil, nil, errVersion
	}
	return &fileSegment{size: size, newest: latest(chapters), chapters: chapters}, err, nil
}

// latest returns when the newest record was made, by the clock.
func latest(chapters []*fileChapter) (m moment) {
	to := int64(math.MinInt64)
	for _, c := range chapters {
		if c.to >= to {
			to, m = c.to, moment{c.origin.epoch, c.origin.boot}
		}
	}
	return m
}

// scanSegment finds a segment's blocks without its directory.
func scanSegment(f io.ReaderAt, size int64) ([]*fileChapter, error) {
	if size > segmentMax {
		return nil, fmt.Errorf("%w: %d bytes", errSegment, size)
	}
	b := make([]byte, size)
	if err := readFull(f, b, 0); err != nil {
		return nil, err
	}
	magic := binary.BigEndian.AppendUint32(nil, blockMagic)
	var found []*fileChapter
	for at := 0; ; {
		i := bytes.Index(b[at:], magic)
		if i < 0 {
			return found, nil
		}
		at += i
		head, n, err := parseBlock(b[at:])
		if err != nil {
			at += len(magic)
			continue
		}
		k := len(found)
		if k == 0 || !found[k-1].grown(head.origin, head.prev, head.summary) {
			c := &fileChapter{}
			c.grown(head.origin, head.prev, head.summary)
			found, k = append(found, c), k+1
		}
		found[k-1].found = append(found[k-1].found, place{head.summary, int64(at), n})
		at += n
	}
}

// places returns the blocks of a chapter, which is in f.
func (c *fileChapter) places(f io.ReaderAt) ([]place, error) {
	if c.found != nil {
		return c.found, nil
	}
	b := make([]byte, c.blocks*indexSize)
	if err := readFull(f, b, c.index); err != nil {
		return nil, err
	}
	if crc32.Checksum(b, castagnoli) != c.sum {
		return nil, fmt.Errorf("%w: the index of %q", errSegment, c.origin.sensor)
	}
	places := make([]place, 0, c.blocks)
	for ; len(b) > 0; b = b[indexSize:] {
		places = append(places, place{parseSummary(b),
			int64(binary.BigEndian.Uint32(b[summarySize:])), int(binary.BigEndian.Uint32(b[summarySize+4:]))})
	}
	return places, nil
}

// readFull fills b from offset at of f. What fails once may be a mishap: it is
// tried again.
func readFull(f io.ReaderAt, b []byte, at int64) error {
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
