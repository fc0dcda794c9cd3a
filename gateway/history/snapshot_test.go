package history

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/disk/disktest"
)

// copyOf is a directory with the files of a snapshot.
func copyOf(t *testing.T, s *Snapshot) FS {
	t.Helper()
	copied := disk.NewMemory()
	for _, f := range s.Files {
		data := make([]byte, f.Size)
		if n, err := f.ReadAt(data, 0); n < len(data) {
			t.Fatalf("%s: %d of %d bytes: %v", f.Name, n, len(data), err)
		}
		c, err := copied.Create(f.Name)
		if err == nil {
			_, err = c.WriteAt(data, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return copied
}

// watchedDisk calls step before each list, open and read.
type watchedDisk struct {
	*disktest.Disk
	step func()
}

func (d *watchedDisk) List(dir string) ([]disk.Info, error) {
	d.step()
	return d.Disk.List(dir)
}

func (d *watchedDisk) Open(name string, write bool) (disk.File, error) {
	d.step()
	f, err := d.Disk.Open(name, write)
	if err != nil {
		return nil, err
	}
	return watchedFile{f, d}, nil
}

type watchedFile struct {
	disk.File
	d *watchedDisk
}

func (f watchedFile) ReadAt(b []byte, at int64) (int, error) {
	f.d.step()
	return f.File.ReadAt(b, at)
}

// TestSnapshot: whatever the log does while it is read, at whichever step, a copy has
// all that was synced before, lacks nothing in the middle, and is damaged nowhere.
func TestSnapshot(t *testing.T) {
	for step := range 12 {
		for _, does := range []string{"nothing", "ticks", "seals", "seals and evicts"} {
			t.Run(fmt.Sprint(does, " at step ", step), func(t *testing.T) {
				d := disktest.New()
				l := open(t, Options{FS: d, Sensors: []string{"a"}, pages: 32, MaxBytes: 1 << 20})
				m := newMaker(1)
				l.Begin("epoch", m.next)
				now := time.Unix(1, 0)
				second := func() {
					for range 10 {
						l.Append(m.tick(), m.offset)
						l.write()
					}
					now = now.Add(time.Second)
					if err := l.sync(); err != nil {
						t.Error(err)
					}
					l.maintain(now)
				}
				for range 75 {
					second()
				}
				synced, steps := len(m.ticks), 0
				w := &watchedDisk{Disk: d}
				w.step = func() {
					if steps++; steps != step+1 {
						return
					}
					switch does {
					case "ticks":
						second()
						second()
					case "seals":
						for range 40 { // more than the journal has pages
							second()
						}
					case "seals and evicts":
						for range 40 {
							second()
						}
						_ = d.Remove(l.index.Segments[0].Name)
					}
				}
				s, err := takeSnapshot(w)
				if err != nil {
					t.Fatal(err)
				}
				copied := copyOf(t, s)
				s.Close()
				r, err := openReader(copied, noDamage(t))
				if err != nil {
					t.Fatal(err)
				}
				got := all(t, r.Between("a", 0, math.MaxInt64))
				if len(got) == 0 {
					t.Fatal("no records")
				}
				first, last := int(got[0].Seq), int(got[len(got)-1].Seq)
				if last < synced-1 || first > 0 && does != "seals and evicts" || len(got) != last-first+1 {
					t.Errorf("%d records from %d to %d, of %d", len(got), first, last, synced)
				}
				same(t, got, m.of(0)[first:last+1])
				var found []Damage
				back := open(t, Options{FS: copied, Sensors: []string{"a"}, pages: 32, Damaged: func(x Damage) { found = append(found, x) }})
				if lost, n := back.Lost(); n > 0 || len(found) > 0 {
					t.Errorf("the copy has lost %d readings: %v %v", n, lost, found)
				}
				_ = back.Close()
			})
		}
	}
}

func TestSnapshotOfDamage(t *testing.T) {
	d := disktest.New()
	l := open(t, Options{FS: d, Sensors: []string{"a"}, pages: 32})
	m := newMaker(1)
	l.Begin("epoch", m.next)
	for i := range 20 {
		l.Append(m.tick(), m.offset)
		l.write()
		_ = l.sync()
		l.maintain(time.Unix(int64(i+1), 0))
	}
	files, err := d.List("")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name, ".journal") {
			continue
		}
		file, err := d.Open(f.Name, true)
		if err == nil {
			_, err = file.WriteAt([]byte{0xFF}, 5*4096+100)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := takeSnapshot(d) // as it is, for damage is no reason to have no copy of the rest
	if err != nil || len(s.Files) == 0 {
		t.Fatal(s, err)
	}
	s.Close()
	if _, err := TakeSnapshot(t.TempDir() + "/missing"); err == nil {
		t.Error("a directory that is missing has a snapshot")
	}
}
