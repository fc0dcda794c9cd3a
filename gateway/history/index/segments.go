package index

import (
	"slices"
	"time"

	"sensorgateway/gateway/history/format"
	"sensorgateway/wire"
)

// Segment is a file of blocks.
type Segment struct {
	Name     string
	Number   uint64
	Size     int64
	Through  uint64        // newest page of the journal that is sealed by it
	Newest   format.Moment // of the record that was made last
	Chapters []*Chapter
}

// Chapter is one of a segment, and its place in the stream of its sensor.
type Chapter struct {
	*format.Chapter
	Segment *Segment
	Ordinal int64 // of its first block, counted per sensor; set by the index
	lost    []lostSpan
}

// lostSpan is the numbers from from to before to that cannot be read, counted from the
// chapter's first.
type lostSpan struct{ from, to uint32 }

// Lose notes that the numbers from first to last cannot be read, and returns how many
// of them were not noted before.
func (c *Chapter) Lose(first, last uint32) (n int) {
	x := lostSpan{first - c.First, last + 1 - c.First}
	n = int(x.to - x.from)
	c.lost = slices.DeleteFunc(c.lost, func(y lostSpan) bool {
		if y.to < x.from || x.to < y.from {
			return false
		}
		n -= int(min(x.to, y.to) - max(x.from, y.from))
		x = lostSpan{min(x.from, y.from), max(x.to, y.to)}
		return true
	})
	c.lost = append(c.lost, x)
	return n
}

// NewSegment returns what the index has of a segment.
func NewSegment(name string, number uint64, s *format.Segment) *Segment {
	g := &Segment{Name: name, Number: number, Size: s.Size, Through: s.Through, Newest: s.Newest, Chapters: make([]*Chapter, len(s.Chapters))}
	all := make([]Chapter, len(s.Chapters))
	for i, c := range s.Chapters {
		all[i] = Chapter{Chapter: c, Segment: g}
		g.Chapters[i] = &all[i]
	}
	return g
}

// Load adds a segment that was found on the disk, after all older ones.
func (s *Index) Load(g *Segment) {
	s.Segments = append(s.Segments, g)
	for _, c := range g.Chapters {
		t := s.Stream(c.Origin.Sensor)
		s.sawClock(c.Origin, c.From)
		t.saw(c.Origin.Epoch, c.Prev, c.Last)
		c.Ordinal = t.Ordinals
		t.Ordinals += int64(c.Blocks)
		t.Chapters = append(t.Chapters, c)
	}
	if g.Newest.Epoch != "" {
		s.Newest = g.Newest
	}
}

// Between returns how many numbers are between c and a later chapter of the sensor, if
// they are of the same epoch.
func (c *Chapter) Between(later *Chapter) int {
	if c.Origin.Epoch != later.Origin.Epoch || !wire.Before(c.Last, later.Prev) {
		return 0
	}
	return int(later.Prev - c.Last)
}

// Between returns how many numbers of the same epochs are between the records of g
// and those of later.
func (g *Segment) Between(later *Segment) (n int) {
	last := map[string]*Chapter{}
	for _, c := range g.Chapters {
		last[c.Origin.Sensor] = c
	}
	for _, c := range later.Chapters {
		name := c.Origin.Sensor
		if l := last[name]; l != nil {
			n += l.Between(c)
		}
		delete(last, name) // only the first of each sensor
	}
	return n
}

// SameAs returns whether two segments have the same records.
func (g *Segment) SameAs(x *Segment) bool {
	return g.Through == x.Through && g.Size == x.Size && slices.EqualFunc(g.Chapters, x.Chapters, func(a, b *Chapter) bool {
		return a.Origin == b.Origin && a.Prev == b.Prev && a.First == b.First && a.Last == b.Last && a.From == b.From && a.To == b.To
	})
}

