package history

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/index"
)

// blocksOf returns the chapters of a sensor in segments and where their blocks are.
func blocksOf(t *testing.T, l *Log, sensor string) (chapters []*index.Chapter, places [][]format.Place) {
	t.Helper()
	for _, c := range l.index.Streams[sensor].Chapters {
		f, err := l.fs.Open(c.Segment.Name, false)
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.Places(f)
		if err != nil {
			t.Fatal(err)
		}
		chapters, places = append(chapters, c), append(places, p)
	}
	return chapters, places
}

// What is damaged is known and logged before anybody reads it, and nothing else is
// taken for damaged.
func TestScrub(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(d *disktest.Disk, c *index.Chapter, p format.Place)
		lost   bool
		logged string
	}{
		{"intact", func(*disktest.Disk, *index.Chapter, format.Place) {}, false, ""},
		{"a block", func(d *disktest.Disk, c *index.Chapter, p format.Place) {
			d.Names[c.Segment.Name].Now[p.At+int64(p.Length)-1] ^= 1
		}, true, "a block is damaged"},
		{"an index", func(d *disktest.Disk, c *index.Chapter, _ format.Place) { d.Names[c.Segment.Name].Now[c.Index] ^= 1 }, false, "are used"},
		{"cut off", func(d *disktest.Disk, c *index.Chapter, p format.Place) {
			f := d.Names[c.Segment.Name]
			f.Now = f.Now[:p.At+1]
		}, true, "unexpected EOF"},
		{"a sector that cannot be read", func(d *disktest.Disk, c *index.Chapter, _ format.Place) {
			d.Fail = func(_ int, what, name string) error {
				if what == "read" && name == c.Segment.Name {
					return syscall.EIO
				}
				return nil
			}
		}, true, syscall.EIO.Error()},
		{"no descriptors", func(d *disktest.Disk, c *index.Chapter, _ format.Place) {
			d.Fail = func(_ int, what, _ string) error {
				if what == "open" {
					return syscall.EMFILE
				}
				return nil
			}
		}, false, ""},
		{"removed by something else", func(d *disktest.Disk, c *index.Chapter, _ format.Place) { delete(d.Names, c.Segment.Name) }, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, m := disktest.New(), newMaker(len(rigSensors))
			r := newRig(t, d, m)
			r.Begin("epoch", m.next)
			for range 100 {
				r.second()
			}
			var log strings.Builder
			r.Log.log = textLog(&log)
			chapters, places := blocksOf(t, r.Log, "outdoor")
			c := chapters[len(chapters)/2]
			block := places[len(chapters)/2][0]
			tt.damage(d, c, block)
			s, seen := scrubber{Log: r.Log, chapter: -1}, map[*index.Chapter]int{}
			for range 4 * len(r.index.Segments) { // two rounds: each has a chapter of both sensors
				s.scrub(t.Context())
				for _, g := range r.index.Segments {
					if g.Number == s.segment {
						seen[g.Chapters[s.chapter]]++
					}
				}
			}
			for _, g := range r.index.Segments {
				for _, c := range g.Chapters {
					if seen[c] != 2 {
						t.Errorf("%s, %s: read %d times in two rounds", g.Name, c.Origin.Sensor, seen[c])
					}
				}
			}
			from := r.Kept(1, ^uint32(0))
			if lost := from > 0; lost != tt.lost || lost && (from <= block.Last || from > c.Last+1) {
				t.Errorf("kept from %d on; %d to %d are damaged: %v", from, block.First, block.Last, tt.lost)
			}
			if reason, n := r.Lost(); (n > 0) != (tt.lost && tt.logged != "") || n > c.Segment.Readings() || n > 0 && !strings.Contains(reason, c.Segment.Name) {
				t.Errorf("lost: %q, %d readings", reason, n)
			}
			if n := strings.Count(log.String(), "cannot be read"); tt.lost && tt.logged != "" && n > len(c.Segment.Chapters)+len(places[len(chapters)/2]) {
				t.Errorf("logged %d times in two rounds: %s", n, &log)
			}
			if !strings.Contains(log.String(), tt.logged) || tt.logged == "" && log.Len() > 0 {
				t.Errorf("the log says %q, want %q", &log, tt.logged)
			}
			d.Fail = nil
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// sixHours returns a log that had a tick a minute for so long, and has ended.
func sixHours(t *testing.T, o Options, m *maker) *Log {
	l := open(t, o)
	l.Begin("epoch", m.next)
	stop := start(t, l)
	synctest.Wait()
	for range 6 * 60 {
		l.Append(m.tick(), m.offset)
		<-time.After(time.Minute)
	}
	stop()
	return l
}

// Run reads all of it within a day, beside its work, and ends it.
func TestScrubRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, m := disktest.New(), newMaker(len(rigSensors))
		m.every = 60_000
		var log strings.Builder
		o := Options{FS: d, Sensors: rigSensors, Log: textLog(&log), pages: 64}
		l := sixHours(t, o, m)
		chapters, places := blocksOf(t, l, "indoor")
		d.Names[chapters[1].Segment.Name].Now[places[1][0].At+50] ^= 1
		var reports []Damage
		o.Damaged = func(d Damage) { reports = append(reports, d) }
		l = open(t, o)
		if from := l.Kept(0, ^uint32(0)); from != 0 || log.Len() > 0 {
			t.Fatalf("kept from %d on; the log says %s", from, &log)
		}
		stop := start(t, l)
		<-time.After(scrubRound)
		if from, want := l.Kept(0, ^uint32(0)), places[1][0].Last+1; from != want {
			t.Errorf("kept from %d on, want %d", from, want)
		}
		for range 2 { // whoever reads it finds the same damage
			all(t, l.Since(0, ^uint32(0)))
			<-time.After(2 * time.Second)
		}
		stop()
		if n := strings.Count(log.String(), "readings cannot be read"); n != 1 {
			t.Errorf("it is logged %d times: %s", n, &log)
		}
		if s := places[1][0].Summary; len(reports) != 1 || reports[0].Readings != s.Count() || !strings.Contains(reports[0].Reason, chapters[1].Segment.Name) {
			t.Errorf("reported: %+v, want one of %d readings", reports, s.Count())
		}
	})
}

