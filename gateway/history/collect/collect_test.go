package collect

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"sensorgateway/gateway/history"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

// device is a gateway with a log, which is cut into blocks anew whenever it was killed.
type device struct {
	random  *rand.Rand
	sensors []string
	epoch   string
	records map[string][]wire.Record
}

func newDevice(random *rand.Rand, epoch string, n int) *device {
	d := &device{random: random, sensors: []string{"indoor", "outdoor"}, epoch: epoch, records: map[string][]wire.Record{}}
	for i, sensor := range d.sensors {
		seq, at := uint32(random.IntN(1000)), time.Now().UnixMilli()
		for range n {
			seq, at = seq+1+uint32(random.IntN(30)/29), at+100+random.Int64N(3)-1 // now and then the sampler is late
			r := wire.Record{Sensor: uint16(i), Reading: wire.Reading{UnixMilli: at, Values: [2]float32{random.Float32() * 30, random.Float32() * 100}}, Seq: seq}
			if random.IntN(40) == 0 {
				r.Fault = wire.Timeout
				r.Values = [2]float32{r.Fault.NaN(), r.Fault.NaN()}
			}
			d.records[sensor] = append(d.records[sensor], r)
		}
	}
	return d
}

// blocks cuts the records from one to another anew, and packs them.
func (d *device) blocks(sensor string, from, to int) (all [][]byte) {
	var packer codec.Packer
	records := d.records[sensor]
	for from < to {
		end := min(from+1+d.random.IntN(400), to)
		var sum codec.Summary
		for _, r := range records[from:end] {
			sum.Add(r)
		}
		prev := records[from].Seq - 1
		if from > 0 {
			prev = records[from-1].Seq
		}
		all = append(all, packer.AppendBlock(nil, codec.Origin{Sensor: sensor, Epoch: d.epoch, Boot: "b"}, prev, sum, records[from:end]))
		from = end
	}
	return all
}

