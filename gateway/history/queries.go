package history

import (
	"io"

	"sensorgateway/gateway/history/index"
	"sensorgateway/gateway/history/query"
	"sensorgateway/gateway/history/values"
	"sensorgateway/wire"
)

// source returns what the readers of the log read.
func (l *Log) source() query.Source {
	return query.Source{
		Lock:  func() func() { l.mu.Lock(); return l.mu.Unlock },
		Index: func() *index.Index { return l.index },
		Values: func(name, epoch string) values.Span {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.values.Of(name, epoch)
		},
		FS: l.fs, Log: l.log, Removed: l.removed, Lose: l.unreadable,
	}
}

// Since returns the records of this epoch with numbers after after, in order. Those
// that are lost are skipped.
func (l *Log) Since(sensor uint16, after uint32) (next func() ([]wire.Record, error)) {
	if int(sensor) >= len(l.streams) {
		return end
	}
	l.mu.Lock()
	epoch := l.epoch()
	l.mu.Unlock()
	return l.source().Since(l.o.Sensors[sensor], sensor, epoch, after)
}

// Between returns the records of any epoch that were made at from or later and before
// to, Unix milliseconds, in the order in which they were made.
func (l *Log) Between(sensor uint16, from, to int64) (next func() ([]wire.Record, error)) {
	if int(sensor) >= len(l.streams) {
		return end
	}
	return l.source().Between(l.o.Sensors[sensor], sensor, from, to)
}

// Follow returns the records of any epoch that were made at from, Unix
// milliseconds, or later, in the order in which they were made, in batches, each
// with a mark. A later call with the mark of a batch and the number of a record in
// it continues after that record. Mark 0 is the beginning.
func (l *Log) Follow(sensor uint16, from, mark int64, after uint32) (next func() (records []wire.Record, at int64, err error)) {
	if int(sensor) >= len(l.streams) {
		return func() ([]wire.Record, int64, error) { return nil, 0, io.EOF }
	}
	return l.source().Follow(l.o.Sensors[sensor], sensor, from, mark, after)
}

// Buckets summarises the records of any epoch that were made at from or later and
// before to, Unix milliseconds, in spans of step ms that begin at multiples of step.
// The first and the last span may be cut off. A bucket without records is left out.
func (l *Log) Buckets(sensor uint16, from, to, step int64) (next func() ([]wire.Bucket, error)) {
	if int(sensor) >= len(l.streams) {
		return noBuckets
	}
	return l.source().Buckets(l.o.Sensors[sensor], from, to, step)
}

// end and noBuckets are next functions without anything.
func end() ([]wire.Record, error)       { return nil, io.EOF }
func noBuckets() ([]wire.Bucket, error) { return nil, io.EOF }
