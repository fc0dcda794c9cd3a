package collect

import (
	"context"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/gateway/history/format"
	"sensorgateway/wire"
)

// climate makes the readings of a gateway hour by hour, as a chip's codes have them.
type climate struct {
	*rig
	every time.Duration
	from  int64
	made  int // hours
	codes [2][2]int
	seq   [2]uint32
	prev  [2]uint32
}

func newClimate(t *testing.T, o Options, every time.Duration) *climate {
	t.Helper()
	d := disktest.New()
	dev := &device{random: rand.New(rand.NewPCG(51, 1)), sensors: []string{"indoor", "outdoor"}, epoch: "e"}
	r, err := openRigWith(d, dev, o)
	if err != nil {
		t.Fatal(err)
	}
	c := &climate{rig: r, every: every, from: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), codes: [2][2]int{{24000, 30000}, {20000, 40000}}}
	t.Cleanup(func() { c.stop() })
	return c
}

// again opens what is on the disk.
func (c *climate) again(t *testing.T) {
	t.Helper()
	c.stop()
	r, err := openRigWith(c.disk, c.device, c.o)
	if err != nil {
		t.Fatal(err)
	}
	c.rig = r
}

// hour returns the blocks of the next hour of a sensor, one a minute.
func (c *climate) hour(sensor int) (blocks [][]byte) {
	var packer codec.Packer
	at := c.from + int64(c.made)*time.Hour.Milliseconds()
	for minute := range 60 {
		var records []wire.Record
		var sum codec.Summary
		for ms := int64(0); ms < 60_000; ms += c.every.Milliseconds() {
			r := wire.Record{Sensor: uint16(sensor), Seq: c.seq[sensor], Reading: wire.Reading{UnixMilli: at + int64(minute)*60_000 + ms + c.device.random.Int64N(2)}}
			c.seq[sensor]++
			for i := range r.Values {
				code := &c.codes[sensor][i]
				*code += c.device.random.IntN(9) - 4
				r.Values[i] = float32(float64(*code)*175/65535 - 45)
			}
			sum.Add(r)
			records = append(records, r)
		}
		blocks = append(blocks, packer.AppendBlock(nil, codec.Origin{Sensor: c.device.sensors[sensor], Epoch: c.device.epoch, Boot: "b", Offset: c.from}, c.prev[sensor]-1, sum, records))
		c.prev[sensor] = c.seq[sensor]
	}
	return blocks
}

// hours has some hours come, and seals each. Of the sensors for which late returns
// true, it returns the blocks instead.
func (c *climate) hours(t *testing.T, n int, late func(hour, sensor int) bool) (kept [][]byte) {
	t.Helper()
	for range n {
		for sensor := range c.device.sensors {
			blocks := c.hour(sensor)
			if late != nil && late(c.made, sensor) {
				kept = append(kept, blocks...)
				continue
			}
			appendAll(t, c.Collection, "pi-1", blocks)
		}
		if err := c.seal(); err != nil {
			t.Fatal(err)
		}
		c.made++
	}
	return kept
}

// files returns how many segments there are, and how large.
func (c *climate) files() (n int, size, onDisk int64) {
	c.disk.Mu.Lock()
	defer c.disk.Mu.Unlock()
	for name, f := range c.disk.Names {
		if strings.HasSuffix(name, format.SegmentSuffix) {
			n, size, onDisk = n+1, size+int64(len(f.Now)), onDisk+(int64(len(f.Now))+4095)/4096*4096
		}
	}
	return n, size, onDisk
}

// settle merges all that is due.
func (c *climate) settle(t *testing.T) {
	t.Helper()
	for n := range 2 * c.made {
		if err := c.merge(context.Background(), afterwards.Add(time.Duration(n)*lingers)); err != nil {
			t.Fatal(err)
		}
	}
}

// sums returns how many records there are of each sensor, and their checksum.
func (c *climate) sums(t *testing.T) (all [2][2]uint32) {
	t.Helper()
	r := reader(t, c.Collection, "pi-1", "e")
	for i := range all {
		sum, next := crc32.NewIEEE(), r.Since(uint16(i), math.MaxUint32)
		var b []byte
		for batch, err := next(); err == nil; batch, err = next() {
			for _, x := range batch {
				b = x.Append(b[:0])
				_, _ = sum.Write(b)
			}
			all[i][0] += uint32(len(batch))
		}
		all[i][1] = sum.Sum32()
	}
	return all
}