func open(t *testing.T, dir string) *Collection {
	t.Helper()
	c, err := Open(Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// running starts a collection; the function it returns ends it as an orderly stop does.
func running(t *testing.T, dir string) (*Collection, func()) {
	t.Helper()
	c := open(t, dir)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	return c, func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}

func appendAll(t *testing.T, c *Collection, gateway string, blocks [][]byte) {
	t.Helper()
	if err := c.Append(context.Background(), gateway, blocks, nil); err != nil {
		t.Fatal(err)
	}
}

// stored returns the records of a gateway's log, as any reader of it has them.
func stored(t *testing.T, dir, gateway, sensor string) (all []wire.Record) {
	t.Helper()
	r, err := history.OpenReader(filepath.Join(dir, gateway, LogDir), func(d history.Damage) { t.Errorf("%+v", d) })
	if err != nil {
		t.Fatal(err)
	}
	for next := r.Between(sensor, 0, 1<<60); ; {
		batch, err := next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range batch {
			x.Flags &^= wire.Historical
			all = append(all, x)
		}
	}
}

// equal holds that a log has a device's records, each once, bit by bit.
func equal(t *testing.T, dir, gateway string, d *device, n int) {
	t.Helper()
	for i, sensor := range d.sensors {
		got, want := stored(t, dir, gateway, sensor), d.records[sensor][:n]
		bits := func(all []wire.Record) (b []byte) {
			for _, r := range all {
				r.Sensor = uint16(i)
				b = r.Append(b)
			}
			return b
		}
		if len(got) != len(want) || !reflect.DeepEqual(bits(got), bits(want)) {
			t.Errorf("%s of %s: %d records are stored, and differ from the device's %d", sensor, gateway, len(got), len(want))
		}
	}
}

// TestRecordForRecord holds that the log of each gateway has each record of the device
// once, whatever the device repeats, in whatever blocks, and however often this side
// ends in between.
func TestRecordForRecord(t *testing.T) {
	random, dir := rand.New(rand.NewPCG(1, 2)), t.TempDir()
	devices := map[string]*device{"pi-1": newDevice(random, "e", 5000), "pi-2": newDevice(random, "e", 5000)}
	c, stop := running(t, dir)
	for from := 0; from < 5000; {
		to := min(from+random.IntN(900), 5000)
		for gateway, d := range devices {
			for _, sensor := range d.sensors {
				again := max(from-random.IntN(700), 0) // what was sent, but not confirmed before the device was killed
				appendAll(t, c, gateway, d.blocks(sensor, again, to))
			}
		}
		from = to
		switch random.IntN(4) {
		case 0:
			stop()
			c, stop = running(t, dir)
		case 1:
			if err := c.seal(); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop()
	for gateway, d := range devices {
		equal(t, dir, gateway, d, 5000)
	}
	if left, err := filepath.Glob(filepath.Join(dir, intakeDir, "*")); err != nil || len(left) > 0 {
		t.Errorf("the intake still has %v, %v", left, err)
	}
}

// TestCrash holds that what was confirmed is there after a crash at any moment, also
// between the step that writes a segment and the one that removes what it was made of;
// what was not confirmed may be there in part, and comes again.
func TestCrash(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	d := newDevice(random, "e", 2000)
	for _, crash := range []string{"before the segment", "after the segment", "in a write"} {
		t.Run(crash, func(t *testing.T) {
			dir := t.TempDir()
			c := open(t, dir)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			written := make(chan error, 1)
			go func() { written <- c.intake.run(ctx) }()
			for _, sensor := range d.sensors {
				appendAll(t, c, "pi-1", d.blocks(sensor, 0, 1500))
			}
			copied := t.TempDir()
			if crash == "after the segment" {
				if err := c.log("pi-1").seal(c.intake.finish()); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			if crash == "in a write" {
				files, err := filepath.Glob(filepath.Join(copied, intakeDir, "*"))
				if err != nil || len(files) != 1 {
					t.Fatal(files, err)
				}
				f, err := os.OpenFile(files[0], os.O_APPEND|os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				frame := newEntry("pi-1", d.blocks("indoor", 1500, 2000)).frame
				if _, err := f.Write(frame[:len(frame)/2]); err != nil {
					t.Fatal(err)
				}
				f.Close()
			}
			_, stop := running(t, copied)
			stop()
			equal(t, copied, "pi-1", d, 1500)
			again, stop := running(t, copied)
			for _, sensor := range d.sensors {
				appendAll(t, again, "pi-1", d.blocks(sensor, 1000, 2000))
			}
			stop()
			equal(t, copied, "pi-1", d, 2000)
		})
	}
}

// TestEpochs holds that the same numbers of another epoch are other records.
func TestEpochs(t *testing.T) {
	random, dir := rand.New(rand.NewPCG(5, 6)), t.TempDir()
	first := newDevice(random, "e1", 300)
	second := &device{random: random, sensors: first.sensors, epoch: "e2", records: first.records}
	c, stop := running(t, dir)
	for _, d := range []*device{first, second, first} {
		appendAll(t, c, "pi-1", d.blocks("indoor", 0, 300))
	}
	stop()
	if n := len(stored(t, dir, "pi-1", "indoor")); n != 600 {
		t.Errorf("%d records, want 600", n)
	}
}

// TestNotStored holds what is refused whole, and that nothing is confirmed that is not
// durable.
func TestNotStored(t *testing.T) {
	random, dir := rand.New(rand.NewPCG(7, 8)), t.TempDir()
	d := newDevice(random, "e", 100)
	c, stop := running(t, dir)
	damaged := slices.Concat(d.blocks("indoor", 0, 100)...)
	damaged[len(damaged)/2] ^= 1
	columns := slices.Concat(d.blocks("indoor", 0, 100)...) // of a faulty program: the checksum is right, the last column too short
	columns = columns[:len(columns)-1]
	binary.BigEndian.PutUint32(columns[8:], uint32(len(columns)))
	binary.BigEndian.PutUint32(columns[4:], codec.Checksum(columns[8:]))
	for name, blocks := range map[string][][]byte{"damaged": {damaged}, "cut off": {damaged[:20]}, "empty": {{}}, "columns": {columns}} {
		if err := c.Append(context.Background(), "pi-1", blocks, nil); !errors.Is(err, codec.ErrBlock) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stop()
	if err := c.Append(context.Background(), "pi-1", d.blocks("indoor", 0, 100), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "pi-1", LogDir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something of it is stored: %v", err)
	}
	c, stop = running(t, dir)
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, intakeDir)), os.WriteFile(filepath.Join(dir, intakeDir), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := c.Append(context.Background(), "pi-1", d.blocks("indoor", 0, 100), nil); !errors.Is(err, ErrIntake) {
		t.Errorf("without a file: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, intakeDir)); err != nil {
		t.Fatal(err)
	}
	appendAll(t, c, "pi-1", d.blocks("indoor", 0, 100))
	stop()
	if n := len(stored(t, dir, "pi-1", "indoor")); n != 100 {
		t.Errorf("%d records, want 100", n)
	}
}

// TestEvict holds that the oldest readings make room.
func TestEvict(t *testing.T) {
	random, dir := rand.New(rand.NewPCG(9, 1)), t.TempDir()
	d := newDevice(random, "e", 4000)
	for i := range 8 {
		c, err := Open(Options{Dir: dir, MaxBytes: 12 << 10, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		appendAll(t, c, "pi-1", d.blocks("indoor", i*500, i*500+500))
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	got := stored(t, dir, "pi-1", "indoor")
	if want := d.records["indoor"]; len(got) == 0 || len(got) >= 3500 || got[len(got)-1].Seq != want[len(want)-1].Seq {
		t.Errorf("%d records of 4000, the newest of them: %v", len(got), len(got) > 0)
	}
}

// BenchmarkAppend measures how many blocks of a minute are durable in a second.
func BenchmarkAppend(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	c, err := Open(Options{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	d := newDevice(random, "e", 600)
	blocks := d.blocks("indoor", 0, 600)
	b.SetParallelism(256)
	b.RunParallel(func(p *testing.PB) {
		name := "pi-" + time.Duration(rand.Int64()).String()
		for p.Next() {
			for _, block := range blocks {
				clear(c.log(name).there)
				if err := c.Append(ctx, name, [][]byte{block}, nil); err != nil {
					b.Error(err)
					return
				}
			}
		}
	})
	b.ReportMetric(float64(b.N*len(blocks))/b.Elapsed().Seconds(), "blocks/s")
	cancel()
	<-ended
}
