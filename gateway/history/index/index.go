// Package index finds records: it has what the directories of the segments say, and
// the newest records themselves, until a segment has them. It also has which
// numbers are lost, and what corrects the times of a boot whose clock was wrong.
//
// It knows no disk, no goroutine and no lock: its owner has one for it.
package index

import (
	"cmp"
	"slices"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/format"
	"sensorgateway/wire"
)

// Index is the index of a log.
type Index struct {
	Streams  map[string]*Stream // by the sensor's name
	clocks   map[string]clock   // by boot
	Segments []*Segment         // oldest first
	Newest   format.Moment      // of the record that was made last
	Memory   int                // bytes that the blocks in memory take
	Gaps     int                // numbers that streams with a Gap lack
	spare    [][]wire.Record    // capacity that is reused
}

// New returns an empty index.
func New() *Index {
	return &Index{Streams: map[string]*Stream{}, clocks: map[string]clock{}}
}

// Stream is the records of a sensor, in the order in which they were made.
type Stream struct {
	Name     string
	Chapters []*Chapter // in segments, oldest first
	Blocks   []*Block   // in memory, after these; the last one may still grow
	Ordinals int64      // how many blocks there ever were

	// Of the newest epoch:
	Epoch string
	Any   bool // it has records
	Last  uint32
	Prev  uint32 // of the next block; it differs from last after a loss
	Lost  uint32 // from here on no number is lost
	Gap   bool   // records before the next one are lost

	syncing, synced place // up to where a sync in progress, and the last one, covers
}

// place is a block, and how many of its records.
type place struct {
	ordinal int64
	records int
}

// Syncing notes that a sync begins which covers all records that there are.
func (s *Index) Syncing() {
	for _, t := range s.Streams {
		if n := len(t.Blocks); n > 0 {
			t.syncing = place{t.Blocks[n-1].Ordinal, t.Blocks[n-1].Summary.Count()}
		}
	}
}

// Synced notes that what Syncing noted is on the disk.
func (s *Index) Synced() {
	for _, t := range s.Streams {
		t.synced = t.syncing
	}
}

// Durable returns whether so many records of a block in memory are on the disk.
func (t *Stream) Durable(ordinal int64, records int) bool {
	return ordinal < t.synced.ordinal || ordinal == t.synced.ordinal && records <= t.synced.records
}

// Block is a block that is in memory.
type Block struct {
	Origin  codec.Origin
	Prev    uint32
	Summary codec.Summary
	Ordinal int64
	Closed  bool          // no record is added any more
	dropped bool          // from memory
	Records []wire.Record // until it is packed
	Packed  []byte
}

// Stream returns the stream of a name.
func (s *Index) Stream(name string) *Stream {
	t := s.Streams[name]
	if t == nil {
		t = &Stream{Name: name}
		s.Streams[name] = t
	}
	return t
}

// Begin notes the number that comes next.
func (t *Stream) Begin(epoch string, next uint32) {
	t.Close()
	t.Gap = false
	switch {
	case t.Epoch != epoch:
		t.Epoch, t.Any, t.Last, t.Lost = epoch, false, next-1, next
	case wire.Before(t.Last, next-1) || !t.Any:
		t.Lost = next
	default:
		next = t.Last + 1
	}
	t.Prev = next - 1
}

// Close ends the growth of the stream's newest block.
func (t *Stream) Close() {
	if n := len(t.Blocks); n > 0 {
		t.Blocks[n-1].Closed = true
	}
}

// saw notes that the next records of an epoch are those after prev, up to last.
func (t *Stream) saw(epoch string, prev, last uint32) {
	if t.Epoch != epoch || !t.Any {
		if t.Epoch != epoch {
			t.Lost = prev + 1
		}
		t.Epoch, t.Any = epoch, true
	} else if prev != t.Last {
		t.Lost = prev + 1
	}
	t.Last, t.Prev = last, last
}

