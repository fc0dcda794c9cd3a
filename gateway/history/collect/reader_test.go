package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sensorgateway/gateway/history"
	"sensorgateway/wire"
)

// drain returns what a reader has now.
func drain[T any](t *testing.T, next func() ([]T, error)) (all []T) {
	t.Helper()
	for {
		batch, err := next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, batch...)
	}
}

// same holds that records are a device's, each once and in order.
func same(t *testing.T, what string, got, want []wire.Record) {
	t.Helper()
	bits := func(all []wire.Record) (b []byte) {
		for _, r := range all {
			r.Sensor, r.Flags = 0, r.Flags&^wire.Historical
			b = r.Append(b)
		}
		return b
	}
	if len(got) != len(want) || !slices.Equal(bits(got), bits(want)) {
		t.Errorf("%s: %d records, which are not the device's %d", what, len(got), len(want))
	}
}

func reader(t *testing.T, c *Collection, gateway, epoch string) *Reader {
	t.Helper()
	r, err := c.Reader(gateway, epoch, []string{"indoor", "outdoor"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestReadWhileItGrows holds that readers get each record once and in order, while blocks
// come, also late ones, and move to segments.
func TestReadWhileItGrows(t *testing.T) {
	random, dir := rand.New(rand.NewPCG(21, 1)), t.TempDir()
	d := newDevice(random, "e", 6000)
	want := d.records["outdoor"]
	c, stop := running(t, dir)
	defer stop()
	r := reader(t, c, "pi-1", "e")
	if _, ok := r.Oldest(1); ok || r.Kept(1, 7) != 8 {
		t.Error("something is there before anything came")
	}
	since, follow := r.Since(1, want[9].Seq), r.Follow(1, 0, 0, 0)
	var resumed, followed []wire.Record
	var mark int64
	for from := 0; from < 5000; from += 250 {
		appendAll(t, c, "pi-1", d.blocks("outdoor", from, from+250))
		appendAll(t, c, "pi-1", d.blocks("indoor", from, from+250))
		resumed = append(resumed, drain(t, since)...)
		for n := 0; ; n++ {
			batch, at, err := follow()
			if errors.Is(err, io.EOF) {
				break
			}
			followed, mark = append(followed, batch...), at
			if n == 1 { // it is opened again where it was
				follow = r.Follow(1, 0, mark, followed[len(followed)-1].Seq)
			}
		}
		if random.IntN(3) == 0 {
			if err := c.seal(); err != nil {
				t.Fatal(err)
			}
		}
	}
	same(t, "resumed", resumed, want[10:5000])
	same(t, "followed", followed, want[:5000])
	if got := r.Kept(1, want[100].Seq); got != want[100].Seq+1 {
		t.Errorf("kept from %d, of all beyond %d", got, want[100].Seq)
	}

	appendAll(t, c, "pi-1", d.blocks("outdoor", 5500, 6000)) // what is between comes late
	if got := r.Kept(1, want[100].Seq); got != want[5499].Seq+1 {
		t.Errorf("with a hole before %d, kept from %d", want[5500].Seq, got)
	}
	same(t, "with a hole", drain(t, r.Since(1, want[4999].Seq)), want[5500:])
	if err := c.seal(); err != nil {
		t.Fatal(err)
	}
	appendAll(t, c, "pi-1", d.blocks("outdoor", 5000, 5500))
	all := r.Since(1, want[0].Seq-1)
	same(t, "with what came late", drain(t, all), want)
	if err := c.seal(); err != nil {
		t.Fatal(err)
	}
	same(t, "sealed", drain(t, r.Since(1, want[0].Seq-1)), want)
	same(t, "again at its end", drain(t, all), nil)
	if got := r.Kept(1, want[100].Seq); got != want[100].Seq+1 {
		t.Errorf("without the hole, kept from %d", got)
	}
	from, to := want[2000].UnixMilli, want[3000].UnixMilli
	between := drain(t, r.Between(1, from, to))
	if len(between) < 900 || slices.ContainsFunc(between, func(r wire.Record) bool {
		return r.UnixMilli < from || r.UnixMilli >= to || r.Flags&wire.Historical == 0
	}) {
		t.Errorf("%d records between", len(between))
	}
	good := 0
	for _, b := range drain(t, r.Buckets(1, from, to, 60_000)) {
		good += int(b.Count + b.Failed)
	}
	if good != len(between) {
		t.Errorf("%d records in buckets, %d between", good, len(between))
	}
}

// TestReadEpochs holds that a follower gets one epoch after the other, and that the
// numbers of another epoch are none of the present one.
func TestReadEpochs(t *testing.T) {
	random, dir := rand.New(rand.NewPCG(22, 1)), t.TempDir()
	c, stop := running(t, dir)
	defer stop()
	var want []wire.Record
	for i := range 3 {
		d := newDevice(random, fmt.Sprint("e", i), 300)
		appendAll(t, c, "pi-1", d.blocks("indoor", 0, 300))
		want = append(want, d.records["indoor"]...)
		if i == 1 {
			if err := c.seal(); err != nil {
				t.Fatal(err)
			}
		}
	}
	r := reader(t, c, "pi-1", "e2")
	follow := r.Follow(0, 0, 0, 0)
	same(t, "all epochs", drain(t, func() ([]wire.Record, error) { batch, _, err := follow(); return batch, err }), want)
	same(t, "the present", drain(t, r.Since(0, want[600].Seq-1)), want[600:])
	if _, ok := reader(t, c, "pi-1", "e3").Oldest(0); ok {
		t.Error("a new epoch has numbers")
	}
}

// TestReadEvicted holds that readers go on while the oldest segments are removed, and
// that what was evicted is not promised.
func TestReadEvicted(t *testing.T) {
	random, dir := rand.New(rand.NewPCG(23, 1)), t.TempDir()
	d := newDevice(random, "e", 8000)
	want := d.records["indoor"]
	c, err := Open(Options{Dir: dir, MaxBytes: 14 << 10, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	r := reader(t, c, "pi-1", "e")
	var readers sync.WaitGroup
	quit := make(chan struct{})
	for range 3 {
		readers.Go(func() {
			for {
				last := int64(-1)
				next := r.Since(0, want[0].Seq-1)
				for batch, err := next(); err == nil; batch, err = next() {
					for _, x := range batch {
						if int64(x.Seq) <= last {
							t.Errorf("%d after %d", x.Seq, last)
						}
						last = int64(x.Seq)
					}
				}
				select {
				case <-quit:
					return
				default:
				}
			}
		})
	}
	for from := 0; from < 8000; from += 500 {
		appendAll(t, c, "pi-1", d.blocks("indoor", from, from+500))
		if err := c.seal(); err != nil {
			t.Fatal(err)
		}
	}
	close(quit)
	readers.Wait()
	oldest, ok := r.Oldest(0)
	got := drain(t, r.Since(0, want[0].Seq-1))
	if !ok || len(got) == 0 || len(got) > 7000 || got[0].Seq != r.Kept(0, want[0].Seq) || wire.Before(got[0].Seq, oldest) {
		t.Fatalf("%d records, the oldest said to be %d, kept from %d", len(got), oldest, r.Kept(0, want[0].Seq))
	}
	same(t, "what is left", got, want[8000-len(got):])
	restarted, stop := running(t, dir)
	if again, _ := reader(t, restarted, "pi-1", "e").Oldest(0); again != got[0].Seq {
		t.Errorf("after a restart the oldest is %d, want %d", again, got[0].Seq)
	}
	stop()
}

// TestReadDamaged holds that damage costs what is damaged, and is told.
func TestReadDamaged(t *testing.T) {
	random, dir := rand.New(rand.NewPCG(24, 1)), t.TempDir()
	d := newDevice(random, "e", 4000)
	c, stop := running(t, dir)
	appendAll(t, c, "pi-1", d.blocks("indoor", 0, 2000))
	if err := c.seal(); err != nil {
		t.Fatal(err)
	}
	appendAll(t, c, "pi-1", d.blocks("indoor", 2000, 4000))
	stop()
	files, err := filepath.Glob(filepath.Join(dir, "pi-1", LogDir, "*.seg*"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	c, err = Open(Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&told, nil))})
	if err != nil {
		t.Fatal(err)
	}
	r := reader(t, c, "pi-1", "e")
	got := drain(t, r.Since(0, d.records["indoor"][0].Seq-1))
	why, lost := r.Lost()
	if len(got) < 3000 || len(got) >= 4000 || lost < 4000-len(got) || why == "" || !strings.Contains(told.String(), "cannot be read") {
		t.Errorf("%d records, %d lost (%s); the log says\n%s", len(got), lost, why, &told)
	}
}

// TestDamagedIntake holds that damage in the intake costs the frame that it is in.
func TestDamagedIntake(t *testing.T) {
	random, dir := rand.New(rand.NewPCG(27, 1)), t.TempDir()
	d := newDevice(random, "e", 900)
	c := open(t, dir)
	ctx, cancel := context.WithCancel(context.Background())
	written := make(chan error, 1)
	go func() { written <- c.intake.run(ctx) }()
	for from := 0; from < 900; from += 300 {
		appendAll(t, c, "pi-1", d.blocks("indoor", from, from+300))
	}
	cancel()
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, intakeDir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	c, err = Open(Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&told, nil))})
	if err != nil {
		t.Fatal(err)
	}
	got := drain(t, reader(t, c, "pi-1", "e").Since(0, d.records["indoor"][0].Seq-1))
	if !strings.Contains(told.String(), "damaged") {
		t.Errorf("the log says\n%s", &told)
	}
	same(t, "the rest", got, slices.Concat(d.records["indoor"][:300], d.records["indoor"][600:]))
}

// TestValues holds that what is said of the values is as durable as the records, in
// whatever order it comes, and that all readers apply it.
func TestValues(t *testing.T) {
	random, dir := rand.New(rand.NewPCG(25, 1)), t.TempDir()
	d := newDevice(random, "e", 1000)
	records := d.records["indoor"]
	plus := func(from int, offset float64) Values {
		return Values{records[from].Seq, wire.SensorInfo{Values: []wire.Quantity{wire.Temperature, wire.Humidity}, Calibration: map[string]wire.Calibration{"temperature": {Scale: 1, Offset: offset}}}}
	}
	c, stop := running(t, dir)
	ctx := context.Background()
	for _, x := range []struct {
		from, to int
		said     []Values
	}{{500, 1000, []Values{plus(500, 3)}}, {0, 500, []Values{plus(0, 1), plus(250, 2)}}, {0, 100, []Values{plus(0, 1)}}} {
		if err := c.Append(ctx, "pi-1", d.blocks("indoor", x.from, x.to), x.said); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, got []wire.Record) {
		t.Helper()
		if len(got) != 1000 {
			t.Fatalf("%s: %d records", when, len(got))
		}
		for i, x := range got {
			want := records[i].Values[0]
			if records[i].Fault == wire.Good {
				want = float32(float64(want) + []float64{1, 2, 3, 3}[i/250])
			}
			if x.Values[0] != want && records[i].Fault == wire.Good {
				t.Fatalf("%s: record %d is %v, want %v", when, i, x.Values[0], want)
			}
		}
	}
	check("at once", drain(t, reader(t, c, "pi-1", "e").Since(0, records[0].Seq-1)))
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil { // a crash
		t.Fatal(err)
	}
	stop()
	restarted, stop := running(t, copied)
	check("after a crash", drain(t, reader(t, restarted, "pi-1", "e").Since(0, records[0].Seq-1)))
	stop()
	exported, err := history.OpenReader(filepath.Join(dir, "pi-1", LogDir), func(d history.Damage) { t.Errorf("%+v", d) })
	if err != nil {
		t.Fatal(err)
	}
	sorted := drain(t, exported.Between("indoor", 0, 1<<60))
	slices.SortFunc(sorted, func(a, b wire.Record) int { return compare(a.Seq, b.Seq) })
	check("exported", sorted)
	if s, ok, err := exported.Sensor("indoor"); err != nil || !ok || len(s.Values) != 2 {
		t.Errorf("%+v, %v, %v", s, ok, err)
	}
}

// TestMemoryAtRest holds how much memory a gateway takes that nobody reads.
func TestMemoryAtRest(t *testing.T) {
	const gateways = 300
	random, dir := rand.New(rand.NewPCG(26, 1)), t.TempDir()
	d := newDevice(random, "e", 600)
	said := []Values{{0, wire.SensorInfo{Values: []wire.Quantity{wire.Temperature, wire.Humidity}, Calibration: map[string]wire.Calibration{"temperature": {Scale: 1, Offset: 1}}}}}
	c, stop := running(t, dir)
	defer stop()
	memory := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := memory()
	var all sync.WaitGroup
	for i := range gateways {
		name := fmt.Sprint("pi-", i)
		blocks := map[string][][]byte{"indoor": d.blocks("indoor", 0, 600), "outdoor": d.blocks("outdoor", 0, 600)}
		all.Go(func() {
			for _, b := range blocks {
				if err := c.Append(context.Background(), name, b, said); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for i := range gateways {
		if got := drain(t, reader(t, c, fmt.Sprint("pi-", i), "e").Since(0, d.records["indoor"][0].Seq-1)); len(got) != 600 {
			t.Fatalf("%d records", len(got))
		}
	}
	read := (memory() - before) / gateways
	for _, l := range c.all() {
		l.rest(time.Now().Add(2 * idle))
	}
	rest := (memory() - before) / gateways
	t.Logf("a gateway takes %d bytes at rest, %d while it is read", rest, read)
	if rest > 16<<10 || rest >= read {
		t.Errorf("a gateway takes %d bytes at rest, of 16 KiB at most, and %d while it is read", rest, read)
	}
}
