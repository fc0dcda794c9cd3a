package collect

import (
	"errors"
	"hash/fnv"
	"io"
	"slices"
	"time"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/index"
	"sensorgateway/gateway/history/query"
	"sensorgateway/gateway/history/recovery"
	"sensorgateway/gateway/history/values"
	"sensorgateway/wire"
)

// idle is how long a log that nobody reads stays indexed.
const idle = 5 * time.Minute

// view is a log's index, with the blocks of the intake in memory. It only grows at its
// end: with any other change another takes its place, and whoever reads continues there.
type view struct{ index *index.Index }

// look returns the present view, and makes it if there is none.
func (l *log) look() (*view, error) {
	if v := l.present(); v != nil {
		return v, nil
	}
	l.order.Lock()
	defer l.order.Unlock()
	if v := l.present(); v != nil {
		return v, nil
	}
	if err := l.load(); err != nil {
		return nil, err
	}
	found, err := l.read(recovery.Options{Log: l.c.o.Log.With("dir", l.dir.at), ReadOnly: true})
	if err != nil {
		return nil, err
	}
	blocks, err := l.c.intake.load(l.pending)
	if err != nil {
		return nil, err
	}
	for _, raw := range blocks {
		b, _, err := codec.ParseBlock(raw)
		if err != nil {
			return nil, err
		}
		found.Index.AddPacked(b.Origin, b.Prev, b.Summary, raw)
	}
	found.Index.Sort()
	v := &view{found.Index}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.view, l.used = v, time.Now()
	return v, nil
}

func (l *log) present() *view {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used = time.Now()
	return l.view
}

// see adds a block to the view. l.mu is held.
func (l *log) see(b codec.Block, raw []byte) {
	switch {
	case l.view == nil:
	case l.view.index.Follows(b.Origin, b.Summary.First):
		l.view.index.AddPacked(b.Origin, b.Prev, b.Summary, slices.Clone(raw))
	default:
		l.view = nil
	}
}

// rest drops the view if nobody has read for long.
func (l *log) rest(now time.Time) {
	l.order.Lock()
	defer l.order.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.used) >= idle {
		l.view = nil
	}
}

// source returns what reads a view.
func (l *log) source(v *view) query.Source {
	return query.Source{
		Lock:  func() func() { l.mu.Lock(); return l.mu.Unlock },
		Index: func() *index.Index { return v.index },
		FS:    l.dir, Log: l.c.o.Log.With("dir", l.dir.at),
		Removed: func(*index.Chapter) {}, // it was evicted
		Values: func(name, epoch string) values.Span {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.values.Of(name, epoch)
		},
		Lose: l.lose,
	}
}

// lose notes that the numbers from first to last of a chapter cannot be read.
func (l *log) lose(c *index.Chapter, first, last uint32, err error) {
	l.mu.Lock()
	n := c.Lose(first, last)
	if n > 0 {
		l.lost, l.why = l.lost+n, c.Segment.Name+" cannot be read: "+err.Error()
	}
	l.mu.Unlock()
	if n > 0 {
		l.c.o.Log.Warn("stored readings cannot be read", "dir", l.dir.at, "file", c.Segment.Name, "sensor", c.Origin.Sensor, "readings", n, "err", err)
	}
}

// Reader reads a gateway's log, also while it grows: what was appended is found at once.
// The number of a sensor is its place among the present ones.
type Reader struct {
	l       *log
	epoch   string
	sensors []string
}

// held returns what is there of a sensor's present epoch; nil: nothing. l.mu is held.
func (r *Reader) held(sensor uint16) *held {
	if int(sensor) >= len(r.sensors) {
		return nil
	}
	return r.l.there[stream{r.sensors[sensor], r.epoch}]
}

// Kept returns the lowest number of the present epoch beyond after from which on none
// is missing before the newest.
func (r *Reader) Kept(sensor uint16, after uint32) (from uint32) {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	from = after + 1
	if h := r.held(sensor); h != nil {
		for _, first := range []uint32{h.oldest, h.spans[len(h.spans)-1].first} {
			if before(from, first) {
				from = first
			}
		}
	}
	return from
}

// Oldest returns the oldest number of the present epoch.
func (r *Reader) Oldest(sensor uint16) (seq uint32, ok bool) {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	h := r.held(sensor)
	if h == nil {
		return 0, false
	}
	return h.oldest, !before(h.spans[len(h.spans)-1].last, h.oldest)
}

// Newest returns the newest number of the present epoch.
func (r *Reader) Newest(sensor uint16) (seq uint32, ok bool) {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	h := r.held(sensor)
	if h == nil {
		return 0, false
	}
	return h.spans[len(h.spans)-1].last, true
}

