package history

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/recovery"
)

// filesOf returns the names of the files with a suffix, oldest first.
func filesOf(d *disktest.Disk, suffix string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(d.Names)) {
		if strings.HasSuffix(name, suffix) && !strings.HasPrefix(name, recovery.DamagedDir) {
			names = append(names, name)
		}
	}
	return names
}

// What is missing of the files at the start is logged, and reported with how much it
// is; what a process that was killed leaves is not.
func TestDamageAtTheStart(t *testing.T) {
	var early *disktest.Inode // the journal as it was early on
	for _, tt := range []struct {
		name   string
		damage func(d *disktest.Disk, journal string, segments []string)
		want   string // part of the reason; "": none
		most   int    // readings that are lost
	}{
		{"none", func(*disktest.Disk, string, []string) {}, "", 0},
		{"the journal is missing", func(d *disktest.Disk, journal string, _ []string) { delete(d.Names, journal) }, "journal is missing", 100},
		{"the journal is emptied", func(d *disktest.Disk, journal string, _ []string) { d.Names[journal].Now = nil }, "is empty", 100},
		{"the journal is of zeros", func(d *disktest.Disk, journal string, _ []string) { clear(d.Names[journal].Now) }, "is empty", 100},
		{"the journal is an older one", func(d *disktest.Disk, journal string, _ []string) { d.Names[journal] = early }, "earlier time", 100},
		{"a page is of zeros", func(d *disktest.Disk, journal string, segments []string) {
			b := d.Names[journal].Now
			newest := newestPage(d, journal)
			clear(b[(newest-2)%rigPages*4096:][:4096])
		}, "1 pages", 12},
		{"a segment is missing", func(d *disktest.Disk, _ string, segments []string) { delete(d.Names, segments[1]) }, "is missing", 100},
		{"the newest segment is missing", func(d *disktest.Disk, _ string, segments []string) {
			delete(d.Names, segments[len(segments)-1])
		}, "newest segment is missing", 100},
		{"all segments are missing", func(d *disktest.Disk, _ string, segments []string) {
			for _, name := range segments {
				delete(d.Names, name)
			}
		}, "all segments are missing", 600},
		{"a segment is replaced by a copy of the one before", func(d *disktest.Disk, _ string, segments []string) {
			d.Names[segments[2]] = d.Names[segments[1]].Copy()
		}, "the same readings", 60},
		{"a segment is replaced by a copy of the next one", func(d *disktest.Disk, _ string, segments []string) {
			d.Names[segments[1]] = d.Names[segments[2]].Copy()
		}, "the same readings", 60},
		{"a segment is replaced by a copy of a later one", func(d *disktest.Disk, _ string, segments []string) {
			d.Names[segments[1]] = d.Names[segments[4]].Copy()
		}, "the same readings", 60},
		{"a segment is replaced by a copy of an earlier one", func(d *disktest.Disk, _ string, segments []string) {
			d.Names[segments[4]] = d.Names[segments[1]].Copy()
		}, "the same readings", 60},
		{"a segment is damaged altogether", func(d *disktest.Disk, _ string, segments []string) { clear(d.Names[segments[1]].Now) }, "set aside", 100},
		{"a segment is cut off", func(d *disktest.Disk, _ string, segments []string) {
			f := d.Names[segments[1]]
			f.Now = f.Now[:len(f.Now)/3]
		}, "blocks of", 100},
		{"the newest segment is cut off", func(d *disktest.Disk, _ string, segments []string) {
			f := d.Names[segments[len(segments)-1]]
			f.Now = f.Now[:len(f.Now)/3]
		}, "are damaged", 100},
		{"the newest page is damaged", func(d *disktest.Disk, journal string, _ []string) {
			d.Names[journal].Now[newestPage(d, journal)%rigPages*4096+2000] ^= 1
		}, "newest pages", 12},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, m := disktest.New(), newMaker(len(rigSensors))
			r := newRig(t, d, m)
			r.Begin("epoch", m.next)
			for n := range 56 {
				r.second()
				if n == 20 {
					early = d.Names[filesOf(d, format.JournalSuffix)[0]].Copy()
				}
			}
			for r.journal.Seq-r.journal.Through < 7 {
				r.second()
			}
			tt.damage(d, filesOf(d, format.JournalSuffix)[0], filesOf(d, format.SegmentSuffix))
			var log strings.Builder
			var reports []Damage
			l := open(t, Options{FS: d, Sensors: rigSensors, Boot: "boot", pages: rigPages, Log: textLog(&log), Damaged: func(x Damage) { reports = append(reports, x) }})
			l.Expect("epoch", m.next, false)
			l.Begin("epoch", m.next)
			l.reportDamage()
			if tt.want == "" {
				if len(reports) > 0 || l.damages.all.Reason != "" || log.Len() > 0 {
					t.Errorf("reported: %+v; the log says %s", reports, &log)
				}
				return
			}
			if len(reports) != 1 || !strings.Contains(reports[0].Reason, tt.want) || reports[0].Readings < 2 || reports[0].Readings > tt.most {
				t.Errorf("reported: %+v, want one of 2 to %d readings: %s", reports, tt.most, tt.want)
			}
			if reason, n := l.Lost(); len(reports) > 0 && (reason != reports[0].Reason || n != reports[0].Readings) {
				t.Errorf("lost: %s, %d", reason, n)
			}
			if log.Len() == 0 {
				t.Error("nothing is logged")
			}
		})
	}
}