// TestDays holds that of some days of hourly segments, with GATEWAY_TEST_SOAK of a month,
// one a day is left, with the same readings, also of what came late for a day that was merged.
func TestDays(t *testing.T) {
	every, days := 30*time.Second, 6
	if soak() {
		every, days = 100*time.Millisecond, 30
	}
	c := newClimate(t, Options{}, every)
	late := c.hours(t, days*24, func(hour, sensor int) bool { return hour == 60 && sensor == 1 })
	n, size, onDisk := c.files()
	before := c.sums(t)
	c.settle(t)
	m, merged, mergedOnDisk := c.files()
	t.Logf("%d files of %d bytes, which take %d, become %d of %d, which take %d", n, size, onDisk, m, merged, mergedOnDisk)
	if want := days - 1 + 24; n != days*24 || m != want || merged >= size || c.Size() != merged {
		t.Errorf("%d files of %d bytes become %d of %d, want %d; %d bytes are known", n, size, m, merged, want, c.Size())
	}
	if after := c.sums(t); after != before {
		t.Errorf("records and checksums %d, before merging %d", after, before)
	}
	c.again(t)
	if after := c.sums(t); after != before || c.Size() != merged {
		t.Errorf("records and checksums %d after a restart, before %d; %d bytes are known", after, before, c.Size())
	}
	if why, lost := reader(t, c.Collection, "pi-1", "e").Lost(); why != "" || lost > 0 {
		t.Errorf("%d are said to be lost: %s", lost, why)
	}
	if gaps, err := c.Missing("pi-1"); err != nil || len(gaps) != 1 {
		t.Errorf("missing: %v, %v", gaps, err)
	}

	appendAll(t, c.Collection, "pi-1", late)
	appendAll(t, c.Collection, "pi-1", late[10:20])
	whole := c.sums(t)
	if gaps, err := c.Missing("pi-1"); err != nil || len(gaps) > 0 || whole[1][0] != whole[0][0] {
		t.Errorf("missing after it came: %v, %v; %d", gaps, err, whole)
	}
	c.hours(t, 24, nil)
	whole = c.sums(t)
	c.settle(t)
	if m, _, _ := c.files(); m != days+24 {
		t.Errorf("%d files after another day", m)
	}
	c.again(t)
	if got := c.sums(t); got != whole {
		t.Errorf("with what came late %d, before merging %d", got, whole)
	}
}

// TestMergedElsewhere holds that another program reads what is merged, also while the
// records are there twice.
func TestMergedElsewhere(t *testing.T) {
	c := newClimate(t, Options{}, 20*time.Second)
	c.hours(t, 25, nil)
	if err := c.merge(context.Background(), afterwards); err != nil {
		t.Fatal(err)
	}
	if n, _, _ := c.files(); n != 26 {
		t.Errorf("%d files, want the 25 and a merged one", n)
	}
	dir := t.TempDir()
	for name, f := range c.disk.Names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Now, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := reader(t, c.Collection, "pi-1", "e")
	for i, sensor := range c.device.sensors {
		got := stored(t, dir, "pi-1", sensor)
		same(t, sensor, got, drain(t, r.Since(uint16(i), math.MaxUint32)))
		if len(got) != 25*180 {
			t.Errorf("%d records", len(got))
		}
	}
}

// TestMergedEvict holds that the oldest readings make room where days are merged, and
// that so little is evicted at once that nearly all that may be retained is.
func TestMergedEvict(t *testing.T) {
	const most = 200 << 10
	c := newClimate(t, Options{MaxBytes: most}, 30*time.Second)
	for range 30 {
		c.hours(t, 24, nil)
		c.settle(t)
		if n, size, _ := c.files(); c.Size() != size || size > most || c.made > 15*24 && size < most*4/5 {
			t.Fatalf("after %d hours %d files of %d bytes, %d are known", c.made, n, size, c.Size())
		}
	}
	r := reader(t, c.Collection, "pi-1", "e")
	oldest, _ := r.Oldest(0)
	got := drain(t, r.Since(0, math.MaxUint32))
	if len(got) == 0 || got[0].Seq != oldest || int(got[len(got)-1].Seq-oldest) != len(got)-1 || oldest == 0 {
		t.Errorf("%d records, the oldest is said to be %d", len(got), oldest)
	}
	c.again(t)
	if again, _ := reader(t, c.Collection, "pi-1", "e").Oldest(0); again != oldest {
		t.Errorf("after a restart the oldest is %d, want %d", again, oldest)
	}
}

