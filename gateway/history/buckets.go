package history

import (
	"cmp"
	"io"
	"math"
	"slices"
	"time"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

// What is gathered before it is handed out: so many buckets or so long a time,
// whichever is more.
const (
	bucketsAtOnce = 512
	timeAtOnce    = int64(5 * time.Minute / time.Millisecond)
)

// Buckets sums up the records of any epoch from from to before to, Unix
// milliseconds, in spans of step ms that begin at multiples of it: the first one
// and the last may be of a part of their time. A bucket without records is left out.
func (l *Log) Buckets(sensor uint16, from, to, step int64) (next func() ([]wire.Bucket, error)) {
	if int(sensor) >= len(l.streams) {
		return noBuckets
	}
	return l.library().buckets(l.o.Sensors[sensor], from, to, step)
}

func noBuckets() ([]wire.Bucket, error) { return nil, io.EOF }

func (l library) buckets(name string, from, to, step int64) func() ([]wire.Bucket, error) {
	if step <= 0 {
		return noBuckets
	}
	at := from
	g := gatherer{library: l, name: name, step: step}
	return func() ([]wire.Bucket, error) {
		for {
			begin, ok := g.earliest(at, to)
			if !ok {
				return nil, io.EOF
			}
			first := at
			begin, at = floor(begin, step), to
			if window := max(min(step, math.MaxInt64/bucketsAtOnce)*bucketsAtOnce, floor(timeAtOnce, step)); window < at-begin {
				at = begin + window
			}
			if b := g.gather(max(begin, first), at); len(b) > 0 {
				return b, nil
			}
		}
	}
}

// floor rounds t down to a multiple of step.
func floor(t, step int64) int64 {
	r := t % step
	if r < 0 && t-r >= math.MinInt64+step {
		r += step
	}
	return t - r
}

// gatherer sums up the records of a sensor.
type gatherer struct {
	library
	name string
	step int64
	sums map[int64]*sum
	out  []wire.Bucket
}

// sum is a bucket that is being filled.
type sum struct {
	good, failed uint32
	fault        wire.Fault
	values       [2]codec.Stat
}

// earliest returns the time from from on, before to, before which there is nothing.
func (g *gatherer) earliest(from, to int64) (at int64, ok bool) {
	defer g.lock()()
	s := g.index()
	t := s.Streams[g.name]
	if t == nil {
		return 0, false
	}
	at = to
	see := func(o codec.Origin, begin, end int64) {
		add, _ := s.Correction(o)
		if begin, end = max(begin+add, from), end+add; end >= from && begin < at {
			at = begin
		}
	}
	for _, c := range t.Chapters {
		see(c.Origin, c.From, c.To)
	}
	for _, b := range t.Blocks {
		see(b.Origin, b.Summary.From, b.Summary.To)
	}
	return at, at < to
}

// gather returns the buckets from from to before to. A block that lies in one
// bucket is not read: its summary says all.
func (g *gatherer) gather(from, to int64) []wire.Bucket {
	g.sums = map[int64]*sum{}
	r := &reader{library: g.library, name: g.name,
		wants: func(_ codec.Origin, s span) bool { return s.from < to && s.to >= from }}
	for p := r.next(); p != nil; p = r.next() {
		s := p.span()
		if s.from >= from && s.to < to && floor(s.from, g.step) == floor(s.to, g.step) {
			g.sum(s.from).addSummary(p.summary)
			r.moveTo(r.ordinal + 1)
			continue
		}
		records, err := r.records(p)
		if err != nil {
			continue // it is a hole now
		}
		for _, x := range records {
			if from <= x.UnixMilli && x.UnixMilli < to {
				g.sum(x.UnixMilli).add(x)
			}
		}
	}
	g.out = g.out[:0]
	for at, s := range g.sums {
		g.out = append(g.out, s.bucket(at))
	}
	slices.SortFunc(g.out, func(a, b wire.Bucket) int { return cmp.Compare(a.UnixMilli, b.UnixMilli) })
	return g.out
}

func (g *gatherer) sum(at int64) *sum {
	at = floor(at, g.step)
	s := g.sums[at]
	if s == nil {
		s = &sum{}
		g.sums[at] = s
	}
	return s
}

func (s *sum) add(r wire.Record) {
	if f := codec.Cause(r); f != wire.Good {
		s.failed, s.fault = s.failed+1, f
		return
	}
	for i, v := range r.Values {
		s.values[i].Add(v, s.good == 0)
	}
	s.good++
}

func (s *sum) addSummary(x codec.Summary) {
	if x.Failed > 0 {
		s.failed, s.fault = s.failed+uint32(x.Failed), x.Fault
	}
	if x.Good > 0 {
		for i, v := range x.Values {
			s.values[i].Merge(v, s.good == 0)
		}
		s.good += uint32(x.Good)
	}
}

func (s *sum) bucket(at int64) wire.Bucket {
	b := wire.Bucket{UnixMilli: at, Count: s.good, Failed: s.failed, Fault: s.fault}
	if s.good > 0 {
		for i, v := range s.values {
			b.Values[i] = wire.Span{Min: v.Min, Mean: float32(v.Sum / float64(s.good)), Max: v.Max}
		}
	}
	return b
}
