package recovery

import (
	"cmp"
	"slices"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/index"
	"sensorgateway/wire"
)

// Double is a segment whose blocks are all in another one, which was made of it. It is
// about to be removed, or a crash has prevented that.
type Double struct {
	disk.Info
	In string // the other one
}

// dropDoubles leaves out the segments whose blocks are all in others. Only those of
// package collect are merged: a log that has a journal says which page of it each has.
func (r *recovery) dropDoubles() {
	doubles, known := map[*index.Segment]string{}, map[*index.Segment]map[block]bool{}
	for _, pair := range r.overlapping() {
		one, other := pair[0], pair[1]
		if one.Number > other.Number { // of two with the same blocks the first stays
			one, other = other, one
		}
		for _, x := range [][2]*index.Segment{{one, other}, {other, one}} {
			if _, gone := doubles[x[0]]; !gone && r.covers(known, x[0], x[1]) {
				doubles[x[1]] = x[0].Name
				break
			}
		}
	}
	r.segments = slices.DeleteFunc(r.segments, func(s placed) bool {
		in, double := doubles[s.Segment]
		if double {
			r.Doubles = append(r.Doubles, Double{disk.Info{Name: s.Name, Size: s.Size}, in})
			r.NextSegment = max(r.NextSegment, s.Number+1)
		}
		return double
	})
}

// overlapping returns pairs of segments that have the same numbers of a sensor's epoch.
func (r *recovery) overlapping() (pairs [][2]*index.Segment) {
	all := map[sensorEpoch][]*index.Chapter{}
	for _, s := range r.segments {
		if s.Through > 0 || s.damaged {
			continue
		}
		for _, c := range s.Chapters {
			k := sensorEpoch{c.Origin.Sensor, c.Origin.Epoch}
			all[k] = append(all[k], c)
		}
	}
	seen := map[[2]*index.Segment]bool{}
	for _, chapters := range all {
		slices.SortStableFunc(chapters, func(a, b *index.Chapter) int {
			return cmp.Or(order(a.First, b.First), order(b.Last, a.Last), cmp.Compare(a.Segment.Number, b.Segment.Number))
		})
		furthest := chapters[0]
		for _, c := range chapters[1:] {
			if pair := [2]*index.Segment{furthest.Segment, c.Segment}; !wire.Before(furthest.Last, c.First) && pair[0] != pair[1] && !seen[pair] {
				seen[pair] = true
				pairs = append(pairs, pair)
			}
			if wire.Before(furthest.Last, c.Last) {
				furthest = c
			}
		}
	}
	return pairs
}

// order orders numbers of an epoch.
func order(a, b uint32) int {
	switch {
	case wire.Before(a, b):
		return -1
	case wire.Before(b, a):
		return 1
	}
	return 0
}

// block is what one of a sensor's epoch is known by.
type block struct {
	sensorEpoch
	first, last, good, failed uint32
	from, to                  int64
	length                    int
}

// covers returns whether all blocks of a segment are in another one. known has the
// blocks of the segments that were asked for before.
func (r *recovery) covers(known map[*index.Segment]map[block]bool, large, small *index.Segment) bool {
	there := known[large]
	if there == nil {
		there = map[block]bool{}
		if !r.eachBlock(large, func(b block) bool { there[b] = true; return true }) {
			clear(there) // what cannot be read in full covers nothing
		}
		known[large] = there
	}
	return len(small.Chapters) > 0 && r.eachBlock(small, func(b block) bool { return there[b] })
}

// eachBlock calls is with the blocks of a segment, and returns whether all blocks could
// be read and it returned true for all of them.
func (r *recovery) eachBlock(s *index.Segment, is func(block) bool) bool {
	f, err := disk.Retry(func() (disk.File, error) { return r.FS.Open(s.Name, false) })
	if err != nil {
		return false
	}
	defer f.Close()
	for _, c := range s.Chapters {
		places, err := c.Places(f)
		if err != nil {
			return false
		}
		for _, p := range places {
			if !is(block{sensorEpoch{c.Origin.Sensor, c.Origin.Epoch}, p.First, p.Last, uint32(p.Good), uint32(p.Failed), p.From, p.To, p.Length}) {
				return false
			}
		}
	}
	return true
}