// What is of a day becomes one, when there is something of a later day.
func TestFirstDay(t *testing.T) {
	parts := func(text string) (all []part) { // of each its day; x: it cannot be used, ?: its day is not known
		for _, d := range strings.Fields(text) {
			p := part{Segment: &format.Segment{}, day: unknown}
			p.Info.Size = 10
			switch d {
			case "x":
				p.Segment = nil
			case "?":
			default:
				_, _ = fmt.Sscan(d, &p.day)
			}
			all = append(all, p)
		}
		return all
	}
	for _, tt := range []struct {
		parts    string
		from, to int
		over     int64
	}{
		{"", 0, 0, 0},
		{"1", 0, 0, 0},
		{"1 1 1", 0, 0, 0},       // the day is not complete
		{"1 1 1", 0, 3, 2},       // it is long over
		{"1 1 1 2", 0, 3, 0},     // it is
		{"1 2 2 3", 1, 3, 0},     // one is as it is to be
		{"1 2 3", 2, 2, 0},       // so are all
		{"2 1 2 3", 0, 3, 0},     // something came late
		{"1 1 x 1 1 2", 0, 2, 0}, // damage stays as it is
		{"1 x 1 1 2", 2, 4, 0},
		{"x 1 1", 1, 1, 0},
		{"? 1 ? 1 2 2", 0, 4, 0}, // a clock that says nothing
		{"? ? ?", 0, 0, 0},
		{"? ? ?", 0, 0, 9},
		{"1 2 3", 2, 2, 3},
		{"1 2 3", 3, 3, 4},
		{"1 1 1 1 1 1 1 1 1", 0, 5, 0}, // it would be too large
	} {
		if from, to := firstDay(parts(tt.parts), 50, tt.over); from != tt.from || to != tt.to {
			t.Errorf("%s: from %d to %d, want from %d to %d", tt.parts, from, to, tt.from, tt.to)
		}
	}
}

// TestRunMerges holds that days are merged while a collection runs, but not as soon as it
// starts.
func TestRunMerges(t *testing.T) {
	c := newClimate(t, Options{}, time.Minute)
	c.from = time.Date(1999, 12, 1, 0, 0, 0, 0, time.UTC).UnixMilli() // the clock below begins in 2000
	c.hours(t, 25, nil)
	c.stop()
	synctest.Test(t, func(t *testing.T) {
		running, err := Open(c.o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- running.Run(ctx) }()
		reader(t, running, "pi-1", "e")
		for _, at := range []struct {
			minutes time.Duration
			files   int
		}{{9, 25}, {3, 26}, {11, 2}} {
			<-time.After(at.minutes * time.Minute)
			synctest.Wait()
			if n, _, _ := c.files(); n != at.files {
				t.Errorf("%d files after %d minutes more, want %d", n, at.minutes, at.files)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestMergeDamaged holds that damage costs what is damaged: the files of that day stay as
// they are.
func TestMergeDamaged(t *testing.T) {
	c := newClimate(t, Options{}, time.Minute)
	c.hours(t, 73, nil)
	var names []string
	for name := range c.disk.Names {
		if strings.HasSuffix(name, format.SegmentSuffix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	b := c.disk.Names[names[30]].Now
	b[100] ^= 1
	before := c.sums(t)
	said := 0
	for n := range 100 {
		if err := c.merge(context.Background(), afterwards.Add(time.Duration(n)*lingers)); err != nil {
			if said++; !strings.Contains(err.Error(), filepath.Base(names[30])) {
				t.Error(err)
			}
		}
	}
	if n, _, _ := c.files(); n != 1+24+1+1 || said != 1 {
		t.Errorf("%d files; it is said %d times", n, said)
	}
	if after := c.sums(t); after != before || after[0][0] != 73*60-1 && after[1][0] != 73*60-1 {
		t.Errorf("records and checksums %d, before merging %d", after, before)
	}
}

// TestMergeNumbered holds that the files of an older program are merged too, whose numbers
// follow each other.
func TestMergeNumbered(t *testing.T) {
	c := newClimate(t, Options{}, time.Minute)
	c.hours(t, 97, nil)
	before := c.sums(t)
	for n := range uint64(97) {
		from, to := "pi-1/log/"+format.SegmentName(2*n+2), "pi-1/log/"+format.SegmentName(n+1)
		f := c.disk.Names[from]
		delete(c.disk.Names, from)
		c.disk.Names[to] = f
	}
	c.again(t)
	if after := c.sums(t); after != before {
		t.Fatalf("records and checksums %d, before %d", after, before)
	}
	c.settle(t)
	if n, _, _ := c.files(); n != 5 {
		t.Errorf("%d files of five days", n)
	}
	c.again(t)
	if after := c.sums(t); after != before {
		t.Errorf("records and checksums %d, before merging %d", after, before)
	}
}