// A scrub that is cancelled ends between two blocks.
func TestScrubEnds(t *testing.T) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	m.every = 30_000 // so that a chapter has many blocks
	r := newRig(t, d, m)
	r.Begin("epoch", m.next)
	for range 100 {
		r.second()
	}
	ctx, cancel := context.WithCancel(t.Context())
	reads := 0
	d.Fail = func(_ int, what, _ string) error {
		if what == "read" {
			if reads++; reads == 2 { // the first was of the index
				cancel()
			}
		}
		return nil
	}
	s := scrubber{Log: r.Log, chapter: -1}
	s.scrub(ctx)
	if reads != 2 {
		t.Errorf("%d reads", reads)
	}
}

// Each start begins to read elsewhere: a machine that is on for some hours a day reads all in
// the end.
func TestScrubBeginsAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, m := disktest.New(), newMaker(len(rigSensors))
		m.every = 60_000
		o := Options{FS: d, Sensors: rigSensors, pages: 64}
		sixHours(t, o, m)
		first := map[string]bool{}
		for range 40 {
			l := open(t, o)
			stop := start(t, l)
			synctest.Wait()
			read := ""
			d.Mu.Lock()
			d.Fail = func(_ int, what, name string) error {
				if what == "read" && strings.HasSuffix(name, format.SegmentSuffix) && read == "" {
					read = name
				}
				return nil
			}
			d.Mu.Unlock()
			<-time.After(61 * time.Minute) // one chapter of both sensors at the least
			synctest.Wait()
			d.Mu.Lock()
			d.Fail = nil
			d.Mu.Unlock()
			stop()
			first[read] = true
		}
		if len(first) < 2 || first[""] {
			t.Errorf("40 starts began with %v", first)
		}
	})
}
