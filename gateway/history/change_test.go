package history

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/gateway/history/format"
	"sensorgateway/wire"
)

// Sensors are added, removed, renamed and put in another order; each keeps its own.
func TestSensorsChange(t *testing.T) {
	fs := disk.NewMemory()
	next := map[string]uint32{}
	made := map[string][]wire.Record{}
	at := int64(1_700_000_000_000)
	for _, names := range [][]string{{"a", "b"}, {"b", "a", "c"}, {"c"}, {"renamed", "b"}, names(64), {"a", strings.Repeat("long", 250), "c"}} {
		l := open(t, Options{FS: fs, Sensors: names, Boot: "boot"})
		l.maintain(time.Unix(1, 0))
		m := newMaker(len(names))
		m.at = at
		for i, name := range names {
			m.next[i] = next[name]
			if last, ok := l.Last(uint16(i)); ok && last+1 != next[name] {
				t.Errorf("%v: the last of %q is %d, want %d", names, name, last, next[name]-1)
			}
		}
		l.Begin("epoch", m.next)
		for range 100 {
			l.Append(m.tick(), 5)
			l.write()
		}
		for i, name := range names {
			made[name] = append(made[name], m.of(i)...)
			next[name] = m.next[i]
			got, want := all(t, l.Since(uint16(i), ^uint32(0))), slices.Clone(made[name])
			for k := range want {
				want[k].Sensor = uint16(i)
			}
			same(t, got, want)
			if from := l.Kept(uint16(i), ^uint32(0)); from != 0 {
				t.Errorf("%v: all of %q was kept, but it is said to be lost up to %d", names, name, from)
			}
		}
		at = m.at
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	r, err := openReader(fs, noDamage(t))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range r.Sensors() {
		want := made[name]
		for k := range want {
			want[k].Sensor = uint16(i)
		}
		same(t, all(t, r.Between(name, 0, at)), want)
	}
}

// A new epoch has nothing of the old one, though its readings stay.
func TestEpochs(t *testing.T) {
	l := open(t, Options{FS: disk.NewMemory(), Sensors: []string{"a"}})
	l.maintain(time.Unix(1, 0))
	m := newMaker(1)
	for _, epoch := range []string{"one", "two"} {
		m.next[0] = 1000
		l.Begin(epoch, m.next)
		for range 10 {
			l.Append(m.tick(), 0)
		}
	}
	same(t, all(t, l.Since(0, 5)), m.of(0)[10:])
	same(t, all(t, l.Between(0, 0, m.at)), m.of(0))
	if from := l.Kept(0, 5); from != 1000 {
		t.Errorf("kept from %d on, want 1000", from)
	}
	if from := l.Kept(0, 1005); from != 1006 {
		t.Errorf("kept from %d on, want 1006", from)
	}
	m.next[0] += 7 // may have been used, are lost
	l.Begin("two", m.next)
	l.Append(m.tick(), 0)
	if from := l.Kept(0, 1005); from != 1017 {
		t.Errorf("kept from %d on, want 1017", from)
	}
	m.next[0] += 3 // the sampler was late
	l.Append(m.tick(), 0)
	if from := l.Kept(0, 1017); from != 1018 {
		t.Errorf("kept from %d on, want 1018", from)
	}
}

// What is oldest is removed while it is being read: the reader goes on with
// what is left, and nobody sees an error.
func TestRetentionWhileReading(t *testing.T) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	r := newRig(t, d, m)
	r.Begin("epoch", m.next)
	for range 200 {
		r.second()
	}
	next := r.Since(0, ^uint32(0))
	between := r.Between(1, 0, math.MaxInt64)
	first, err := next()
	if err != nil || first[0].Seq != 0 {
		t.Fatal(first, err)
	}
	if _, err := between(); err != nil {
		t.Fatal(err)
	}
	seen := first[len(first)-1].Seq
	r.o.MaxBytes = 56 << 10
	for range 200 {
		r.second()
	}
	if r.Size() > r.o.MaxBytes {
		t.Errorf("%d bytes, allowed are %d", r.Size(), r.o.MaxBytes)
	}
	kept := r.Kept(0, seen)
	if kept <= seen+1 {
		t.Fatal("nothing was removed")
	}
	same(t, all(t, next), m.of(0)[kept:])
	if got := all(t, between); len(got) == 0 || got[0].Seq != r.Kept(1, 0) {
		t.Errorf("%d records", len(got))
	}
	r.o.MaxAge = 100 * time.Second
	r.second()
	if from, want := r.Kept(0, 0), m.next[0]-100*3; from > want || from < want-100 {
		t.Errorf("kept from %d on, want about %d", from, want)
	}
}

