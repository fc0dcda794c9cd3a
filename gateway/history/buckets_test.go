package history

import (
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"testing"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/wire"
)

// bucketsOf sums up the plain way.
func bucketsOf(records []wire.Record, from, to, step int64) (want []wire.Bucket) {
	in := map[int64][]wire.Record{}
	for _, r := range records {
		if from <= r.UnixMilli && r.UnixMilli < to {
			in[r.UnixMilli-r.UnixMilli%step] = append(in[r.UnixMilli-r.UnixMilli%step], r)
		}
	}
	for _, at := range slices.Sorted(maps.Keys(in)) {
		b := wire.Bucket{UnixMilli: at}
		var t, h []float32
		for _, r := range in[at] {
			if r.Fault != wire.Good {
				b.Failed, b.Fault = b.Failed+1, r.Fault
				continue
			}
			b.Count++
			t, h = append(t, r.Values[0]), append(h, r.Values[1])
		}
		if b.Count > 0 {
			b.Values[0], b.Values[1] = spanOf(t), spanOf(h)
		}
		want = append(want, b)
	}
	return want
}

func spanOf(values []float32) wire.Span {
	s, sum := wire.Span{Min: values[0], Max: values[0]}, 0.0
	for _, v := range values {
		s.Min, s.Max, sum = min(s.Min, v), max(s.Max, v), sum+float64(v)
	}
	s.Mean = float32(sum / float64(len(values)))
	return s
}

func allBuckets(t *testing.T, next func() ([]wire.Bucket, error)) (all []wire.Bucket) {
	t.Helper()
	for {
		b, err := next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
}

func TestBuckets(t *testing.T) {
	l := open(t, Options{FS: disk.NewMemory(), Sensors: []string{"a", "b"}})
	m := newMaker(2)
	l.Begin("epoch", m.next)
	for i := range 30_000 { // 50 minutes
		if i == 12_000 {
			m.at += 1e9 // days without
			l.maintain(l.maintainer.sealedAt)
			if err := l.seal(false); err != nil {
				t.Fatal(err)
			}
		}
		l.Append(m.tick(), m.offset)
	}
	first, last := m.ticks[0][0].UnixMilli, m.at
	for _, tt := range []struct{ from, to, step int64 }{
		{first, last + 1, 60_000}, {first, last, 600_000}, {first + 333_333, last - 333_333, 7_000},
		{first + 5, first + 20_005, 100}, {first + 1_234_567, first + 2_345_678, 60_000}, {first - 1e9, last + 1e9, 1e8}, {0, math.MaxInt64, 1 << 40}, {math.MinInt64, math.MaxInt64, math.MaxInt64},
		{last, last + 1000, 10}, {first, first, 10}, {first, first + 1, 0}, {first + 2e6, first + 5e8, 3000},
	} {
		got := allBuckets(t, l.Buckets(1, tt.from, tt.to, tt.step))
		var want []wire.Bucket
		if tt.step > 0 {
			want = bucketsOf(m.of(1), tt.from, tt.to, tt.step)
		}
		if len(got) != len(want) {
			t.Errorf("%+v: %d buckets, want %d", tt, len(got), len(want))
			continue
		}
		for i := range got {
			g, w := got[i], want[i]
			if math.Abs(float64(g.Values[0].Mean-w.Values[0].Mean)) > 1e-5 || math.Abs(float64(g.Values[1].Mean-w.Values[1].Mean)) > 1e-5 {
				t.Errorf("%+v: mean %v %v, want %v %v", tt, g.Values[0].Mean, g.Values[1].Mean, w.Values[0].Mean, w.Values[1].Mean)
			}
			g.Values[0].Mean, g.Values[1].Mean = w.Values[0].Mean, w.Values[1].Mean
			if g != w {
				t.Fatalf("%+v: bucket %d is %+v, want %+v", tt, i, g, w)
			}
		}
	}
}

// A sensor of one quantity keeps the NaN of the other, bit by bit, and its
// measurements are good.
func TestOneQuantity(t *testing.T) {
	l := open(t, Options{FS: disk.NewMemory(), Sensors: []string{"a", "b"}})
	m := newMaker(2)
	l.Begin("epoch", m.next)
	bits := func(r wire.Record) string { return string(r.Append(nil)) }
	want := map[string]bool{}
	for i := range 20_000 {
		if i == 10_000 { // the first half is packed in blocks, the rest is not
			l.maintain(l.maintainer.sealedAt)
			if err := l.seal(false); err != nil {
				t.Fatal(err)
			}
		}
		tick := m.tick()
		for i := range tick {
			if r := &tick[i]; r.Fault == wire.Good && r.Sensor == 1 {
				r.Values[1] = wire.NotMeasured()
			}
			r := tick[i]
			r.Flags |= wire.Historical
			want[bits(r)] = true
		}
		l.Append(tick, m.offset)
	}
	n := 0
	for next := l.Between(1, math.MinInt64, math.MaxInt64); ; {
		records, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			r.Flags |= wire.Historical
			if n++; !want[bits(r)] {
				t.Fatalf("%+v was not appended", r)
			}
		}
	}
	if n != len(m.of(1)) {
		t.Errorf("%d records, want %d", n, len(m.of(1)))
	}
	good, failed := 0, 0
	for _, b := range allBuckets(t, l.Buckets(1, math.MinInt64, math.MaxInt64, 60_000)) {
		good, failed = good+int(b.Count), failed+int(b.Failed)
		if v := b.Values; b.Count > 0 && (!(v[0].Min <= v[0].Mean && v[0].Mean <= v[0].Max) || v[1].Mean == v[1].Mean || v[1].Min == v[1].Min) {
			t.Fatalf("bucket %+v", b)
		}
	}
	wantGood := 0
	for _, r := range m.of(1) {
		if r.Fault == wire.Good {
			wantGood++
		}
	}
	if good != wantGood || failed != n-wantGood {
		t.Errorf("%d good and %d failed, want %d and %d", good, failed, wantGood, n-wantGood)
	}
}
