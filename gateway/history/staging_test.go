package history

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/memoryfile"
	"sensorgateway/wire"
)

// staging returns a path for pages of a log; and skips where they cannot be staged.
func staging(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no files are mapped here")
	}
	return filepath.Join(t.TempDir(), "page")
}

// However many ticks came since the last sync, and however many pages they fill, a kill
// leaves all of them. The next process goes on in the same journal.
func TestKilledBetweenSyncs(t *testing.T) {
	memory := staging(t)
	for ticks := 0; ticks < 400; ticks += 1 + ticks/20 {
		d, m := disktest.New(), newMaker(len(rigSensors))
		o := Options{FS: d, Memory: memory, Sensors: rigSensors, Boot: "boot", pages: rigPages}
		for range 3 {
			l := open(t, o)
			l.maintain(time.Unix(1, 0))
			l.Begin("epoch", m.next)
			for i := range rigSensors {
				same(t, all(t, l.Since(uint16(i), ^uint32(0))), m.of(i))
			}
			written := d.Ops
			for range ticks {
				l.Append(m.tick(), m.offset)
				l.write()
			}
			if written = d.Ops - written; written > ticks/50 {
				t.Fatalf("%d ticks made %d operations of the disk", ticks, written)
			}
			if l.maintainer.nextSegment > 1 {
				t.Fatal("the journal was not continued")
			}
		}
	}
}

// Another process that reads the directory has the newest tick, too.
func TestReaderOfStaged(t *testing.T) {
	memory, dir, m := staging(t), t.TempDir(), newMaker(1)
	l := open(t, Options{Dir: dir, Memory: memory, Sensors: names(1), Boot: "boot"})
	l.maintain(time.Unix(1, 0))
	l.Begin("epoch", m.next)
	for range 3 {
		l.Append(m.tick(), m.offset)
		l.write()
		for place, want := range map[string]int{memory: len(m.ticks), memory + ".none": 0} {
			r, err := OpenReader(dir, noDamage(t), "", place)
			if err != nil {
				t.Fatal(err)
			}
			var got []wire.Record
			if want > 0 || len(r.Sensors()) > 0 {
				got = all(t, r.Between(r.Sensors()[0], 0, math.MaxInt64))
			}
			same(t, got, m.of(0)[:want])
		}
	}
	l.Close()
}

// What was staged survives also where the journal cannot be continued.
func TestKilledThenOtherSensors(t *testing.T) {
	d, m := disktest.New(), newMaker(1)
	o := Options{FS: d, Memory: staging(t), Sensors: names(1), Boot: "boot", pages: rigPages}
	l := open(t, o)
	l.maintain(time.Unix(1, 0))
	l.Begin("epoch", m.next)
	for range 7 {
		l.Append(m.tick(), m.offset)
		l.write()
	}
	o.Sensors = names(300) // whose pages are larger
	for range 2 {
		l = open(t, o)
		l.maintain(time.Unix(1, 0))
		if err := l.Durable(); err != nil {
			t.Fatal(err)
		}
		same(t, all(t, l.Since(0, ^uint32(0))), m.of(0))
	}
}

