package history

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/recovery"
)

// What was set aside is counted, also after a restart, and goes before any
// reading does; what somebody else put there is left alone.
func TestSetAsideIsBounded(t *testing.T) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	r := newRig(t, d, m)
	r.Begin("epoch", m.next)
	for range 20 {
		r.second()
	}
	for name, f := range d.Names { // a page that was synced is damaged
		if strings.HasSuffix(name, format.JournalSuffix) {
			f.Now[int64((r.journal.Synced-1)%rigPages)*4096+100] ^= 1
		}
	}
	const junk = 20 << 10
	for _, name := range []string{"0000000000000100.segment", "0000000000000101.segment", "damaged/0000000000000002.segment", "damaged/mine"} {
		d.Names[name] = &disktest.Inode{Now: make([]byte, junk)}
	}
	r = newRig(t, d, m)
	r.Begin("epoch", m.next)
	away := func() (names []string) {
		for _, name := range slices.Sorted(maps.Keys(d.Names)) {
			if short, ok := strings.CutPrefix(name, recovery.DamagedDir+"/"); ok {
				names = append(names, short)
			}
		}
		return names
	}
	all := []string{"0000000000000001.journal", "0000000000000002.segment", "0000000000000100.segment", "0000000000000101.segment", "mine"}
	if got := away(); !slices.Equal(got, all) {
		t.Fatalf("set aside: %v, want %v", got, all)
	}
	whole := d.Size() + 3*junk + rigPages*4096
	if r.Size() != whole {
		t.Errorf("%d bytes, want %d", r.Size(), whole)
	}
	var log strings.Builder
	r = newRig(t, d, m)
	r.Log.log = textLog(&log)
	r.Begin("epoch", m.next)
	if r.Size() != whole {
		t.Errorf("%d bytes after a restart, want %d", r.Size(), whole)
	}

	r.o.MaxBytes = whole - junk
	d.Fail = func(_ int, what, name string) error {
		if what == "remove" && strings.HasPrefix(name, recovery.DamagedDir) {
			return syscall.EACCES
		}
		return nil
	}
	kept := r.Kept(0, ^uint32(0))
	r.second()
	if got := away(); !slices.Equal(got, all) {
		t.Fatalf("%v is left of what cannot be removed", got)
	}
	d.Fail = nil
	r.second()
	if got := away(); !slices.Equal(got, all[1:]) {
		t.Errorf("%v is left, want %v", got, all[1:])
	}
	r.o.MaxBytes -= rigPages * 4096
	r.second()
	if got := away(); !slices.Equal(got, all[2:]) {
		t.Errorf("%v is left, want %v", got, all[2:])
	}
	if n := strings.Count(log.String(), "that was set aside is removed"); n != 1 {
		t.Errorf("it is logged %d times:\n%s", n, &log)
	}
	if from := r.Kept(0, ^uint32(0)); from != kept {
		t.Errorf("readings are kept from %d on, before it was %d", from, kept)
	}
	r.o.MaxBytes = 72 << 10
	for range 200 {
		r.second()
	}
	if got := away(); !slices.Equal(got, all[4:]) {
		t.Errorf("%v is left, want what is somebody's own", got)
	}
	if size := d.Size(); r.Size() != size || size > r.o.MaxBytes {
		t.Errorf("%d bytes, said to be %d, allowed are %d", size, r.Size(), r.o.MaxBytes)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// A file that has the name of the directory of what is set aside is moved out of the way.
func TestSetAsideInTheWay(t *testing.T) {
	dir := t.TempDir()
	segment := format.SegmentName(1)
	for _, name := range []string{segment, recovery.DamagedDir} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("not ours"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := open(t, Options{Dir: dir, Sensors: rigSensors})
	if err := l.Durable(); err != errStarting {
		t.Errorf("durable: %v", err)
	}
	for _, pattern := range []string{filepath.Join(recovery.DamagedDir, segment), recovery.DamagedDir + ".file-*"} {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) != 1 {
			t.Errorf("%s: %v", pattern, found)
		}
	}
}
