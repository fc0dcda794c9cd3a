package history

import (
	"io"
	"maps"
	"slices"

	"sensorgateway/gateway/history/query"
)

// Names returns the names of all sensors of which there are records, sorted.
func (l *Log) Names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.index.Streams))
}

// Blocks returns the blocks of a sensor, oldest first, see [query.Source.Blocks]. None
// is returned before the directory has been read: what is in it comes first.
func (l *Log) Blocks(name string, wants func(epoch string, first, last uint32) bool) (next func() (query.Block, error)) {
	read := l.source().Blocks(name, wants)
	return func() (query.Block, error) {
		l.mu.Lock()
		unread := l.maintainer.unread
		l.mu.Unlock()
		if unread {
			return query.Block{}, io.EOF
		}
		return read()
	}
}
