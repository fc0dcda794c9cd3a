package history

// segment is a file of the log.
type segment struct {
	name     string
	number   uint64
	size     int64
	through  uint64 // newest page of the journal that is sealed by it
	newest   moment // of the record that was made last
	chapters []*chapter
}

// chapter is one of a segment, and its place in the stream of its sensor.
type chapter struct {
	*fileChapter
	segment *segment
	ordinal int64 // of its first block, counted per sensor; set by the store
}

func newSegment(name string, number uint64, s *fileSegment) *segment {
	g := &segment{name: name, number: number, size: s.size, through: s.through, newest: s.newest}
	for _, c := range s.chapters {
		g.chapters = append(g.chapters, &chapter{fileChapter: c, segment: g})
	}
	return g
}