// A page that is older, damaged, or not of this journal is not taken in.
func TestStagedElsewhere(t *testing.T) {
	for _, tt := range []struct {
		name    string
		between func(t *testing.T, memory string, first, newest []byte)
		lost    int
	}{
		{"nothing", func(*testing.T, string, []byte, []byte) {}, 0},
		{"the machine was off", func(t *testing.T, memory string, _, _ []byte) { os.Remove(memory) }, 3},
		{"an older page", func(t *testing.T, memory string, first, _ []byte) { put(t, memory, first) }, 3},
		{"of another journal", func(t *testing.T, memory string, _, newest []byte) {
			put(t, memory, bytes.Replace(newest, []byte(format.JournalName(1)), []byte(format.JournalName(2)), 1))
		}, 3},
		{"beyond the journal", func(t *testing.T, memory string, _, newest []byte) {
			newest[4] = 1
			put(t, memory, newest)
		}, 3},
		{"at no place", func(t *testing.T, memory string, _, newest []byte) {
			newest[0] = 0xff
			put(t, memory, newest)
		}, 3},
		{"a damaged page", func(t *testing.T, memory string, _, newest []byte) {
			newest[200] ^= 1
			put(t, memory, newest)
		}, 3},
		{"a few bytes", func(t *testing.T, memory string, _, newest []byte) { put(t, memory, newest[:12]) }, 3},
		{"none", func(t *testing.T, memory string, _, _ []byte) { put(t, memory, nil) }, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			memory := staging(t)
			d, m := disktest.New(), newMaker(1)
			o := Options{FS: d, Memory: memory, Sensors: names(1), Boot: "boot", pages: rigPages}
			l := open(t, o)
			l.maintain(time.Unix(1, 0))
			l.Begin("epoch", m.next)
			tick := func() {
				l.Append(m.tick(), m.offset)
				l.write()
			}
			tick()
			first := memoryfile.Read(memory)
			if err := l.sync(); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				tick()
			}
			tt.between(t, memory, first, memoryfile.Read(memory))
			l = open(t, o)
			same(t, all(t, l.Since(0, ^uint32(0))), m.of(0)[:4-tt.lost])
			if reason, n := l.Lost(); reason != "" {
				t.Errorf("taken for damage: %s, %d readings", reason, n)
			}
		})
	}
}

func put(t *testing.T, memory string, page []byte) {
	t.Helper()
	if f, err := memoryfile.Create(memory, 1<<16, page); err != nil {
		t.Error(err)
	} else if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// Something cuts the file in memory off: no reading is lost, and it is logged once.
func TestStagingIsCutOff(t *testing.T) {
	memory := staging(t)
	var log bytes.Buffer
	d, m := disktest.New(), newMaker(1)
	o := Options{FS: d, Memory: memory, Sensors: names(1), Boot: "boot", pages: rigPages, Log: textLog(&log)}
	l := open(t, o)
	l.maintain(time.Unix(1, 0))
	l.Begin("epoch", m.next)
	for n := range 9 {
		if n == 4 {
			if err := os.Truncate(memory, 0); err != nil {
				t.Fatal(err)
			}
		}
		l.Append(m.tick(), m.offset)
		l.write()
	}
	if n := strings.Count(log.String(), "cannot be staged"); n != 1 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
	l = open(t, o)
	same(t, all(t, l.Since(0, ^uint32(0))), m.of(0))
}

// A clean stop leaves nothing in memory.
func TestStagingEndsWithTheLog(t *testing.T) {
	memory := staging(t)
	d, m := disktest.New(), newMaker(1)
	l := open(t, Options{FS: d, Memory: memory, Sensors: names(1), Boot: "boot", pages: rigPages})
	l.maintain(time.Unix(1, 0))
	l.Begin("epoch", m.next)
	l.Append(m.tick(), m.offset)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(memory); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", memory, err)
	}
	l = open(t, Options{FS: d, Sensors: names(1), Boot: "boot", pages: rigPages})
	same(t, all(t, l.Since(0, ^uint32(0))), m.of(0))
}

// A tick that is staged uses no disk, and does not wake the writer.
func TestStagedTick(t *testing.T) {
	d, m := disktest.New(), newMaker(2)
	l := open(t, Options{FS: d, Memory: staging(t), Sensors: names(2), Boot: "boot"})
	l.maintain(time.Unix(1, 0))
	l.Begin("epoch", m.next)
	l.write()
	l.running = true // as by Run
	<-l.wakeWriter   // since there is a journal
	records := m.tick()
	written := d.Ops
	if !l.Append(records, m.offset) || len(l.wakeWriter) > 0 || d.Ops != written {
		t.Error("the tick is not staged at once")
	}
}
