package index

import (
	"cmp"
	"slices"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

// What comes from elsewhere may come in any order, and is read in the order of its numbers.

// AddPacked adds a block that is complete.
func (s *Index) AddPacked(o codec.Origin, prev uint32, sum codec.Summary, packed []byte) {
	t := s.Stream(o.Sensor)
	t.Blocks = append(t.Blocks, &Block{Origin: o, Prev: prev, Summary: sum, Ordinal: t.Ordinals, Closed: true, Packed: packed})
	t.Ordinals++
	s.Memory += len(packed)
	s.sawClock(o, sum.From)
	t.saw(o.Epoch, prev, sum.Last)
}

// Follows returns whether a block comes after all that there is of its sensor.
func (s *Index) Follows(o codec.Origin, first uint32) bool {
	t := s.Streams[o.Sensor]
	if t == nil || t.Epoch == o.Epoch {
		return t == nil || wire.Before(t.Last, first)
	}
	return !slices.Contains(t.epochs(), o.Epoch)
}

// Sort puts all records of each sensor in the order of their numbers, epoch after epoch,
// in the order in which these began to come.
func (s *Index) Sort() {
	for _, t := range s.Streams {
		rank := map[string]int{}
		for i, epoch := range t.epochs() {
			rank[epoch] = i
		}
		all := t.pieces()
		slices.SortStableFunc(all, func(a, b piece) int {
			switch {
			case a.epoch != b.epoch:
				return rank[a.epoch] - rank[b.epoch]
			case wire.Before(a.first, b.first):
				return -1
			case wire.Before(b.first, a.first):
				return 1
			}
			return 0
		})
		t.Ordinals = 0
		for _, p := range all {
			*p.ordinal = t.Ordinals
			t.Ordinals += int64(p.blocks)
			t.Epoch, t.Last = p.epoch, p.last
		}
		slices.SortFunc(t.Chapters, func(a, b *Chapter) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
		slices.SortFunc(t.Blocks, func(a, b *Block) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
	}
}

// Epochs returns the epochs of a sensor's records, in their order.
func (s *Index) Epochs(name string) []string {
	if t := s.Streams[name]; t != nil {
		return t.epochs()
	}
	return nil
}

// epochs returns the epochs of the records, in the order in which each came first.
func (t *Stream) epochs() (all []string) {
	for _, p := range t.pieces() {
		if n := len(all); (n == 0 || all[n-1] != p.epoch) && !slices.Contains(all, p.epoch) {
			all = append(all, p.epoch)
		}
	}
	return all
}

// piece is a chapter, or a block in memory.
type piece struct {
	epoch       string
	first, last uint32
	blocks      int
	ordinal     *int64
}

// pieces returns the chapters and the blocks in memory, in their order.
func (t *Stream) pieces() (all []piece) {
	for _, c := range t.Chapters {
		all = append(all, piece{c.Origin.Epoch, c.First, c.Last, c.Blocks, &c.Ordinal})
	}
	for _, b := range t.Blocks {
		all = append(all, piece{b.Origin.Epoch, b.Summary.First, b.Summary.Last, 1, &b.Ordinal})
	}
	slices.SortStableFunc(all, func(a, b piece) int { return cmp.Compare(*a.ordinal, *b.ordinal) })
	return all
}
