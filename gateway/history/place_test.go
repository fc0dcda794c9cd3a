package history

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/recovery"
)

// Files that have wrong names, exist twice or are not the log's are no loss: all
// readings come out, once and in order, and none is evicted for them.
func TestFilesInTheWrongPlace(t *testing.T) {
	var early *inode // the journal as it was five seconds before
	for _, tt := range []struct {
		name     string
		misplace func(d *testDisk, journal string, segments []string)
		aside    int
	}{
		{"swapped", func(d *testDisk, _ string, s []string) { d.names[s[1]], d.names[s[3]] = d.names[s[3]], d.names[s[1]] }, 0},
		{"renamed to the end", func(d *testDisk, _ string, s []string) {
			d.names["fffffffffffffff9.segment"] = d.names[s[2]]
			delete(d.names, s[2])
		}, 0},
		{"doubled", func(d *testDisk, _ string, s []string) { d.names["fffffffffffffff9.segment"] = d.names[s[2]] }, 1},
		{"a journal that is too large", func(d *testDisk, _ string, _ []string) {
			d.names["fffffffffffffff9.journal"] = &inode{now: make([]byte, 65<<20), dirty: map[int64]bool{}}
		}, 1},
		{"an empty journal", func(d *testDisk, _ string, _ []string) {
			d.names["fffffffffffffff9.journal"] = &inode{now: make([]byte, rigPages*4096), dirty: map[int64]bool{}}
		}, 0},
		{"a copy of the journal", func(d *testDisk, journal string, _ []string) {
			d.names["fffffffffffffff9.journal"] = d.names[journal].copy()
		}, 0},
		{"an earlier copy of the journal", func(d *testDisk, _ string, _ []string) { d.names["fffffffffffffff9.journal"] = early }, 0},
		{"a segment that is too large", func(d *testDisk, _ string, _ []string) {
			d.names["fffffffffffffff9.segment"] = &inode{now: make([]byte, 65<<20), dirty: map[int64]bool{}}
		}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, m := newTestDisk(), newMaker(len(rigSensors))
			r := newRig(t, d, m)
			r.Begin("epoch", m.next)
			for n := range 60 {
				if r.second(); n == 54 {
					early = d.names[filesOf(d, format.JournalSuffix)[0]].copy()
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
	d, m := newTestDisk(), newMaker(len(rigSensors))
	d.fail = func(_ int, what, name string) error {
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
