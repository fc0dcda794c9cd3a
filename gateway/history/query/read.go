// Package query reads what the index finds: by number, by time, in the order in which
// it was made, or summarised. What cannot be read is noted as lost, and left out.
//
// It knows the index and opens segments; not how either comes about, nor who asks.
package query

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"slices"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/index"
	"sensorgateway/gateway/history/values"
	"sensorgateway/wire"
)

// opener opens the segments.
type opener interface {
	Open(name string, write bool) (disk.File, error)
}

// Source is what a reader reads: an index, and the directory of its segments.
type Source struct {
	Lock    func() (unlock func())
	Index   func() *index.Index
	FS      opener
	Log     *slog.Logger
	Removed func(c *index.Chapter)               // notes that its file does not exist
	Values  func(name, epoch string) values.Span // what the values of an epoch's records are; called without the lock
	// Lose notes, and logs, that the numbers from first to last cannot be read.
	Lose func(c *index.Chapter, first, last uint32, err error)
}

// reader reads a sensor's blocks in the order in which they were made. Its position
// is the ordinal of a block and a record in it, which do not change when blocks are
// packed, sealed or evicted.
type reader struct {
	Source
	name   string
	sensor uint16 // of the records that are returned
	wants  func(codec.Origin, span) bool
	whole  bool // blocks are returned as they are: records are not copied

	ordinal int64
	record  int   // the next record of that block
	last    int64 // the block of the records that were last returned

	file   openChapter
	unpack codec.Unpacker
	buf    []byte
	batch  []wire.Record
}

// span is what the index knows of a chapter or a block. The times are corrected.
type span struct {
	first, last uint32
	from, to    int64
}

// openChapter is a chapter with its index.
type openChapter struct {
	chapter *index.Chapter
	places  []format.Place
}

// piece is a block that the reader has reached, in memory or of a chapter.
type piece struct {
	origin  codec.Origin
	summary codec.Summary
	add     int64 // to the times
	synced  bool

	records []wire.Record // in memory; a copy
	packed  []byte
	chapter *index.Chapter
	place   format.Place
	open    bool // may grow
}

func (p *piece) span() span {
	return span{p.summary.First, p.summary.Last, p.summary.From + p.add, p.summary.To + p.add}
}

// next moves to the next block that is wanted and returns it, nil if there is none now.
func (r *reader) next() *piece {
	for {
		p, c := r.seek()
		if p != nil || c == nil {
			return p
		}
		// A chapter on the disk: find the next block in it.
		places, err := r.open(c)
		if err != nil {
			r.report(c, c.First, c.Last, err)
			r.skip(c)
			continue
		}
		unlock := r.Lock()
		add, synced := r.Index().Correction(c.Origin, c.From)
		unlock()
		for i := int(r.ordinal - c.Ordinal); i < len(places); i++ {
			s := places[i].Summary
			if r.wants(c.Origin, span{s.First, s.Last, s.From + add, s.To + add}) {
				r.moveTo(c.Ordinal + int64(i))
				return &piece{origin: c.Origin, summary: s, add: add, synced: synced, chapter: c, place: places[i]}
			}
		}
		r.skip(c)
	}
}

// moveTo moves to the beginning of a block, unless it is the present one.
func (r *reader) moveTo(ordinal int64) {
	if ordinal != r.ordinal {
		r.ordinal, r.record = ordinal, 0
	}
}

func (r *reader) skip(c *index.Chapter) { r.moveTo(c.Ordinal + int64(c.Blocks)) }

// seek finds the next chapter on the disk or block in memory that is wanted.
func (r *reader) seek() (*piece, *index.Chapter) {
	defer r.Lock()()
	s := r.Index()
	t := s.Streams[r.name]
	if t == nil {
		return nil, nil
	}
	c := r.chapter(s, t)
	for _, b := range t.Blocks {
		if b.Ordinal < r.ordinal || b.Ordinal == r.ordinal && r.record >= b.Summary.Count() {
			continue
		}
		if c != nil && b.Ordinal > c.Ordinal {
			break
		}
		p := &piece{origin: b.Origin, summary: b.Summary, packed: b.Packed, open: !b.Closed}
		p.add, p.synced = s.Correction(b.Origin, b.Summary.From)
		if !r.wants(b.Origin, p.span()) {
			continue
		}
		r.moveTo(b.Ordinal)
		if !r.whole {
			r.batch = append(r.batch[:0], b.Records...)
			p.records = r.batch
		}
		return p, nil
	}
	if c != nil {
		r.moveTo(max(r.ordinal, c.Ordinal))
	}
	return nil, c
}

