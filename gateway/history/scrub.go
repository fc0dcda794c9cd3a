package history

import (
	"context"
	"time"

	"sensorgateway/gateway/history/index"
)

// scrubRound is how long it takes to read all segments once. A card loses what
// nobody reads: it rewrites what it finds weak while it is read, and damage is
// known before somebody needs what it cost.
const scrubRound = 24 * time.Hour

// scrubber goes through the chapters of all segments, over and over.
type scrubber struct {
	*Log
	segment uint64 // of the chapter that was read last
	chapter int    // its index in it; -1 before the first
}

// scrubs reads a chapter now and then until ctx ends. It has a goroutine of its
// own, for a bad card may take its time to read: nobody waits for that.
func (l *Log) scrubs(ctx context.Context) {
	s := scrubber{Log: l, chapter: -1}
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
		s.segment, s.chapter = 0, -1 // from the oldest one on
	}
	return nil
}

// scrub reads the next chapter, so that what is damaged of it is told to the log
// and known to Kept.
func (s *scrubber) scrub(ctx context.Context) {
	c := s.next()
	if c == nil {
		return
	}
	f, err := s.fs.Open(c.Segment.Name, false)
	if err != nil {
		return // removed meanwhile, or the process is out of descriptors: no damage
	}
	if f, ok := f.(interface{ Uncache() }); ok {
		f.Uncache()
	}
	f.Close()
	r := &reader{library: s.library()}
	places, err := r.open(c)
	if err != nil {
		r.tell(c, err, c.Last)
	}
	for _, at := range places {
		if ctx.Err() != nil {
			return
		}
		_, _ = r.load(c, at) // which tells
	}
}