// Seal replaces the blocks that a segment was made of by the segment.
func (s *Index) Seal(g *Segment, blocks []*Block) {
	s.Segments = append(s.Segments, g)
	ordinals := map[string][]int64{}
	sealed := map[*Block]bool{}
	for _, b := range blocks {
		ordinals[b.Origin.Sensor] = append(ordinals[b.Origin.Sensor], b.Ordinal)
		sealed[b] = true
	}
	for _, c := range g.Chapters {
		t := s.Stream(c.Origin.Sensor)
		c.Ordinal = ordinals[t.Name][0]
		ordinals[t.Name] = ordinals[t.Name][c.Blocks:]
		t.Chapters = append(t.Chapters, c)
	}
	for _, t := range s.Streams {
		t.Blocks = slices.DeleteFunc(t.Blocks, func(b *Block) bool {
			if sealed[b] {
				s.drop(b)
			}
			return sealed[b]
		})
	}
}

// Evict removes a segment from the index.
func (s *Index) Evict(g *Segment) {
	s.Segments = slices.DeleteFunc(s.Segments, func(x *Segment) bool { return x == g })
	for _, t := range s.Streams {
		t.Chapters = slices.DeleteFunc(slices.Clone(t.Chapters), func(c *Chapter) bool { // readers hold the old slice
			if c.Segment == g {
				t.Lose(c.Origin.Epoch, c.Last)
			}
			return c.Segment == g
		})
	}
}

// Span returns the times of the earliest and the latest record of a segment, without
// those whose clock is not known. known is false if there are no others.
func (s *Index) Span(g *Segment) (from, to int64, known bool) {
	for _, c := range g.Chapters {
		add, synced := s.Correction(c.Origin, c.From)
		if !synced {
			continue
		}
		if !known {
			from, to, known = c.From+add, c.To+add, true
		}
		from, to = min(from, c.From+add), max(to, c.To+add)
	}
	return from, to, known
}

// Now returns the time of the newest record in memory, and whether the clocks of
// the newest records of all sensors are known.
func (s *Index) Now() (now int64, known bool) {
	for _, t := range s.Streams {
		n := len(t.Blocks)
		if n == 0 {
			continue
		}
		b := t.Blocks[n-1]
		add, synced := s.Correction(b.Origin, b.Summary.From)
		if !synced {
			return 0, false
		}
		if to := b.Summary.To + add; !known || to > now {
			now, known = to, true
		}
	}
	return now, known
}

// Recorded returns about how long the records of a segment took to be made.
func (g *Segment) Recorded() time.Duration {
	ms := map[string]int64{}
	most := int64(0)
	for _, c := range g.Chapters {
		ms[c.Origin.Sensor] += c.To - c.From
		most = max(most, ms[c.Origin.Sensor])
	}
	return time.Duration(most) * time.Millisecond
}

// Readings returns how many numbers a segment has.
func (g *Segment) Readings() (n int) {
	for _, c := range g.Chapters {
		n += int(c.Last-c.First) + 1
	}
	return n
}

// Through returns the newest page of the journal whose records are sealed.
func (s *Index) Through() (page uint64) {
	for _, g := range s.Segments {
		page = max(page, g.Through)
	}
	return page
}

// Prepend adds the records of an older index before those of s, whose ordinals are
// higher.
func (s *Index) Prepend(older *Index) {
	for name, o := range older.Streams {
		t := s.Stream(name)
		t.Chapters = o.Chapters
		t.Blocks = append(slices.Clone(o.Blocks), t.Blocks...)
		switch {
		case t.Epoch == "":
			blocks, chapters, ordinals := t.Blocks, t.Chapters, max(t.Ordinals, o.Ordinals)
			*t = *o
			t.Blocks, t.Chapters, t.Ordinals = blocks, chapters, ordinals
		case t.Epoch == o.Epoch && o.Any && len(t.Blocks) > len(o.Blocks) && t.Blocks[len(o.Blocks)].Prev == o.Last:
			t.Lost = o.Lost // nothing was lost between
		}
	}
	s.Segments = older.Segments
	for boot, c := range older.clocks {
		for _, x := range s.clocks[boot] {
			c = c.add(x)
		}
		s.clocks[boot] = c
	}
	s.Memory += older.Memory
	if s.Newest.Epoch == "" {
		s.Newest = older.Newest
	}
}