// Add adds the next record to a stream, unless it has that number already.
func (s *Index) Add(t *Stream, epoch, boot string, r wire.Record, offset int64) {
	if t.Epoch == epoch && t.Any && !wire.Before(t.Last, r.Seq) {
		return
	}
	r.Flags &^= wire.Historical
	if t.Gap || t.Epoch != epoch {
		if t.Epoch == epoch && t.Any {
			s.Gaps += int(r.Seq - t.Last - 1)
		}
		t.Close()
		t.Prev, t.Gap = r.Seq-1, false
	}
	var b *Block
	if n := len(t.Blocks); n > 0 && t.Blocks[n-1].takes(epoch, boot, r, offset) {
		b = t.Blocks[n-1]
	} else {
		t.Close()
		b = s.newBlock(t, codec.Origin{Sensor: t.Name, Epoch: epoch, Boot: boot, Unsynced: r.Flags&wire.ClockUnsynced != 0, Offset: offset})
		s.sawClock(b.Origin, r.UnixMilli)
	}
	before := cap(b.Records)
	b.Records = append(b.Records, r)
	s.Memory += (cap(b.Records) - before) * RecordMemory
	b.Summary.Add(r)
	t.saw(epoch, t.Prev, r.Seq)
	s.Newest = format.Moment{Epoch: epoch, Boot: boot}
}

// RecordMemory is the size of a wire.Record in memory, bytes.
const RecordMemory = 24

func (s *Index) newBlock(t *Stream, o codec.Origin) *Block {
	b := &Block{Origin: o, Prev: t.Prev, Ordinal: t.Ordinals}
	if n := len(s.spare); n > 0 {
		b.Records, s.spare = s.spare[n-1], s.spare[:n-1]
		s.Memory += cap(b.Records) * RecordMemory
	}
	t.Ordinals++
	t.Blocks = append(t.Blocks, b)
	return b
}

// takes returns whether a record goes into the block.
func (b *Block) takes(epoch, boot string, r wire.Record, offset int64) bool {
	unsynced, most := r.Flags&wire.ClockUnsynced != 0, int64(codec.OffsetStep)
	if unsynced {
		most = offsetJitter
	}
	o := b.Origin
	return !b.Closed && o.Epoch == epoch && o.Boot == boot && o.Unsynced == unsynced &&
		apart(offset, o.Offset) <= most &&
		len(b.Records) < codec.BlockRecords &&
		r.UnixMilli >= b.Summary.To && r.UnixMilli-b.Summary.From < codec.BlockSpan
}

// size is the memory that a block takes.
func (b *Block) size() int { return cap(b.Records)*RecordMemory + len(b.Packed) }

// Pack replaces the records of a block by the packed block.
func (s *Index) Pack(b *Block, packed []byte) {
	if b.dropped {
		return
	}
	s.Memory -= b.size()
	if len(s.spare) < len(s.Streams) {
		s.spare = append(s.spare, b.Records[:0])
	}
	b.Records, b.Packed = nil, packed
	s.Memory += b.size()
}

// Shrink drops the oldest blocks in memory until they have limit bytes at most, and
// returns how many records are lost by that.
func (s *Index) Shrink(limit int) (lost int) {
	for s.Memory > limit {
		var oldest *Stream
		for _, t := range s.Streams {
			if len(t.Blocks) > 1 && (oldest == nil || t.Blocks[0].Summary.To < oldest.Blocks[0].Summary.To) {
				oldest = t
			}
		}
		if oldest == nil {
			return lost
		}
		b := oldest.Blocks[0]
		lost += b.Summary.Count()
		s.drop(b)
		oldest.Blocks = oldest.Blocks[1:]
		oldest.Lose(b.Origin.Epoch, b.Summary.Last)
	}
	return lost
}

// drop subtracts a block that leaves the memory.
func (s *Index) drop(b *Block) {
	s.Memory -= b.size()
	b.dropped = true
}

// Lose notes that numbers up to last are lost.
func (t *Stream) Lose(epoch string, last uint32) {
	if t.Epoch == epoch && wire.Before(t.Lost, last+1) {
		t.Lost = last + 1
	}
}

// Unsealed returns the blocks that are in no segment, those of each sensor in a
// row and in order.
func (s *Index) Unsealed() (blocks []*Block) {
	for _, t := range s.Streams {
		blocks = append(blocks, t.Blocks...)
	}
	slices.SortStableFunc(blocks, func(a, b *Block) int { return cmp.Compare(a.Origin.Sensor, b.Origin.Sensor) })
	return blocks
}

// Oldest returns the oldest number of an epoch.
func (t *Stream) Oldest(epoch string) (seq uint32, ok bool) {
	for _, c := range t.Chapters {
		if c.Origin.Epoch == epoch {
			return c.First, true
		}
	}
	for _, b := range t.Blocks {
		if b.Origin.Epoch == epoch {
			return b.Summary.First, true
		}
	}
	return 0, false
}
