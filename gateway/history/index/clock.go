package index

import (
	"cmp"
	"slices"

	"sensorgateway/gateway/history/codec"
)

const (
	offsetJitter = 1    // ms that an offset may be off by rounding
	heldMax      = 2000 // ms that times are held at most after the clock was stepped back
	clockMax     = 4096 // spans of a boot; beyond, the oldest are dropped
)

// clock is what is known of the system clock in a boot: its spans between changes, by
// the boot clock, oldest first. These changes do not affect the boot clock: so a wrong
// time is corrected by the difference of two offsets.
type clock []clockSpan

// clockSpan is a time in which the system clock had one offset, until the next one.
type clockSpan struct {
	from   int64 // by the boot clock, ms
	offset int64 // Unix time minus the boot clock, ms
	synced bool
}

func (s clockSpan) same(x clockSpan) bool {
	most := int64(offsetJitter)
	if s.synced {
		most = codec.OffsetStep
	}
	return s.synced == x.synced && apart(s.offset, x.offset) <= most
}

func apart(a, b int64) int64 { return max(a-b, b-a) }

// at returns the index of the first span after a time.
func (c clock) at(from int64) int {
	i, _ := slices.BinarySearchFunc(c, from, func(s clockSpan, from int64) int { return cmp.Compare(s.from, from+1) })
	return i
}

// add notes a span. They may come in any order: one sensor's before another's.
func (c clock) add(s clockSpan) clock {
	i := c.at(s.from)
	switch {
	case i > 0 && c[i-1].same(s):
		return c
	case i < len(c) && c[i].same(s):
		c[i].from = s.from
		return c
	}
	c = slices.Insert(c, i, s)
	return c[max(len(c)-clockMax, 0):]
}

// right returns the offset that the clock should have had in an unsynchronised span.
// Where that cannot be known, ok is false.
func (c clock) right(s clockSpan) (offset int64, ok bool) {
	i := c.at(s.from)
	var before, after *clockSpan // the nearest in which the clock was synchronised
	for n := i - 1; n >= 0 && before == nil; n-- {
		if c[n].synced {
			before = &c[n]
		}
	}
	for n := i; n < len(c) && after == nil; n++ {
		if c[n].synced {
			after = &c[n]
		}
	}
	switch {
	case before != nil && apart(before.offset, s.offset) <= codec.OffsetStep:
		return s.offset, true // the clock has not been stepped since
	case after == nil:
		return 0, false
	case before == nil: // it was set for the first time
		return after.offset, true
	case apart(after.offset, before.offset) <= codec.OffsetStep || apart(after.offset, s.offset) <= codec.OffsetStep:
		return after.offset, true
	case after.offset < s.offset && s.offset < before.offset && before.offset-after.offset <= heldMax:
		return after.offset, true // times were held until the clock, stepped back, had caught up
	}
	return 0, false
}

// sawClock notes the clock of records from a time on, Unix ms by that clock.
func (s *Index) sawClock(o codec.Origin, from int64) {
	s.clocks[o.Boot] = s.clocks[o.Boot].add(clockSpan{from - o.Offset, o.Offset, !o.Unsynced})
}

// Correction returns what to add to the times of a block or chapter whose first is
// from, and whether they are right then.
func (s *Index) Correction(o codec.Origin, from int64) (add int64, synced bool) {
	if !o.Unsynced {
		return 0, true
	}
	offset, ok := s.clocks[o.Boot].right(clockSpan{from: from - o.Offset, offset: o.Offset})
	if !ok {
		return 0, false
	}
	return offset - o.Offset, true
}