// A file of a version to come is set aside as it is; of a journal, what this version
// wrote is used before.
func TestNewerVersion(t *testing.T) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	r := newRig(t, d, m)
	r.Begin("epoch", m.next)
	for range 5 {
		r.second()
	}
	r.Close()
	journal := d.Names[format.JournalName(1)]
	page := journal.Now[5*4096 : 6*4096]
	page[8] = format.PageVersion + 1
	binary.BigEndian.PutUint32(page[4:], codec.Checksum(page[8:]))
	was := slices.Clone(journal.Now)
	newer := []byte("sgws\x00\x00\x00\x02 something that is not understood, of a reasonable length")
	d.Names["00000000000000ff.segment"] = &disktest.Inode{Now: newer}
	var log strings.Builder
	var reports []Damage
	known := m.of(0)[:4*3]
	for start := range 2 {
		l := open(t, Options{FS: d, Sensors: rigSensors, Log: textLog(&log), pages: rigPages, Damaged: func(x Damage) { reports = append(reports, x) }})
		l.Begin("epoch", m.next)
		if start == 1 {
			l.maintain(time.Unix(1, 0))
		}
		same(t, all(t, l.Since(0, ^uint32(0))), known)
		l.reportDamage()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := d.Names["damaged/00000000000000ff.segment"]; got == nil || string(got.Now) != string(newer) {
		t.Error("the segment was changed")
	}
	if got := d.Names["damaged/"+format.JournalName(1)]; got == nil || !bytes.Equal(got.Now, was) {
		t.Error("the journal was changed")
	}
	if !strings.Contains(log.String(), "newer version") {
		t.Errorf("the log says %q", log.String())
	}
	for _, x := range reports {
		if !strings.Contains(x.Reason, "newer version") {
			t.Errorf("reported: %+v", x)
		}
	}
	l := open(t, Options{FS: d, Sensors: rigSensors, pages: rigPages})
	same(t, all(t, l.Since(0, ^uint32(0))), known)
	l.Close()
}

func TestAppendAllocatesNothing(t *testing.T) {
	l := open(t, Options{FS: disk.NewMemory(), Sensors: names(8)})
	l.maintain(time.Unix(1, 0))
	m := newMaker(8)
	l.Begin("epoch", m.next)
	now := time.Unix(1, 0)
	step := func(n int) {
		tick := m.tick()
		m.ticks = nil
		_ = tick
		for range n {
			for i := range tick {
				tick[i].Seq++
				tick[i].UnixMilli += 100
			}
			l.Append(tick, 0)
			l.write()
		}
	}
	step(2000)
	now = now.Add(time.Second)
	l.maintain(now)
	tick := m.tick()
	for i := range tick {
		tick[i].Seq += 1e6
		tick[i].UnixMilli += 1e8
	}
	if n := testing.AllocsPerRun(500, func() {
		for i := range tick {
			tick[i].Seq++
			tick[i].UnixMilli += 100
		}
		l.Append(tick, 0)
		l.write()
	}); n > 0 {
		t.Errorf("%v allocations a tick", n)
	}
}

func TestWrongOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no directory": {}, "negative": {FS: disk.NewMemory(), MaxBytes: -1}, "age": {FS: disk.NewMemory(), MaxAge: -1},
		"twice": {FS: disk.NewMemory(), Sensors: []string{"a", "a"}}, "nameless": {FS: disk.NewMemory(), Sensors: []string{""}},
		"too long": {FS: disk.NewMemory(), Sensors: []string{strings.Repeat("x", 2000)}}, "boot": {FS: disk.NewMemory(), Boot: strings.Repeat("x", 300)},
		"too many": {FS: disk.NewMemory(), Sensors: names(2000)},
	} {
		if l, err := Open(o); err == nil {
			l.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

func TestUnknownSensors(t *testing.T) {
	l := open(t, Options{FS: disk.NewMemory(), Sensors: []string{"a"}})
	l.Begin("epoch", nil)
	l.Append([]wire.Record{{Sensor: 0}, {Sensor: 7}}, 0)
	for _, next := range []func() ([]wire.Record, error){l.Since(7, 0), l.Between(7, 0, 1)} {
		if got, err := next(); err != io.EOF {
			t.Errorf("%v, %v", got, err)
		}
	}
	if _, err := l.Buckets(7, 0, 1, 1)(); err != io.EOF {
		t.Error(err)
	}
	if _, ok := l.Last(7); ok || l.Kept(7, 3) != 4 {
		t.Error("a sensor that is not there has records")
	}
	if got := all(t, l.Since(0, ^uint32(0))); len(got) != 1 {
		t.Errorf("%d records, want 1", len(got))
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
