package history

import (
	"context"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/wire"
)

// A directory is read while the log writes it.
func TestReader(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir, Sensors: []string{"b", "a"}, pages: 64})
	m := newMaker(2)
	l.Begin("epoch", m.next)
	now := time.Unix(1, 0)
	for range 100 {
		for range 10 {
			l.Append(m.tick(), m.offset)
			l.write()
		}
		now = now.Add(time.Second)
		l.maintain(now)
	}
	r, err := OpenReader(dir, noDamage(t))
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Sensors(); len(s) != 2 || s[0] != "a" || s[1] != "b" {
		t.Fatalf("sensors %q", s)
	}
	want := m.of(1) // "a"
	for i := range want {
		want[i].Sensor = 0
	}
	same(t, all(t, r.Between("a", 0, math.MaxInt64)), want)
	first := m.ticks[0][0].UnixMilli
	same(t, all(t, r.Between("a", first+5000, first+5100)), want[50:51])
	got, live := allBuckets(t, r.Buckets("b", 0, m.at, 7000)), allBuckets(t, l.Buckets(0, 0, m.at, 7000))
	if len(got) != len(live) || len(got) < 14 {
		t.Fatalf("%d buckets, the log itself has %d", len(got), len(live))
	}
	for i := range got {
		if got[i] != live[i] {
			t.Errorf("bucket %d is %+v, want %+v", i, got[i], live[i])
		}
	}
	if _, err := r.Between("c", 0, 1)(); err != io.EOF {
		t.Error(err)
	}
	if _, err := r.Buckets("c", 0, 1, 1)(); err != io.EOF {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := OpenReader(dir+"/missing", noDamage(t)); err == nil {
		t.Error("a directory that is missing can be read")
	}
}

// Readers of every kind at once with appending, sealing and removing, for the
// race detector; each sees a stream without a doublet, and nothing that was not made.
func TestReadersBesideTheWriter(t *testing.T) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	r := newRig(t, d, m)
	r.o.MaxBytes = 70 << 10
	r.Begin("epoch", m.next)
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for i := range 3 {
		readers.Go(func() {
			next, last := r.Since(uint16(i%2), ^uint32(0)), int64(-1)
			between := r.Between(uint16(i%2), 0, math.MaxInt64)
			var at int64
			for ctx.Err() == nil {
				records, err := next()
				if err != nil && err != io.EOF {
					t.Error(err)
				}
				for _, x := range records {
					if int64(x.Seq) <= last {
						t.Errorf("%d comes after %d", x.Seq, last)
					}
					last = int64(x.Seq)
				}
				if records, _ = between(); len(records) > 0 && records[0].UnixMilli <= at {
					t.Errorf("%d comes after %d", records[0].UnixMilli, at)
				} else if len(records) > 0 {
					at = records[len(records)-1].UnixMilli
				}
				r.Buckets(0, 0, math.MaxInt64, 5000)()
				r.Kept(0, 7)
				r.Size()
				r.Durable()
			}
		})
	}
	for range 300 {
		r.second()
	}
	cancel()
	readers.Wait()
	same(t, all(t, r.Since(0, r.Kept(0, ^uint32(0))-1)), m.of(0)[r.Kept(0, ^uint32(0)):])
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// Ticks come while Run starts and after it has ended; Close keeps them all.
func TestNothingIsLostAroundRun(t *testing.T) {
	fs := disk.NewMemory()
	o := Options{FS: fs, Sensors: []string{"a"}, Boot: "boot"}
	l, m := open(t, o), newMaker(1)
	l.Begin("epoch", m.next)
	l.Append(m.tick(), 0)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.Run(ctx) }()
	for range 20 {
		l.Append(m.tick(), 0)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if l.Append(m.tick(), 0) {
		t.Error("written, although nobody writes")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	l.Append([]wire.Record{{Seq: 1000}}, 0)
	l = open(t, o)
	defer l.Close()
	same(t, all(t, l.Since(0, ^uint32(0))), m.of(0))
	if last, ok := l.Last(0); !ok || last != 21 {
		t.Errorf("last %d, %v", last, ok)
	}
}

// noDamage is what is called where all can be read.
func noDamage(t *testing.T) func(Damage) {
	return func(d Damage) { t.Errorf("lost: %+v", d) }
}

// What a reader of the directory leaves out is reported, once.
func TestReaderSaysWhatIsLeftOut(t *testing.T) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	w := newRig(t, d, m)
	w.Begin("epoch", m.next)
	for range 56 {
		w.second()
	}
	chapters, places := blocksOf(t, w.Log, "indoor")
	c, block := chapters[1], places[1][0]
	d.Names[c.Segment.Name].Now[block.At+50] ^= 1
	var reports []Damage
	r, err := openReader(d, func(x Damage) { reports = append(reports, x) })
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		all(t, r.Between("indoor", 0, m.at))
	}
	if len(reports) != 1 || reports[0].Readings != block.Summary.Count() || !strings.Contains(reports[0].Reason, c.Segment.Name) {
		t.Errorf("reported: %+v, want %d readings of %s", reports, block.Summary.Count(), c.Segment.Name)
	}
}

// What another process has evicted is left out without a word. If it was merged, it is
// reported once that it is left out, with the fix.
func TestReaderSaysWhatWasMerged(t *testing.T) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	w := newRig(t, d, m)
	w.Begin("epoch", m.next)
	for range 56 {
		w.second()
	}
	chapters, _ := blocksOf(t, w.Log, "indoor")
	for i, want := range []int{0, int(chapters[2].Last-chapters[2].First) + 1} { // of the oldest, and of one that is not
		var reports []Damage
		r, err := openReader(d, func(x Damage) { reports = append(reports, x) })
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Remove(chapters[2*i].Segment.Name); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			all(t, r.Between("indoor", 0, m.at))
		}
		n := 0
		for _, x := range reports {
			n += x.Readings
		}
		if n != want || want > 0 && (len(reports) != 1 || !strings.Contains(reports[0].Reason, "fix: read again")) {
			t.Errorf("reported: %+v, want %d readings", reports, want)
		}
	}
}
