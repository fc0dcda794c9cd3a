package history

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/recovery"
)

// Files that have wrong names, exist twice or are not the log's are no loss: all
// readings come out, once and in order, and none is evicted for them.
func TestFilesInTheWrongPlace(t *testing.T) {
	var early *disktest.Inode // the journal as it was five seconds before
	for _, tt := range []struct {
		name     string
		misplace func(d *disktest.Disk, journal string, segments []string)
		aside    int
	}{
		{"swapped", func(d *disktest.Disk, _ string, s []string) {
			d.Names[s[1]], d.Names[s[3]] = d.Names[s[3]], d.Names[s[1]]
		}, 0},
		{"renamed to the end", func(d *disktest.Disk, _ string, s []string) {
			d.Names["fffffffffffffff9.segment"] = d.Names[s[2]]
			delete(d.Names, s[2])
		}, 0},
		{"doubled", func(d *disktest.Disk, _ string, s []string) { d.Names["fffffffffffffff9.segment"] = d.Names[s[2]] }, 1},
		{"a journal that is too large", func(d *disktest.Disk, _ string, _ []string) {
			d.Names["fffffffffffffff9.journal"] = &disktest.Inode{Now: make([]byte, 65<<20)}
		}, 1},
		{"an empty journal", func(d *disktest.Disk, _ string, _ []string) {
			d.Names["fffffffffffffff9.journal"] = &disktest.Inode{Now: make([]byte, rigPages*4096)}
		}, 0},
		{"a copy of the journal", func(d *disktest.Disk, journal string, _ []string) {
			d.Names["fffffffffffffff9.journal"] = d.Names[journal].Copy()
		}, 0},
		{"an earlier copy of the journal", func(d *disktest.Disk, _ string, _ []string) { d.Names["fffffffffffffff9.journal"] = early }, 0},
		{"a segment that is too large", func(d *disktest.Disk, _ string, _ []string) {
			d.Names["fffffffffffffff9.segment"] = &disktest.Inode{Now: make([]byte, 65<<20)}
		}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, m := disktest.New(), newMaker(len(rigSensors))
			r := newRig(t, d, m)
			r.Begin("epoch", m.next)
			for n := range 60 {
				if r.second(); n == 54 {
					early = d.Names[filesOf(d, format.JournalSuffix)[0]].Copy()
				}
			}
			tt.misplace(d, filesOf(d, format.JournalSuffix)[0], filesOf(d, format.SegmentSuffix))
			var log strings.Builder
			for start := range 2 {
				r = newRig(t, d, m)
				r.Log.log = textLog(&log)
				r.Begin("epoch", m.next)
				for range 20 {
					r.second()
				}
				for i := range rigSensors {
					same(t, all(t, r.Since(uint16(i), ^uint32(0))), m.of(i))
					same(t, all(t, r.Between(uint16(i), 0, math.MaxInt64)), m.of(i))
				}
				if from := r.Kept(0, ^uint32(0)); from != 0 {
					t.Errorf("start %d: kept from %d on", start, from)
				}
				if err := r.durable(); err != nil {
					t.Error(err)
				}
				if reason, n := r.Lost(); n != 0 || strings.Contains(reason, "missing") {
					t.Errorf("start %d: lost %d: %s", start, n, reason)
				}
				if files, _ := d.List(recovery.DamagedDir); len(files) != tt.aside {
					t.Errorf("set aside are %v, want %d", files, tt.aside)
				}
			}
		})
	}
}

// Something else has the name that the next journal would have.
func TestNameOfTheJournalIsTaken(t *testing.T) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	d.Fail = func(_ int, what, name string) error {
		if what == "rename" && strings.HasPrefix(name, format.JournalName(1)) {
			return fmt.Errorf("file exists")
		}
		return nil
	}
	r := newRig(t, d, m)
	r.Begin("epoch", m.next)
	for range 5 {
		r.second()
	}
	if err := r.durable(); err != nil {
		t.Error(err)
	}
	same(t, all(t, r.Since(0, ^uint32(0))), m.of(0))
}