// In the first hour there is no segment that shows what the journal had; a directory that
// was never used, or that lost power before the first sync, has nothing to lose.
func TestDamageInTheFirstHour(t *testing.T) {
	var early *disktest.Inode // the journal as it was early on
	for _, tt := range []struct {
		name   string
		damage func(d *disktest.Disk, journal string)
		want   string // part of the reason; "": none
	}{
		{"none", func(*disktest.Disk, string) {}, ""},
		{"the journal is an earlier one", func(d *disktest.Disk, journal string) { d.Names[journal] = early }, "earlier time"},
		{"the newest pages are of zeros", func(d *disktest.Disk, journal string) {
			for n := range uint64(2) {
				clear(d.Names[journal].Now[(newestPage(d, journal)-n)%rigPages*4096:][:4096])
			}
		}, "earlier time"},
		{"the newest page is as it was when it was begun", func(d *disktest.Disk, journal string) {
			at := newestPage(d, journal) % rigPages * 4096
			copy(d.Names[journal].Now[at:][:4096], early.Now[at:])
		}, "earlier time"},
		{"the journal is emptied", func(d *disktest.Disk, journal string) { d.Names[journal].Now = nil }, "is empty"},
		{"the journal is of zeros", func(d *disktest.Disk, journal string) { clear(d.Names[journal].Now) }, "is empty"},
		{"the journal is a stranger's file", func(d *disktest.Disk, journal string) {
			for i := range d.Names[journal].Now {
				d.Names[journal].Now[i] = 'x'
			}
		}, "no page"},
		{"the journal is missing", func(d *disktest.Disk, journal string) { delete(d.Names, journal) }, "no file"},
		{"the newest page is damaged", func(d *disktest.Disk, journal string) {
			d.Names[journal].Now[newestPage(d, journal)%rigPages*4096+2000] ^= 1
		}, "newest pages"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, m := disktest.New(), newMaker(len(rigSensors))
			r := newRig(t, d, m)
			r.Expect("epoch", m.next, false)
			r.Begin("epoch", m.next)
			for n := range 5 {
				r.second()
				if n == 2 {
					early = d.Names[filesOf(d, format.JournalSuffix)[0]].Copy()
				}
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			tt.damage(d, filesOf(d, format.JournalSuffix)[0])
			l := open(t, Options{FS: d, Sensors: rigSensors, Boot: "boot", pages: rigPages})
			l.Expect("epoch", m.next, false)
			l.Begin("epoch", m.next)
			switch reason, n := l.Lost(); {
			case !strings.Contains(reason, tt.want) || tt.want == "" && reason != "":
				t.Errorf("lost: %q, want %q", reason, tt.want)
			case tt.want != "" && n < 2 || n > 30:
				t.Errorf("%d readings are lost: %s", n, reason)
			}
		})
	}
	d, m := disktest.New(), newMaker(len(rigSensors))
	r := newRig(t, d, m)
	r.Begin("epoch", m.next)
	r.maintain(r.now) // a journal is created
	d = d.Cut(m.rnd)
	l := open(t, Options{FS: d, Sensors: rigSensors, Boot: "next boot", pages: rigPages})
	l.Expect("epoch", m.next, true) // as the numbers were last stored
	l.Begin("epoch", []uint32{6000, 6000})
	if reason, n := l.Lost(); reason != "" || len(filesOf(d, format.JournalSuffix)) != 1 {
		t.Errorf("before the first reading: lost %q, %d readings; files %v", reason, n, filesOf(d, ""))
	}
}

func newestPage(d *disktest.Disk, journal string) uint64 {
	f, _ := d.Open(journal, false)
	return format.ReadJournal(f, 1, rigPages*4096).Newest
}

