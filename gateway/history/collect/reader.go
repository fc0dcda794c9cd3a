package collect

import (
	"errors"
	"hash/fnv"
	"io"
	"math"
	"slices"
	"time"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/collect/buckets"
	"sensorgateway/gateway/history/index"
	"sensorgateway/gateway/history/query"
	"sensorgateway/gateway/history/recovery"
	"sensorgateway/gateway/history/values"
	"sensorgateway/wire"
)

// idle is how long a log that nobody reads stays indexed.
const idle = 5 * time.Minute

// view is a log's index, with the blocks of the intake in memory. It only grows at its
// end. With any other change a new view replaces it, in which readers go on.
type view struct{ index *index.Index }

// indexed returns the present view, and makes it if there is none.
func (l *log) indexed() (*view, error) {
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
	err = l.blocks(len(l.pending), func(b codec.Block, raw []byte) error {
		found.Index.AddPacked(b.Origin, b.Prev, b.Summary, raw)
		return nil
	})
	if err != nil {
		return nil, err
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

// source returns the source of a reader of a view. moved becomes true if the files have changed
// because the view is not the present one any more: what was read then is to be read again.
func (l *log) source(v *view, moved *bool) query.Source {
	old := func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		*moved = *moved || l.view != v
		return *moved
	}
	return query.Source{
		Lock:  func() func() { l.mu.Lock(); return l.mu.Unlock },
		Index: func() *index.Index { return v.index },
		FS:    l.dir, Log: l.c.o.Log.With("dir", l.dir.at),
		Removed: func(*index.Chapter) { old() }, // it was merged or evicted
		Values: func(name, epoch string) values.Span {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.values.Of(name, epoch)
		},
		Lose: func(c *index.Chapter, first, last uint32, err error) {
			if !old() {
				l.lose(c, first, last, err)
			}
		},
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
		for _, first := range []uint32{h.oldest, h.Spans[len(h.Spans)-1].First} {
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
	return h.oldest, !before(h.Spans[len(h.Spans)-1].Last, h.oldest)
}

// Newest returns the newest number of the present epoch.
func (r *Reader) Newest(sensor uint16) (seq uint32, ok bool) {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	h := r.held(sensor)
	if h == nil {
		return 0, false
	}
	return h.Spans[len(h.Spans)-1].Last, true
}

// pass reads the records of a sensor's epoch with numbers after after that were made at
// from or later and before to, in order. When a new view has replaced the one that is
// read, it goes on there.
type pass struct {
	l        *log
	sensor   uint16
	name     string
	epoch    string
	after    uint32
	from, to int64

	view  *view
	read  func() ([]wire.Record, error) // nil: it begins anew
	moved bool
}

func (p *pass) next() ([]wire.Record, error) {
	for {
		present, err := p.l.indexed()
		if err != nil {
			return nil, err
		}
		if p.read == nil {
			p.view, p.moved = present, false
			p.read = p.l.source(present, &p.moved).Later(p.name, p.sensor, p.epoch, p.after, p.from, p.to)
		}
		batch, err := p.read()
		switch {
		case p.moved:
			p.read = nil
			continue
		case len(batch) > 0:
			p.after = batch[len(batch)-1].Seq
		case errors.Is(err, io.EOF) && p.view != present:
			p.read = nil // more may be in the present view
			continue
		}
		return batch, err
	}
}

// advance goes on to the next epoch, if there is one. The present view has been read to
// its end.
func (p *pass) advance() bool {
	p.l.mu.Lock()
	t := p.view.index.Streams[p.name]
	newest := t == nil || t.Epoch == p.epoch
	p.l.mu.Unlock()
	if newest {
		return false
	}
	epoch, after, further := p.l.epochOf(p.view, p.name, markOf(p.epoch), p.after)
	switch {
	case epoch == "" || epoch == p.epoch && len(further) == 0:
		return false
	case epoch == p.epoch:
		epoch, after = further[0], p.l.beforeAll(p.name, further[0])
	}
	p.epoch, p.after, p.read = epoch, after, nil
	return true
}

// Since reads the records of the present epoch with numbers after after, in order.
func (r *Reader) Since(sensor uint16, after uint32) (next func() ([]wire.Record, error)) {
	if int(sensor) >= len(r.sensors) {
		return end
	}
	p := &pass{l: r.l, sensor: sensor, name: r.sensors[sensor], epoch: r.epoch, after: after, from: math.MinInt64, to: math.MaxInt64}
	return p.next
}

// Between reads the records of any epoch that were made at from or later and before to.
func (r *Reader) Between(sensor uint16, from, to int64) (next func() ([]wire.Record, error)) {
	read := r.follow(sensor, from, to, 0, 0)
	return func() ([]wire.Record, error) {
		batch, _, err := read()
		return batch, err
	}
}

// Buckets summarises these in spans of step ms. For records that have not come, it uses
// the summaries that the gateway has sent.
func (r *Reader) Buckets(sensor uint16, from, to, step int64) (next func() ([]wire.Bucket, error)) {
	if int(sensor) >= len(r.sensors) || step <= 0 {
		return func() ([]wire.Bucket, error) { return nil, io.EOF }
	}
	name := r.sensors[sensor]
	var read func() ([]wire.Bucket, error)
	moved := false
	return func() ([]wire.Bucket, error) {
		for {
			if read == nil {
				v, err := r.l.indexed()
				if err != nil {
					return nil, err
				}
				more, err := r.l.buckets(v, name, from, to, step)
				if err != nil {
					return nil, err
				}
				moved = false
				read = buckets.Merged(r.l.source(v, &moved).Buckets(name, from, to, step), more)
			}
			batch, err := read()
			if moved {
				read = nil
				continue
			}
			if n := len(batch); n > 0 { // where it begins anew
				from = batch[n-1].UnixMilli + min(step, to-batch[n-1].UnixMilli)
			}
			return batch, err
		}
	}
}

func end() ([]wire.Record, error) { return nil, io.EOF }

// Follow reads the records of any epoch that were made at from or later, epoch after
// epoch, in the order of their numbers. A mark is that of an epoch.
func (r *Reader) Follow(sensor uint16, from, mark int64, after uint32) (next func() (records []wire.Record, mark int64, err error)) {
	return r.follow(sensor, from, math.MaxInt64, mark, after)
}

// follow is Follow, of what was made before to.
func (r *Reader) follow(sensor uint16, from, to, mark int64, after uint32) func() ([]wire.Record, int64, error) {
	if int(sensor) >= len(r.sensors) {
		return func() ([]wire.Record, int64, error) { return nil, 0, io.EOF }
	}
	p := &pass{l: r.l, sensor: sensor, name: r.sensors[sensor], after: after, from: from, to: to}
	return func() ([]wire.Record, int64, error) {
		for {
			if p.epoch == "" {
				v, err := r.l.indexed()
				if err != nil {
					return nil, mark, err
				}
				if p.epoch, p.after, _ = r.l.epochOf(v, p.name, mark, after); p.epoch == "" {
					return nil, mark, io.EOF
				}
				mark = markOf(p.epoch)
			}
			batch, err := p.next()
			if len(batch) > 0 || !errors.Is(err, io.EOF) || !p.advance() {
				return batch, mark, err
			}
			mark = markOf(p.epoch)
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
		return h.Spans[0].First - 1
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
