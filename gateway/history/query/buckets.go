package query

import (
	"cmp"
	"io"
	"math"
	"slices"
	"time"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/values"
	"sensorgateway/wire"
)

// Buckets are returned in batches of so many, or of so long a time, whichever is
// more.
const (
	batchBuckets = 512
	batchTime    = int64(5 * time.Minute / time.Millisecond)
)

// Buckets summarises the records of any epoch that were made at from or later and
// before to, Unix milliseconds, in spans of step ms.
func (l Source) Buckets(name string, from, to, step int64) func() ([]wire.Bucket, error) {
	if step <= 0 {
		return func() ([]wire.Bucket, error) { return nil, io.EOF }
	}
	at := from
	g := aggregator{Source: l, name: name, step: step}
	return func() ([]wire.Bucket, error) {
		for {
			begin, ok := g.earliest(at, to)
			if !ok {
				return nil, io.EOF
			}
			first := at
			begin, at = floor(begin, step), to
			if window := max(min(step, math.MaxInt64/batchBuckets)*batchBuckets, floor(batchTime, step)); window < at-begin {
				at = begin + window
			}
			if b := g.aggregate(max(begin, first), at); len(b) > 0 {
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

// aggregator summarises the records of a sensor.
type aggregator struct {
	Source
	name         string
	step         int64
	accumulators map[int64]*accumulator
	out          []wire.Bucket
}

// accumulator is a bucket that is being filled.
type accumulator struct {
	good, failed uint32
	fault        wire.Fault
	values       [2]codec.Stat
}

// earliest returns the first time, at from or later and before to, of which there can
// be records.
func (g *aggregator) earliest(from, to int64) (at int64, ok bool) {
	defer g.Lock()()
	s := g.Index()
	t := s.Streams[g.name]
	if t == nil {
		return 0, false
	}
	at = to
	consider := func(o codec.Origin, begin, end int64) {
		add, _ := s.Correction(o, begin)
		if begin, end = max(begin+add, from), end+add; end >= from && begin < at {
			at = begin
		}
	}
	for _, c := range t.Chapters {
		consider(c.Origin, c.From, c.To)
	}
	for _, b := range t.Blocks {
		consider(b.Origin, b.Summary.From, b.Summary.To)
	}
	return at, at < to
}

// aggregate returns the buckets of the time at from or later and before to. A block
// that is within one bucket is not read: its summary suffices.
func (g *aggregator) aggregate(from, to int64) []wire.Bucket {
	g.accumulators = map[int64]*accumulator{}
	r := &reader{Source: g.Source, name: g.name,
		wants: func(_ codec.Origin, s span) bool { return s.from < to && s.to >= from }}
	epochs := map[string]values.Span{} // to ask once for many blocks
	for p := r.next(); p != nil; p = r.next() {
		s := p.span()
		corrections, known := epochs[p.origin.Epoch]
		if !known {
			corrections = g.Values(g.name, p.origin.Epoch)
			epochs[p.origin.Epoch] = corrections
		}
		summary, alike := corrections.ApplyTo(p.summary)
		if alike && s.from >= from && s.to < to && floor(s.from, g.step) == floor(s.to, g.step) {
			g.accumulator(s.from).addSummary(summary)
			r.moveTo(r.ordinal + 1)
			continue
		}
		records, err := r.records(p)
		if err != nil {
			continue // its records are missing now
		}
		for _, x := range records {
			if from <= x.UnixMilli && x.UnixMilli < to {
				g.accumulator(x.UnixMilli).add(x)
			}
		}
	}
	g.out = g.out[:0]
	for at, s := range g.accumulators {
		g.out = append(g.out, s.bucket(at))
	}
	slices.SortStableFunc(g.out, func(a, b wire.Bucket) int { return cmp.Compare(a.UnixMilli, b.UnixMilli) })
	return g.out
}

func (g *aggregator) accumulator(at int64) *accumulator {
	at = floor(at, g.step)
	s := g.accumulators[at]
	if s == nil {
		s = &accumulator{}
		g.accumulators[at] = s
	}
	return s
}

func (s *accumulator) add(r wire.Record) {
	if f := codec.Cause(r); f != wire.Good {
		s.failed, s.fault = s.failed+1, f
		return
	}
	for i, v := range r.Values {
		s.values[i].Add(v, s.good == 0)
	}
	s.good++
}

func (s *accumulator) addSummary(x codec.Summary) {
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

func (s *accumulator) bucket(at int64) wire.Bucket {
	b := wire.Bucket{UnixMilli: at, Count: s.good, Failed: s.failed, Fault: s.fault}
	if s.good > 0 {
		for i, v := range s.values {
			b.Values[i] = wire.Span{Min: v.Min, Mean: float32(v.Sum / float64(s.good)), Max: v.Max}
		}
	}
	return b
}
