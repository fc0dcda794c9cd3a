package history

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/index"
	"sensorgateway/gateway/history/journal"
	"sensorgateway/gateway/history/query"
	"sensorgateway/gateway/history/recovery"
	"sensorgateway/gateway/history/values"
	"sensorgateway/wire"
)

// Reader reads the directory of a [Log] as it was when it was opened, also while
// another process writes it. It changes nothing. Records that are damaged, or that
// the other process evicts or merges meanwhile, are left out.
type Reader struct {
	mu       sync.Mutex
	index    *index.Index
	values   values.Table
	unknown  error // why it is not known what the values are
	measured bool
	fs       FS
	sensors  []string
	damaged  func(Damage)
}

// OpenReader opens a directory. damaged is called when records that were found cannot be
// read, once for each. memory is where the log may have its newest page, see
// [Options]: without it the newest second may be missing.
func OpenReader(dir string, damaged func(Damage), memory ...string) (*Reader, error) {
	if _, err := os.ReadDir(dir); err != nil {
		return nil, err
	}
	return openReader(leftFS{disk.OS(dir), journal.ReadLeft(memory...)}, damaged)
}

func openReader(fs FS, damaged func(Damage)) (*Reader, error) {
	r, err := recovery.Read(recovery.Options{FS: fs, Log: slog.New(slog.DiscardHandler), ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("the directory of readings cannot be read: %w", err)
	}
	return &Reader{index: r.Index, values: r.Values, unknown: r.ValuesErr, fs: fs, sensors: slices.Sorted(maps.Keys(r.Index.Streams)), damaged: damaged}, nil
}

// Sensors returns the names of all sensors of which there are records, sorted. A
// record's sensor number is an index to it.
func (r *Reader) Sensors() []string { return slices.Clone(r.sensors) }

// Sensor returns what a sensor's newest values are. ok is false if the log's gateway
// did not say so, or if that cannot be read, for which err is the reason.
func (r *Reader) Sensor(name string) (s wire.SensorInfo, ok bool, err error) {
	e, ok := r.values.Newest(name)
	return e.Info(), ok, r.unknown
}

// Entries returns what the values of a sensor were, each entry with the number of its
// epoch from which on it holds.
func (r *Reader) Entries(name string) []values.Entry { return r.values.All(name) }

// Measured makes the reader return values as they were measured, without corrections.
func (r *Reader) Measured() { r.measured = true }

// Between is [Log.Between] for a sensor by its name.
func (r *Reader) Between(sensor string, from, to int64) (next func() ([]wire.Record, error)) {
	i, ok := slices.BinarySearch(r.sensors, sensor)
	if !ok {
		return end
	}
	return r.source().Between(sensor, uint16(i), from, to)
}

// Buckets is [Log.Buckets] for a sensor by its name.
func (r *Reader) Buckets(sensor string, from, to, step int64) (next func() ([]wire.Bucket, error)) {
	return r.source().Buckets(sensor, from, to, step)
}

func (r *Reader) source() query.Source {
	return query.Source{
		Lock:  func() func() { r.mu.Lock(); return r.mu.Unlock },
		Index: func() *index.Index { return r.index },
		FS:    r.fs, Log: slog.New(slog.DiscardHandler),
		Values: func(name, epoch string) values.Span {
			if r.measured {
				return nil
			}
			return r.values.Of(name, epoch)
		},
		Removed: func(c *index.Chapter) { r.unreadable(c, c.First, c.Last, recovery.Merged(r.fs, c.Segment.Name)) },
		Lose:    r.unreadable,
	}
}

// unreadable reports that the numbers from first to last of a chapter cannot be read, if there is an error.
func (r *Reader) unreadable(c *index.Chapter, first, last uint32, err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	n := c.Lose(first, last)
	r.mu.Unlock()
	if n > 0 {
		r.damaged(Damage{Reason: fmt.Sprintf("%s cannot be read: %v", c.Segment.Name, err), Readings: n})
	}
}