// chapter returns the next chapter that is wanted, nil if there is none.
func (r *reader) chapter(s *index.Index, t *index.Stream) *index.Chapter {
	for _, c := range t.Chapters {
		if c.Ordinal+int64(c.Blocks) <= r.ordinal {
			continue
		}
		add, _ := s.Correction(c.Origin, c.From)
		if r.wants(c.Origin, span{c.First, c.Last, c.From + add, c.To + add}) {
			return c
		}
	}
	return nil
}

// open returns the index of a chapter.
func (r *reader) open(c *index.Chapter) ([]format.Place, error) {
	if r.file.chapter == c {
		return r.file.places, nil
	}
	f, err := disk.Retry(func() (disk.File, error) { return r.FS.Open(c.Segment.Name, false) })
	if err != nil {
		return nil, err
	}
	defer f.Close()
	places, err := c.Places(f)
	if errors.Is(err, format.ErrSegment) {
		places, err = r.rescue(c, f)
	}
	if err != nil {
		return nil, err
	}
	r.file = openChapter{c, places}
	return places, nil
}

// rescue finds the blocks of a chapter whose index is damaged.
func (r *reader) rescue(c *index.Chapter, f disk.File) (places []format.Place, err error) {
	found, err := format.ScanSegment(f, c.Segment.Size)
	last := c.Prev
	for _, x := range found {
		if x.Origin.Sensor != c.Origin.Sensor || x.Origin.Epoch != c.Origin.Epoch || wire.Before(x.First, c.First) || wire.Before(c.Last, x.Last) {
			continue
		}
		if x.Prev != last {
			r.Lose(c, last+1, x.Prev, format.ErrSegment)
		}
		there, _ := x.Places(nil) // which were found with it
		places, last = append(places, there...), x.Last
	}
	if last != c.Last {
		r.Lose(c, last+1, c.Last, format.ErrSegment)
	}
	r.Log.Warn("a file of readings is damaged: the blocks of it that are intact are used", "file", c.Segment.Name, "err", format.ErrSegment)
	return places, err
}

// report notes why the numbers from first to last cannot be read.
func (r *reader) report(c *index.Chapter, first, last uint32, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		r.Removed(c)
		return
	}
	r.Lose(c, first, last, err)
}

// records returns the records of the present block from the position on, and moves
// the position past them.
func (r *reader) records(p *piece) ([]wire.Record, error) {
	r.last = r.ordinal
	all, err := p.records, error(nil)
	if p.chapter != nil {
		all, err = r.load(p.chapter, p.place)
	} else if p.packed != nil {
		_, all, err = r.unpackBlock(p.packed)
	}
	if err != nil {
		r.moveTo(r.ordinal + 1)
		return nil, err
	}
	fresh := all[min(r.record, len(all)):]
	if r.record = len(all); !p.open {
		r.moveTo(r.ordinal + 1)
	}
	r.Values(r.name, p.origin.Epoch).Apply(fresh)
	for i := range fresh {
		x := &fresh[i]
		x.Sensor, x.Flags = r.sensor, x.Flags|wire.Historical
		if p.origin.Unsynced && p.synced {
			x.UnixMilli += p.add
			x.Flags &^= wire.ClockUnsynced
		}
	}
	return fresh, nil
}

// load reads a block from the disk.
func (r *reader) load(c *index.Chapter, at format.Place) ([]wire.Record, error) {
	if at.Length > codec.BlockMax || at.At+int64(at.Length) > c.Segment.Size {
		r.report(c, at.First, at.Last, codec.ErrBlock)
		return nil, codec.ErrBlock
	}
	f, err := disk.Retry(func() (disk.File, error) { return r.FS.Open(c.Segment.Name, false) })
	if err == nil {
		r.buf = slices.Grow(r.buf[:0], at.Length)[:at.Length]
		err = format.ReadFull(f, r.buf, at.At)
		f.Close()
	}
	var head codec.Block
	var all []wire.Record
	if err == nil {
		head, all, err = r.unpackBlock(r.buf)
	}
	if s := head.Summary; err == nil && (s.First != at.First || s.Last != at.Last || head.Origin.Sensor != c.Origin.Sensor || head.Origin.Epoch != c.Origin.Epoch) {
		err = errors.Join(codec.ErrBlock, errors.New("another block is in its place"))
	}
	if err != nil {
		r.report(c, at.First, at.Last, err)
	}
	return all, err
}