// Since reads the records of the present epoch with numbers after after, in order.
func (r *Reader) Since(sensor uint16, after uint32) (next func() ([]wire.Record, error)) {
	if int(sensor) >= len(r.sensors) {
		return end
	}
	var v *view
	var read func() ([]wire.Record, error)
	return func() ([]wire.Record, error) {
		for {
			present, err := r.l.look()
			if err != nil {
				return nil, err
			}
			if read == nil {
				v, read = present, r.l.source(present).Since(r.sensors[sensor], sensor, r.epoch, after)
			}
			batch, err := read()
			if len(batch) > 0 {
				after = batch[len(batch)-1].Seq
			}
			if !errors.Is(err, io.EOF) || v == present {
				return batch, err
			}
			read = nil // more may be in the present view
		}
	}
}

// Between reads the records of any epoch that were made from from to before to.
func (r *Reader) Between(sensor uint16, from, to int64) (next func() ([]wire.Record, error)) {
	return lazily(r, sensor, func(v *view, name string) (func() ([]wire.Record, error), error) {
		return r.l.source(v).Between(name, sensor, from, to), nil
	})
}

// Buckets summarises them in spans of step ms. Of what has not come they have what its
// gateway has summarised.
func (r *Reader) Buckets(sensor uint16, from, to, step int64) (next func() ([]wire.Bucket, error)) {
	return lazily(r, sensor, func(v *view, name string) (func() ([]wire.Bucket, error), error) {
		read := r.l.source(v).Buckets(name, from, to, step)
		if step <= 0 {
			return read, nil
		}
		more, err := r.l.buckets(v, name, from, to, step)
		return merged(read, more), err
	})
}

// lazily returns a next function that looks at the log with its first call, which may
// take a while.
func lazily[T any](r *Reader, sensor uint16, open func(*view, string) (func() ([]T, error), error)) func() ([]T, error) {
	var next func() ([]T, error)
	return func() ([]T, error) {
		if int(sensor) >= len(r.sensors) {
			return nil, io.EOF
		}
		if next == nil {
			v, err := r.l.look()
			if err != nil {
				return nil, err
			}
			if next, err = open(v, r.sensors[sensor]); err != nil {
				next = nil
				return nil, err
			}
		}
		return next()
	}
}

func end() ([]wire.Record, error) { return nil, io.EOF }

// Follow reads the records of any epoch that were made at from or later, epoch after
// epoch, in the order of their numbers. A mark is that of an epoch.
func (r *Reader) Follow(sensor uint16, from, mark int64, after uint32) (next func() (records []wire.Record, mark int64, err error)) {
	if int(sensor) >= len(r.sensors) {
		return func() ([]wire.Record, int64, error) { return nil, 0, io.EOF }
	}
	name := r.sensors[sensor]
	var v *view
	var read func() ([]wire.Record, error)
	var further []string // epochs after the one that is read
	return func() ([]wire.Record, int64, error) {
		for {
			present, err := r.l.look()
			if err != nil {
				return nil, mark, err
			}
			if read == nil {
				var epoch string
				if epoch, after, further = r.l.epochOf(present, name, mark, after); epoch == "" {
					return nil, mark, io.EOF
				}
				v, mark = present, markOf(epoch)
				read = r.l.source(v).Later(name, sensor, epoch, after, from)
			}
			batch, err := read()
			switch {
			case len(batch) > 0:
				after = batch[len(batch)-1].Seq
				return batch, mark, err
			case !errors.Is(err, io.EOF):
				return nil, mark, err
			case len(further) > 0:
				mark, after, read = markOf(further[0]), 0, nil
				after = r.l.beforeAll(name, further[0])
			case v != present:
				read = nil
			default:
				return nil, mark, err
			}
		}
	}
}

// epochOf returns the epoch of a mark, and those after it; if it is there no more, or
// the mark is 0, the oldest, which is read from its beginning.
func (l *log) epochOf(v *view, name string, mark int64, after uint32) (epoch string, from uint32, further []string) {
	l.mu.Lock()
	all := v.index.Epochs(name)
	l.mu.Unlock()
	if len(all) == 0 {
		return "", after, nil
	}
	if i := slices.IndexFunc(all, func(e string) bool { return markOf(e) == mark }); i >= 0 {
		return all[i], after, all[i+1:]
	}
	return all[0], l.beforeAll(name, all[0]), all[1:]
}

// beforeAll returns a number before all of a sensor's epoch.
func (l *log) beforeAll(name, epoch string) uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.there[stream{name, epoch}]; h != nil {
		return h.spans[0].first - 1
	}
	return 0
}

// markOf returns the mark of an epoch, above 0.
func markOf(epoch string) int64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, epoch)
	return int64(h.Sum64()>>1) | 1
}

// Durable returns nil: what is here is durable.
func (r *Reader) Durable() error { return nil }

// DurableAge returns 0.
func (r *Reader) DurableAge() time.Duration { return 0 }

// Lost returns how many stored readings were found to be lost, at least, and why the
// last ones are.
func (r *Reader) Lost() (reason string, readings int) {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	return r.l.why, r.l.lost
}
