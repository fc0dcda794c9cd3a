package history

import (
	"sensorgateway/gateway/history/format"
)

// segment is a file of the log.
type segment struct {
	name     string
	number   uint64
	size     int64
	through  uint64        // newest page of the journal that is sealed by it
	newest   format.Moment // of the record that was made last
	chapters []*chapter
}

// chapter is one of a segment, and its place in the stream of its sensor.
type chapter struct {
	*format.Chapter
	segment *segment
	ordinal int64 // of its first block, counted per sensor; set by the store
}

func newSegment(name string, number uint64, s *format.Segment) *segment {
	g := &segment{name: name, number: number, size: s.Size, through: s.Through, newest: s.Newest}
	for _, c := range s.Chapters {
		g.chapters = append(g.chapters, &chapter{Chapter: c, segment: g})
	}
	return g
}