// Files are removed while the log runs: that is a loss from that moment on, and what
// is still in memory is written again.
func TestFilesAreRemovedMeanwhile(t *testing.T) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	r := newRig(t, d, m)
	var reports []Damage
	r.o.Damaged = func(x Damage) { reports = append(reports, x) }
	r.Begin("epoch", m.next)
	for range 56 {
		r.second()
	}
	sealed := r.index.Segments[len(r.index.Segments)-1]
	clear(d.Names) // the directory is renamed
	for range 3 {
		r.now = r.now.Add(searchEvery)
		r.second()
	}
	r.reportDamage()
	if len(reports) != 1 || reports[0].Readings < 200 {
		t.Fatalf("reported: %+v", reports)
	}
	last := sealed.Chapters[0].Last
	if from := r.Kept(0, ^uint32(0)); from != last+1 {
		t.Errorf("kept from %d on, want %d: all before were in segments", from, last+1)
	}
	same(t, all(t, r.Since(0, last)), m.of(0)[last+1:])
	if err := r.durable(); err != nil {
		t.Error(err)
	}
	if r.Size() != d.Size() {
		t.Errorf("%d bytes, said to be %d", d.Size(), r.Size())
	}
	l := open(t, Options{FS: d, Sensors: rigSensors, Boot: "boot", pages: rigPages})
	same(t, all(t, l.Since(0, ^uint32(0))), m.of(0)[last+1:])
}

// The directory is replaced by a copy, or the journal cut off, while the log runs: what
// is written to the file that is open is not there at the next start. So within a
// second it is written again.
func TestJournalIsReplacedMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(d *disktest.Disk, journal string)
	}{
		{"the directory is renamed, and a copy has its name", func(d *disktest.Disk, _ string) {
			for name, f := range d.Names {
				d.Names[name] = f.Copy()
			}
		}},
		{"the journal is replaced by a copy", func(d *disktest.Disk, journal string) { d.Names[journal] = d.Names[journal].Copy() }},
		{"the journal is cut off", func(d *disktest.Disk, journal string) { d.Names[journal].Now = d.Names[journal].Now[:4096] }},
		{"the journal is emptied", func(d *disktest.Disk, journal string) { d.Names[journal].Now = nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, m := disktest.New(), newMaker(len(rigSensors))
			r := newRig(t, d, m)
			r.Begin("epoch", m.next)
			for range 28 {
				r.second()
			}
			before := d.Size()
			tt.change(d, filesOf(d, format.JournalSuffix)[0])
			for range 3 {
				r.second()
			}
			if err := r.durable(); err != nil {
				t.Error(err)
			}
			if d.Size() > before+before/2 {
				t.Errorf("%d bytes are left, before %d", d.Size(), before)
			}
			l := open(t, Options{FS: d, Sensors: rigSensors, Boot: "boot", pages: rigPages})
			same(t, all(t, l.Since(0, ^uint32(0))), m.of(0))
			if reason, n := l.Lost(); reason != "" || n != 0 {
				t.Errorf("lost %d: %s", n, reason)
			}
		})
	}
}

// A segment that is cut off while the log runs is a loss from that moment on.
func TestSegmentIsCutOffMeanwhile(t *testing.T) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	r := newRig(t, d, m)
	r.Begin("epoch", m.next)
	for range 56 {
		r.second()
	}
	g := r.index.Segments[1]
	d.Names[g.Name].Now = nil
	all(t, r.Since(0, ^uint32(0))) // a reader finds a part of it first
	if _, n := r.Lost(); n == 0 || n >= g.Readings() {
		t.Errorf("the reader found %d of %d", n, g.Readings())
	}
	r.now = r.now.Add(searchEvery)
	r.second()
	if reason, n := r.Lost(); !strings.Contains(reason, g.Name) || n != g.Readings() {
		t.Errorf("lost %d: %s", n, reason)
	}
	if from, want := r.Kept(0, ^uint32(0)), g.Chapters[0].Last+1; from != want {
		t.Errorf("kept from %d on, want %d", from, want)
	}
}

// A reader that finds the file missing does not take that for eviction.
func TestReaderFindsAFileMissing(t *testing.T) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	r := newRig(t, d, m)
	r.Begin("epoch", m.next)
	for range 56 {
		r.second()
	}
	g := r.index.Segments[1]
	delete(d.Names, g.Name)
	all(t, r.Since(0, ^uint32(0)))
	if from, want := r.Kept(0, ^uint32(0)), g.Chapters[0].Last+1; from != want {
		t.Errorf("kept from %d on, want %d", from, want)
	}
	r.second()
	if reason, n := r.Lost(); reason == "" || n == 0 {
		t.Error("no damage is known")
	}
}
