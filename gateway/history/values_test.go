package history

import (
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/gateway/history/values"
	"sensorgateway/wire"
)

func calibrated(name string, scale, offset float64) wire.SensorInfo {
	return wire.SensorInfo{Name: name, Calibration: map[string]wire.Calibration{"temperature": {Scale: scale, Offset: offset}, "humidity": {Scale: 2 - scale, Offset: -offset}}}
}

// Past readings stay as they were when they were made, whatever corrects the present ones.
func TestCalibrationOfThen(t *testing.T) {
	d, m := disktest.New(), newMaker(1)
	m.values = []wire.SensorInfo{{Name: "a"}}
	plain := newMaker(1)
	o := Options{FS: d, Sensors: []string{"a"}, Boot: "boot", pages: rigPages}
	var l *Log
	for part, s := range []wire.SensorInfo{{Name: "a"}, calibrated("a", 1.02, -0.4), calibrated("a", 1.02, -0.4), calibrated("a", 0.7, 3), {Name: "a"}} {
		m.values = []wire.SensorInfo{s}
		o.Values = m.values
		l = open(t, o)
		l.Begin("epoch", m.next)
		r := &rig{l, d, m, time.Unix(1, 0), make(claim, 1)}
		r.maintain(r.now)
		for range 37 {
			for range 3 {
				plain.tick()
			}
			r.second()
		}
		if part == 1 {
			if err := l.seal(false); err != nil {
				t.Fatal(err)
			}
		}
		same(t, all(t, l.Since(0, ^uint32(0))), m.of(0))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := openReader(d, noDamage(t))
	if err != nil {
		t.Fatal(err)
	}
	same(t, all(t, reader.Between("a", 0, math.MaxInt64)), m.of(0))
	if n := len(reader.Entries("a")); n != 4 {
		t.Errorf("%d entries, want one for each change", n)
	}
	first := m.ticks[0][0].UnixMilli
	defer func() {
		reader.Measured()
		same(t, all(t, reader.Between("a", 0, math.MaxInt64)), plain.of(0))
	}()
	for _, step := range []int64{300, 7000, 60_000, 3_600_000} {
		got, want := allBuckets(t, reader.Buckets("a", first, m.at, step)), bucketsOf(m.of(0), first, m.at, step)
		if len(got) != len(want) {
			t.Fatalf("step %d: %d buckets, want %d", step, len(got), len(want))
		}
		for i, w := range want {
			g := got[i]
			for k := range g.Values {
				if d := math.Abs(float64(g.Values[k].Mean - w.Values[k].Mean)); d > 1e-5 { // it is made of sums of blocks
					t.Errorf("step %d: %+v, want %+v", step, g, w)
				}
				g.Values[k].Mean = w.Values[k].Mean
			}
			if g != w {
				t.Errorf("step %d: %+v, want %+v", step, g, w)
			}
		}
	}
}

// No record is on the disk before what its values are, also where a new epoch begins
// while the log runs.
func TestConstantsComeBeforeRecords(t *testing.T) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	m.values = []wire.SensorInfo{calibrated("indoor", 1.1, 1), calibrated("outdoor", 0.9, -1)}
	r := newRig(t, d, m)
	r.Begin("first", m.next)
	r.maintain(r.now)
	r.second()
	for i := range m.next {
		m.next[i] = 0
	}
	m.ticks = nil
	r.Begin("second", m.next)
	cuts := 0
	d.Changed = func() {
		for range 20 {
			l := open(t, Options{FS: d.Cut(m.rnd), Sensors: rigSensors, Boot: "boot", pages: rigPages})
			if l.Epoch() != "second" {
				continue
			}
			cuts++
			for i := range rigSensors {
				got := all(t, l.Since(uint16(i), ^uint32(0)))
				same(t, got, m.of(i)[:len(got)])
			}
		}
	}
	for range 3 {
		r.second()
	}
	if cuts == 0 {
		t.Error("no record of the second epoch was ever on the disk")
	}
}

// Constants of epochs of which nothing is left are forgotten.
func TestConstantsAreForgotten(t *testing.T) {
	d, m := disktest.New(), newMaker(1)
	chance := rand.New(rand.NewPCG(5, 6))
	for part := range 50 {
		m.values = []wire.SensorInfo{calibrated("a", 1+chance.Float64()/10, 0)}
		l := open(t, Options{FS: d, Sensors: []string{"a"}, Values: m.values, Boot: "boot", MaxBytes: minBytes, pages: rigPages})
		l.o.MaxBytes = 60 << 10
		l.Begin(strings.Repeat("e", part+1), []uint32{0})
		r := &rig{l, d, m, time.Unix(1, 0), make(claim, 1)}
		r.maintain(r.now)
		for range 20 {
			r.second()
		}
		if err := l.seal(false); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := openReader(d, noDamage(t))
	if err != nil {
		t.Fatal(err)
	}
	segments := 0
	for name := range d.Names {
		if strings.HasSuffix(name, ".segment") {
			segments++
		}
	}
	if n := len(reader.Entries("a")); n > segments+2 || n < 2 {
		t.Errorf("%d entries for %d segments", n, segments)
	}
}

// A file of constants that is damaged costs these, and no reading.
func TestDamagedConstants(t *testing.T) {
	dir := t.TempDir()
	m, plain := newMaker(1), newMaker(1)
	m.values = []wire.SensorInfo{calibrated("a", 1.1, 1)}
	o := Options{Dir: dir, Sensors: []string{"a"}, Values: m.values, pages: rigPages}
	run := func() {
		l := open(t, o)
		l.Begin("epoch", m.next)
		r := &rig{l, nil, m, time.Unix(1, 0), make(claim, 1)}
		r.maintain(r.now)
		r.second()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	run()
	path := filepath.Join(dir, values.FileName)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range data {
		if c == '1' {
			data[i] = '2'
		}
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := OpenReader(dir, noDamage(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := reader.Sensor("a"); err == nil || !strings.Contains(err.Error(), values.FileName) {
		t.Errorf("the reader says %v", err)
	}
	for range 3 {
		plain.tick()
	}
	same(t, all(t, reader.Between("a", 0, math.MaxInt64)), plain.of(0))
	var log strings.Builder
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	run()
	if !strings.Contains(log.String(), "without what corrected them") {
		t.Errorf("the log says %s", log.String())
	}
	if reader, err = OpenReader(dir, noDamage(t)); err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(plain.of(0), m.of(0)[3:])
	same(t, all(t, reader.Between("a", 0, math.MaxInt64)), want)
	if aside, err := os.ReadDir(filepath.Join(dir, "damaged")); err != nil || len(aside) != 1 {
		t.Errorf("set aside are %v, %v", aside, err)
	}
}

// A copy that is made while the log is written has them.
func TestSnapshotHasConstants(t *testing.T) {
	fs := disk.NewMemory()
	m := newMaker(1)
	m.values = []wire.SensorInfo{calibrated("a", 1.1, 1)}
	l := open(t, Options{FS: fs, Sensors: []string{"a"}, Values: m.values, pages: rigPages})
	l.Begin("epoch", m.next)
	l.maintain(time.Unix(1, 0))
	s, err := takeSnapshot(fs)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !slices.ContainsFunc(s.Files, func(f SnapshotFile) bool { return f.Name == values.FileName && f.Size > 0 }) {
		t.Errorf("%+v", s.Files)
	}
}
