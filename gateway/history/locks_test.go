package history

import (
	"strings"
	"syscall"
	"testing"

	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/recovery"
)

// No file operation, except the write of a page, is made under a lock that a tick, a
// client or the writer of pages may wait for: whether the disk comes late, is damaged
// or not, fails, or is full.
func TestLocksAndFiles(t *testing.T) {
	for name, damaged := range map[string]bool{"intact": false, "damaged": true} {
		t.Run(name, func(t *testing.T) { locksAndFiles(t, damaged) })
	}
}

func locksAndFiles(t *testing.T, damaged bool) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	r := newRig(t, d, m)
	r.Begin("epoch", m.next)
	for range 20 {
		r.second()
	}
	if err := r.seal(false); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		r.second()
	}
	for name, f := range d.Names { // a page that was synced is damaged
		if damaged && strings.HasSuffix(name, format.JournalSuffix) {
			f.Now[int64((r.journal.Synced-1)%rigPages)*4096+100] ^= 1
		}
	}

	d.Fail = func(int, string, string) error { return syscall.EACCES }
	r = newRig(t, d, m)
	r.Begin("epoch", m.next)
	operations := map[string]bool{}
	failing := false
	d.Fail = func(_ int, what, name string) error {
		kind := what
		for _, suffix := range []string{format.JournalSuffix, format.SegmentSuffix} {
			if strings.Contains(name, suffix) {
				kind += suffix
			}
		}
		operations[kind], operations[name] = true, true
		if !r.mu.TryLock() {
			t.Errorf("%s of %q holds up ticks and clients", what, name)
		} else {
			r.mu.Unlock()
		}
		select {
		case r.Log.disk <- struct{}{}:
			<-r.Log.disk
		default:
			if kind != "write"+format.JournalSuffix {
				t.Errorf("%s of %q holds up the pages", what, name)
			}
		}
		if failing && kind == "write"+format.JournalSuffix {
			return syscall.EIO
		}
		return nil
	}
	second := func() {
		r.now = r.now.Add(retryMax)
		r.second()
		all(t, r.Since(0, ^uint32(0)))
	}
	for range 10 {
		second()
	}
	failing = true
	second()
	failing = false
	r.o.MaxBytes = 56 << 10
	for range 100 {
		second()
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if !operations[recovery.DamagedDir] && damaged {
		t.Error("nothing was set aside")
	}
	for _, kind := range []string{"remove.journal", "create.journal", "create.segment", "remove.segment", "open.segment", "list"} {
		if !operations[kind] {
			t.Errorf("there was none: %s", kind)
		}
	}
}
