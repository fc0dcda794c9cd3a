package history

import (
	"cmp"
	"slices"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/format"
	"sensorgateway/wire"
)

// store is the index of all that is kept: of the files what their directories
// say, and of the newest records, which are in no segment yet, the records
// themselves. It knows no disk. Its owner's lock guards it.
type store struct {
	streams  map[string]*stream // by the sensor's name
	clocks   map[string]int64   // by boot: the first offset of a synchronised clock
	segments []*segment         // oldest first
	newest   format.Moment      // of the record that was made last
	memory   int                // bytes that the blocks in memory take
	spare    [][]wire.Record    // room for blocks to come
}

func newStore() *store {
	return &store{streams: map[string]*stream{}, clocks: map[string]int64{}}
}

// stream is what is kept of a sensor, in the order in which it was made.
type stream struct {
	name     string
	chapters []*chapter // on disk, oldest first
	blocks   []*block   // in memory, after these; the last one may still grow
	ordinals int64      // how many blocks there have been

	// Of the newest epoch:
	epoch string
	any   bool // it has records
	last  uint32
	prev  uint32 // of the next block; it differs from last after a loss
	lost  uint32 // one more than the newest number that may have been lost
	gap   bool   // what comes next comes after a loss
}

// block is one in memory.
type block struct {
	origin  codec.Origin
	prev    uint32
	summary codec.Summary
	ordinal int64
	closed  bool          // grows no more
	gone    bool          // from memory
	records []wire.Record // until it is packed
	packed  []byte
}

// stream returns the stream of a name.
func (s *store) stream(name string) *stream {
	t := s.streams[name]
	if t == nil {
		t = &stream{name: name}
		s.streams[name] = t
	}
	return t
}

// after compares numbers, which wrap (RFC 1982, section 3.2).
func after(a, b uint32) bool { return int32(a-b) > 0 }

// begin notes the number that comes next.
func (t *stream) begin(epoch string, next uint32) {
	t.close()
	t.gap = false
	switch {
	case t.epoch != epoch:
		t.epoch, t.any, t.last, t.lost = epoch, false, next-1, next
	case after(next-1, t.last) || !t.any:
		t.lost = next
	default:
		next = t.last + 1
	}
	t.prev = next - 1
}

// close ends the growth of the stream's newest block.
func (t *stream) close() {
	if n := len(t.blocks); n > 0 {
		t.blocks[n-1].closed = true
	}
}

// saw notes what comes next of an epoch, after prev, up to last.
func (t *stream) saw(epoch string, prev, last uint32) {
	if t.epoch != epoch || !t.any {
		if t.epoch != epoch {
			t.lost = prev + 1
		}
		t.epoch, t.any = epoch, true
	} else if prev != t.last {
		t.lost = prev + 1
	}
	t.last, t.prev = last, last
}

// clock learns a boot's offset.
func (s *store) clock(o codec.Origin) {
	if _, known := s.clocks[o.Boot]; !known && !o.Unsynced {
		s.clocks[o.Boot] = o.Offset
	}
}

// correction returns what to add to the times of a block or chapter, and whether
// they are right then.
func (s *store) correction(o codec.Origin) (add int64, synced bool) {
	if !o.Unsynced {
		return 0, true
	}
	offset, known := s.clocks[o.Boot]
	if !known {
		return 0, false
	}
	return offset - o.Offset, true
}

const (
	offsetJitter = 1    // ms that an offset may be off by rounding
	offsetStep   = 1000 // ms of a synchronised clock's offset from which on it matters
)

// add takes in the next record of a stream. One whose number is not a new one is
// left out.
func (s *store) add(t *stream, epoch, boot string, r wire.Record, offset int64) {
	if t.epoch == epoch && t.any && !after(r.Seq, t.last) {
		return
	}
	r.Flags &^= wire.Historical
	if t.gap || t.epoch != epoch {
		t.close()
		t.prev, t.gap = r.Seq-1, false
	}
	var b *block
	if n := len(t.blocks); n > 0 && t.blocks[n-1].takes(epoch, boot, r, offset) {
		b = t.blocks[n-1]
	} else {
		t.close()
		b = s.newBlock(t, codec.Origin{Sensor: t.name, Epoch: epoch, Boot: boot, Unsynced: r.Flags&wire.ClockUnsynced != 0, Offset: offset})
		s.clock(b.origin)
	}
	before := cap(b.records)
	b.records = append(b.records, r)
	s.memory += (cap(b.records) - before) * recordMemory
	b.summary.Add(r)
	t.saw(epoch, t.prev, r.Seq)
	s.newest = format.Moment{Epoch: epoch, Boot: boot}
}

const recordMemory = 24 // bytes of a wire.Record in memory

func (s *store) newBlock(t *stream, o codec.Origin) *block {
	b := &block{origin: o, prev: t.prev, ordinal: t.ordinals}
	if n := len(s.spare); n > 0 {
		b.records, s.spare = s.spare[n-1], s.spare[:n-1]
		s.memory += cap(b.records) * recordMemory
	}
	t.ordinals++
	t.blocks = append(t.blocks, b)
	return b
}