func (r *reader) unpackBlock(b []byte) (head codec.Block, all []wire.Record, err error) {
	if head, _, err = codec.ParseBlock(b); err != nil {
		return head, nil, err
	}
	r.batch, err = r.unpack.Records(r.batch[:0], head, r.sensor)
	return head, r.batch, err
}

// all returns a next function for the records that match.
func (r *reader) all(match func(*wire.Record) bool) func() ([]wire.Record, error) {
	return func() ([]wire.Record, error) {
		for {
			p := r.next()
			if p == nil {
				return nil, io.EOF
			}
			records, err := r.records(p)
			if err != nil {
				continue // its records are missing now
			}
			n := 0
			for i := range records {
				if match(&records[i]) {
					if n != i {
						records[n] = records[i]
					}
					n++
				}
			}
			if n > 0 {
				return records[:n], nil
			}
		}
	}
}

// Since returns the records of an epoch with numbers after after.
func (l Source) Since(name string, sensor uint16, epoch string, after uint32) func() ([]wire.Record, error) {
	newer := func(seq uint32) bool { return wire.Before(after, seq) }
	r := &reader{Source: l, name: name, sensor: sensor,
		wants: func(o codec.Origin, s span) bool { return o.Epoch == epoch && newer(s.last) }}
	return r.all(func(x *wire.Record) bool { return newer(x.Seq) })
}

// Later returns the records of an epoch with numbers after after that were made at from
// or later and before to.
func (l Source) Later(name string, sensor uint16, epoch string, after uint32, from, to int64) func() ([]wire.Record, error) {
	r := &reader{Source: l, name: name, sensor: sensor,
		wants: func(o codec.Origin, s span) bool {
			return o.Epoch == epoch && wire.Before(after, s.last) && s.from < to && s.to >= from
		}}
	return r.all(func(x *wire.Record) bool {
		return wire.Before(after, x.Seq) && from <= x.UnixMilli && x.UnixMilli < to
	})
}

// Between returns the records that were made at from or later and before to.
func (l Source) Between(name string, sensor uint16, from, to int64) func() ([]wire.Record, error) {
	r := &reader{Source: l, name: name, sensor: sensor,
		wants: func(_ codec.Origin, s span) bool { return s.from < to && s.to >= from }}
	return r.all(func(x *wire.Record) bool { return from <= x.UnixMilli && x.UnixMilli < to })
}

// Follow returns the records that were made at from or later, and a mark with each batch.
// It begins after the record with the number after in the batch that had this mark.
func (l Source) Follow(name string, sensor uint16, from, mark int64, after uint32) func() ([]wire.Record, int64, error) {
	r := &reader{Source: l, name: name, sensor: sensor, ordinal: max(mark-1, 0),
		wants: func(_ codec.Origin, s span) bool { return s.to >= from }}
	read := r.all(func(x *wire.Record) bool {
		return x.UnixMilli >= from && (r.last != mark-1 || wire.Before(after, x.Seq))
	})
	return func() ([]wire.Record, int64, error) {
		records, err := read()
		return records, r.last + 1, err
	}
}

// Check reads a chapter, so that damage is logged and noted. The system's cache of the
// file is dropped first.
func (l Source) Check(ctx context.Context, c *index.Chapter) {
	f, err := l.FS.Open(c.Segment.Name, false)
	if errors.Is(err, fs.ErrNotExist) {
		l.Removed(c)
	}
	if err != nil {
		return // evicted meanwhile, or the process has no descriptors left: no damage
	}
	if f, ok := f.(interface{ Uncache() }); ok {
		f.Uncache()
	}
	f.Close()
	r := &reader{Source: l}
	places, err := r.open(c)
	if err != nil {
		r.report(c, c.First, c.Last, err)
	}
	for _, at := range places {
		if ctx.Err() != nil {
			return
		}
		_, _ = r.load(c, at) // which logs damage
	}
}
