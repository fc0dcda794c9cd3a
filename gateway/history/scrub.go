package history

import (
	"context"
	"math/rand/v2"
	"time"

	"sensorgateway/gateway/history/index"
)

// scrubRound is how long it takes to read all segments once. An SD card refreshes
// weak cells only when they are read; and damage is known before somebody asks for
// the readings.
const scrubRound = 24 * time.Hour

// scrubber reads the chapters of all segments, again and again. The first round begins
// anywhere: a machine that is off at night would else never come to the newest.
type scrubber struct {
	*Log
	begin   func(n int) int // with which of n segments; nil: it has begun, or begins with the oldest
	segment uint64          // of the chapter that was read last
	chapter int             // its index in it; -1 before the first
}

// runScrubber reads the chapters one by one until ctx ends. It has a goroutine of its
// own, since a read from a bad card can take seconds.
func (l *Log) runScrubber(ctx context.Context) {
	s := scrubber{Log: l, begin: rand.IntN, chapter: -1}
	for {
		pause := time.NewTimer(s.pause())
		select {
		case <-pause.C:
			s.scrub(ctx)
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}

// pause returns how long to wait before the next chapter, at most an hour.
func (s *scrubber) pause() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, g := range s.index.Segments {
		n += len(g.Chapters)
	}
	return min(scrubRound/time.Duration(max(n, 1)), time.Hour)
}

// next returns the next chapter, nil if there is none.
func (s *scrubber) next() *index.Chapter {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.index.Segments); s.begin != nil && n > 0 {
		s.segment, s.begin = s.index.Segments[s.begin(n)].Number, nil
	}
	for range 2 {
		for _, g := range s.index.Segments {
			i := 0
			if g.Number == s.segment {
				i = s.chapter + 1
			}
			if g.Number >= s.segment && i < len(g.Chapters) {
				s.segment, s.chapter = g.Number, i
				return g.Chapters[i]
			}
		}
		s.segment, s.chapter = 0, -1 // start again with the oldest
	}
	return nil
}

// scrub reads the next chapter, so that damage is logged, and Kept knows of it.
func (s *scrubber) scrub(ctx context.Context) {
	c := s.next()
	if c == nil {
		return
	}
	s.source().Check(ctx, c)
}