// takes tells whether a record belongs to the block.
func (b *block) takes(epoch, boot string, r wire.Record, offset int64) bool {
	unsynced, most := r.Flags&wire.ClockUnsynced != 0, int64(offsetStep)
	if unsynced {
		most = offsetJitter
	}
	o := b.origin
	return !b.closed && o.Epoch == epoch && o.Boot == boot && o.Unsynced == unsynced &&
		max(offset-o.Offset, o.Offset-offset) <= most &&
		len(b.records) < codec.BlockRecords &&
		r.UnixMilli >= b.summary.To && r.UnixMilli-b.summary.From < codec.BlockSpan
}

// size is the memory that a block takes.
func (b *block) size() int { return cap(b.records)*recordMemory + len(b.packed) }

// pack replaces the block's records by what packs them.
func (s *store) pack(b *block, packed []byte) {
	if b.gone {
		return
	}
	s.memory -= b.size()
	if len(s.spare) < len(s.streams) {
		s.spare = append(s.spare, b.records[:0])
	}
	b.records, b.packed = nil, packed
	s.memory += b.size()
}

// shrink gives up the oldest blocks in memory until they take limit bytes at
// most, and returns how many records that cost.
func (s *store) shrink(limit int) (lost int) {
	for s.memory > limit {
		var oldest *stream
		for _, t := range s.streams {
			if len(t.blocks) > 1 && (oldest == nil || t.blocks[0].summary.To < oldest.blocks[0].summary.To) {
				oldest = t
			}
		}
		if oldest == nil {
			return lost
		}
		b := oldest.blocks[0]
		lost += b.summary.Count()
		s.drop(b)
		oldest.blocks = oldest.blocks[1:]
		oldest.lose(b.origin.Epoch, b.summary.Last)
	}
	return lost
}

// drop stops counting a block that leaves the memory.
func (s *store) drop(b *block) {
	s.memory -= b.size()
	b.gone = true
}

// lose notes that numbers up to last are gone.
func (t *stream) lose(epoch string, last uint32) {
	if t.epoch == epoch && after(last+1, t.lost) {
		t.lost = last + 1
	}
}

// load takes in a segment that was found on the disk, after all older ones.
func (s *store) load(g *segment) {
	s.segments = append(s.segments, g)
	for _, c := range g.chapters {
		t := s.stream(c.Origin.Sensor)
		s.clock(c.Origin)
		t.saw(c.Origin.Epoch, c.Prev, c.Last)
		c.ordinal = t.ordinals
		t.ordinals += int64(c.Blocks)
		t.chapters = append(t.chapters, c)
	}
	if g.newest.Epoch != "" {
		s.newest = g.newest
	}
}

// seal puts a segment in the place of the blocks that it was made of.
func (s *store) seal(g *segment, blocks []*block) {
	s.segments = append(s.segments, g)
	ordinals := map[string][]int64{}
	gone := map[*block]bool{}
	for _, b := range blocks {
		ordinals[b.origin.Sensor] = append(ordinals[b.origin.Sensor], b.ordinal)
		gone[b] = true
	}
	for _, c := range g.chapters {
		t := s.stream(c.Origin.Sensor)
		c.ordinal = ordinals[t.name][0]
		ordinals[t.name] = ordinals[t.name][c.Blocks:]
		t.chapters = append(t.chapters, c)
	}
	for _, t := range s.streams {
		t.blocks = slices.DeleteFunc(t.blocks, func(b *block) bool {
			if gone[b] {
				s.drop(b)
			}
			return gone[b]
		})
	}
}

// evict forgets a segment.
func (s *store) evict(g *segment) {
	s.segments = slices.DeleteFunc(s.segments, func(x *segment) bool { return x == g })
	for _, t := range s.streams {
		t.chapters = slices.DeleteFunc(slices.Clone(t.chapters), func(c *chapter) bool { // readers hold the old slice
			if c.segment == g {
				t.lose(c.Origin.Epoch, c.Last)
			}
			return c.segment == g
		})
	}
}

// until returns the latest time of a segment, as far as it is known, and whether
// it is.
func (s *store) until(g *segment) (until int64, known bool) {
	for _, c := range g.chapters {
		if add, synced := s.correction(c.Origin); synced && (!known || c.To+add > until) {
			until, known = c.To+add, true
		}
	}
	return until, known
}

// inMemory returns the blocks that are in no segment, those of each sensor in a
// row and in order.
func (s *store) inMemory() (blocks []*block) {
	for _, t := range s.streams {
		blocks = append(blocks, t.blocks...)
	}
	slices.SortStableFunc(blocks, func(a, b *block) int { return cmp.Compare(a.origin.Sensor, b.origin.Sensor) })
	return blocks
}

// through returns the newest page of the journal whose records are sealed.
func (s *store) through() (page uint64) {
	for _, g := range s.segments {
		page = max(page, g.through)
	}
	return page
}
