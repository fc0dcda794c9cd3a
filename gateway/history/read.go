package history

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"slices"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/index"
	"sensorgateway/wire"
)

// source is what a reader reads: an index, and the directory of its segments.
type source struct {
	lock  func() (unlock func())
	index func() *index.Index
	fs    FS
	log   *slog.Logger
	lose  func(c *index.Chapter, last uint32) // notes that numbers up to last cannot be read
}

// reader reads a sensor's blocks in the order in which they were made. Its position
// is the ordinal of a block and a record in it, which do not change when blocks are
// packed, sealed or evicted.
type reader struct {
	source
	name   string
	sensor uint16 // of the records that are returned
	wants  func(codec.Origin, span) bool

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
			r.report(c, err, c.Last)
			r.skip(c)
			continue
		}
		unlock := r.lock()
		add, synced := r.index().Correction(c.Origin)
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
	defer r.lock()()
	s := r.index()
	t := s.Streams[r.name]
	if t == nil {
		return nil, nil
	}
	for _, c := range t.Chapters {
		if c.Ordinal+int64(c.Blocks) <= r.ordinal {
			continue
		}
		add, _ := s.Correction(c.Origin)
		if !r.wants(c.Origin, span{c.First, c.Last, c.From + add, c.To + add}) {
			continue
		}
		r.moveTo(max(r.ordinal, c.Ordinal))
		return nil, c
	}
	for _, b := range t.Blocks {
		if b.Ordinal < r.ordinal || b.Ordinal == r.ordinal && r.record >= b.Summary.Count() {
			continue
		}
		p := &piece{origin: b.Origin, summary: b.Summary, packed: b.Packed, open: !b.Closed}
		p.add, p.synced = s.Correction(b.Origin)
		if !r.wants(b.Origin, p.span()) {
			continue
		}
		r.moveTo(b.Ordinal)
		r.batch = append(r.batch[:0], b.Records...)
		p.records = r.batch
		return p, nil
	}
	return nil, nil
}

// open returns the index of a chapter.
func (r *reader) open(c *index.Chapter) ([]format.Place, error) {
	if r.file.chapter == c {
		return r.file.places, nil
	}
	f, err := retryOnce(func() (disk.File, error) { return r.fs.Open(c.Segment.Name, false) })
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
			r.lose(c, x.Prev)
		}
		there, _ := x.Places(nil) // which were found with it
		places, last = append(places, there...), x.Last
	}
	if last != c.Last {
		r.lose(c, c.Last)
	}
	r.log.Warn("a file of readings is damaged: the blocks of it that are intact are used", "file", c.Segment.Name, "err", format.ErrSegment)
	return places, err
}

// report logs why numbers up to last cannot be read, unless they were evicted, and
// notes that they are lost.
func (r *reader) report(c *index.Chapter, err error, last uint32) {
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	r.log.Warn("readings cannot be read", "file", c.Segment.Name, "sensor", c.Origin.Sensor, "err", err)
	r.lose(c, last)
}

// records returns the records of the present block from the position on, and moves
// the position past them.
func (r *reader) records(p *piece) ([]wire.Record, error) {
	r.last = r.ordinal
	all, err := p.records, error(nil)
	if p.chapter != nil {
		all, err = r.load(p.chapter, p.place)
	} else if p.packed != nil {
		all, err = r.unpackBlock(p.packed)
	}
	if err != nil {
		r.moveTo(r.ordinal + 1)
		return nil, err
	}
	fresh := all[min(r.record, len(all)):]
	if r.record = len(all); !p.open {
		r.moveTo(r.ordinal + 1)
	}
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
		r.report(c, codec.ErrBlock, at.Last)
		return nil, codec.ErrBlock
	}
	f, err := retryOnce(func() (disk.File, error) { return r.fs.Open(c.Segment.Name, false) })
	if err == nil {
		r.buf = slices.Grow(r.buf[:0], at.Length)[:at.Length]
		err = format.ReadFull(f, r.buf, at.At)
		f.Close()
	}
	var all []wire.Record
	if err == nil {
		all, err = r.unpackBlock(r.buf)
	}
	if err != nil {
		r.report(c, err, at.Last)
	}
	return all, err
}

func (r *reader) unpackBlock(b []byte) ([]wire.Record, error) {
	head, _, err := codec.ParseBlock(b)
	if err != nil {
		return nil, err
	}
	r.batch, err = r.unpack.Records(r.batch[:0], head, r.sensor)
	return r.batch, err
}

// all returns a next function for the records that match.
func (r *reader) all(match func(wire.Record) bool) func() ([]wire.Record, error) {
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
			matching := records[:0]
			for _, x := range records {
				if match(x) {
					matching = append(matching, x)
				}
			}
			if len(matching) > 0 {
				return matching, nil
			}
		}
	}
}

// source returns what the readers of the log read.
func (l *Log) source() source {
	return source{
		lock:  func() func() { l.mu.Lock(); return l.mu.Unlock },
		index: func() *index.Index { return l.index },
		fs:    l.fs, log: l.log,
		lose: func(c *index.Chapter, last uint32) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.index.Stream(c.Origin.Sensor).Lose(c.Origin.Epoch, last)
		},
	}
}

// Since returns the records of this epoch with numbers after after, in order. Those
// that are lost are skipped.
func (l *Log) Since(sensor uint16, after uint32) (next func() ([]wire.Record, error)) {
	if int(sensor) >= len(l.streams) {
		return end
	}
	l.mu.Lock()
	epoch := l.epoch()
	l.mu.Unlock()
	newer := func(seq uint32) bool { return wire.Before(after, seq) }
	r := &reader{source: l.source(), name: l.o.Sensors[sensor], sensor: sensor,
		wants: func(o codec.Origin, s span) bool { return o.Epoch == epoch && newer(s.last) }}
	return r.all(func(x wire.Record) bool { return newer(x.Seq) })
}

// Between returns the records of any epoch that were made from from to before
// to, Unix milliseconds, in the order in which they were made.
func (l *Log) Between(sensor uint16, from, to int64) (next func() ([]wire.Record, error)) {
	if int(sensor) >= len(l.streams) {
		return end
	}
	return l.source().between(l.o.Sensors[sensor], sensor, from, to)
}

func (l source) between(name string, sensor uint16, from, to int64) func() ([]wire.Record, error) {
	r := &reader{source: l, name: name, sensor: sensor,
		wants: func(_ codec.Origin, s span) bool { return s.from < to && s.to >= from }}
	return r.all(func(x wire.Record) bool { return from <= x.UnixMilli && x.UnixMilli < to })
}

// Follow returns the records of any epoch that were made at from, Unix
// milliseconds, or later, in the order in which they were made, in batches, each
// with a mark. A later call with the mark of a batch and the number of a record in
// it continues after that record. Mark 0 is the beginning.
func (l *Log) Follow(sensor uint16, from, mark int64, after uint32) (next func() (records []wire.Record, at int64, err error)) {
	if int(sensor) >= len(l.streams) {
		return func() ([]wire.Record, int64, error) { return nil, 0, io.EOF }
	}
	r := &reader{source: l.source(), name: l.o.Sensors[sensor], sensor: sensor, ordinal: max(mark-1, 0),
		wants: func(_ codec.Origin, s span) bool { return s.to >= from }}
	read := r.all(func(x wire.Record) bool {
		return x.UnixMilli >= from && (r.last != mark-1 || wire.Before(after, x.Seq))
	})
	return func() ([]wire.Record, int64, error) {
		records, err := read()
		return records, r.last + 1, err
	}
}
