package history

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/gateway/history/format"
)

const day = 24 * 60 * 60 * 1000 // ms

// retainRig has a log of segments of 12 s each, as old as MaxAge allows.
func retainRig(t *testing.T) (r *rig, reports *[]Eviction) {
	t.Helper()
	r = newRig(t, disktest.New(), newMaker(len(rigSensors)))
	r.made.every = 333
	reports = &[]Eviction{}
	r.o.Evicted = func(e Eviction) { *reports = append(*reports, e) }
	r.o.MaxAge = 200 * time.Second
	r.Begin("epoch", r.made.next)
	for range 300 {
		r.second()
	}
	return r, reports
}

// step sets the system clock.
func (r *rig) step(ms int64) { r.made.at, r.made.offset = r.made.at+ms, r.made.offset+ms }

// oldest returns how many seconds ago the oldest record was made.
func (r *rig) retained() int { return int(r.made.next[0]-r.Kept(0, ^uint32(0))) / 3 }

// Readings are retained for MaxAge, and a segment longer, since it is evicted as a
// whole. That is ordinary, and not reported.
func TestRetentionByAge(t *testing.T) {
	r, reports := retainRig(t)
	if s := r.retained(); s < 200 || s > 225 {
		t.Errorf("%d seconds are retained, want 200 to 225", s)
	}
	if len(*reports) > 0 {
		t.Errorf("reported: %+v", *reports)
	}
}

// The clock is wrong by a month for some seconds. Not more is evicted than without.
func TestWrongDateForSeconds(t *testing.T) {
	for name, step := range map[string]int64{"ahead": 30 * day, "behind": -30 * day} {
		t.Run(name, func(t *testing.T) {
			r, _ := retainRig(t)
			r.step(step)
			for range 4 {
				r.second()
			}
			if s := r.retained(); s < 190 {
				t.Errorf("%d seconds are retained after 4 s of a wrong date, want 200", s)
			}
			r.step(-step)
			for range 300 { // what was made with the wrong date holds nothing up
				r.second()
				if s := r.retained(); s < 190 || s > 240 {
					t.Fatalf("%d seconds are retained after the date was set right, want 200 to 240", s)
				}
			}
		})
	}
}

// A clock that stays ahead evicts what is too old by it, but slowly, and that is
// reported with the reason.
func TestClockStaysAhead(t *testing.T) {
	r, reports := retainRig(t)
	before := r.retained()
	r.step(30 * day)
	for range 60 {
		r.second()
	}
	if s := r.retained(); s < before-60-15 || s > before-30 {
		t.Errorf("%d seconds are retained after a minute, before it were %d: want about a minute less", s, before)
	}
	if len(*reports) == 0 || (*reports)[0].Readings == 0 || (*reports)[0].Reason == "" || (*reports)[0].To <= (*reports)[0].From {
		t.Errorf("reported: %+v", *reports)
	}
	for range 300 {
		r.second()
	}
	if s := r.retained(); s > 225 {
		t.Errorf("%d seconds are retained in the end, want 200 to 225", s)
	}
}

// MaxBytes was lowered: what does not fit is evicted at once, and reported.
func TestSizeIsLowered(t *testing.T) {
	r, reports := retainRig(t)
	r.o.MaxBytes = (r.Size() + rigPages*4096) / 2
	r.second()
	if r.Size() > r.o.MaxBytes {
		t.Errorf("%d bytes, allowed are %d", r.Size(), r.o.MaxBytes)
	}
	if len(*reports) != 1 || (*reports)[0].Readings < 100 {
		t.Errorf("reported: %+v", *reports)
	}
	*reports = nil
	for range 100 { // from then on it is one segment for another
		r.second()
	}
	if len(*reports) > 0 {
		t.Errorf("reported: %+v", *reports)
	}
}

// limit makes a disk of so many bytes.
func limit(d *disktest.Disk, bytes int) {
	d.Fail = func(_ int, what, name string) error {
		if what != "write" || d.Names[name] == nil {
			return nil
		}
		n := 0
		for _, f := range d.Names {
			n += len(f.Now)
		}
		if n >= bytes && !strings.HasSuffix(name, format.JournalSuffix) { // which has its space already
			return syscall.ENOSPC
		}
		return nil
	}
}

// A partition is smaller than MaxBytes: the oldest readings make room for the newest.
func TestPartitionIsSmall(t *testing.T) {
	r, reports := retainRig(t)
	r.o.MaxAge = time.Hour
	limit(r.disk, int(r.disk.Size())+2048)
	for range 300 {
		r.second()
		if err := r.durable(); err != nil {
			t.Fatal(err)
		}
	}
	if s := r.retained(); s < 150 || s > 300 {
		t.Errorf("%d seconds are retained, want about 230", s)
	}
	same(t, all(t, r.Since(0, r.Kept(0, ^uint32(0))-1)), r.made.of(0)[r.Kept(0, ^uint32(0)):])
	if len(*reports) != 1 || !strings.Contains((*reports)[0].Reason, "full") {
		t.Errorf("reported: %+v", *reports)
	}
}

// A size beyond the disk's is logged at the start and lowered; another is not.
func TestSizeIsLoweredToTheDisk(t *testing.T) {
	for space, want := range map[int64]int64{10 << 20: 9 << 20, 100 << 20: 64 << 20} {
		d := disktest.New()
		d.Capacity = space
		var log strings.Builder
		l := open(t, Options{FS: d, Sensors: rigSensors, MaxBytes: 64 << 20, Log: textLog(&log)})
		if l.o.MaxBytes != want {
			t.Errorf("a disk of %d bytes: readings have %d, want %d", space, l.o.MaxBytes, want)
		}
		if lowered := strings.Contains(log.String(), "lowered_mib=9"); lowered != (want < 64<<20) {
			t.Errorf("a disk of %d bytes: the log says %q", space, &log)
		}
	}
}

// Something else fills the disk: not all of the readings are evicted for that at once,
// and those that are too old still are.
func TestSomethingElseFillsTheDisk(t *testing.T) {
	r, _ := retainRig(t)
	limit(r.disk, 0)
	before := r.retained()
	for range 20 {
		r.second()
	}
	if s := r.retained(); s < before/2 {
		t.Errorf("%d seconds are retained of %d", s, before)
	}
}

// The same at a start, at which what is in the journal needs a segment: a page of it is damaged.
func TestSomethingElseFillsTheDiskAtAStart(t *testing.T) {
	r, _ := retainRig(t)
	for r.journal.Seq-r.journal.Through < 5 {
		r.second()
	}
	journal := filesOf(r.disk, format.JournalSuffix)[0]
	r.disk.Names[journal].Now[(newestPage(r.disk, journal)-1)%rigPages*4096+2000] ^= 1
	limit(r.disk, 0)
	before := len(r.index.Segments)
	r = newRig(t, r.disk, r.made)
	once := len(r.index.Segments)
	if once < 2 || once >= before || r.durable() == nil {
		t.Fatalf("%d segments of %d are left by the first try: %v", once, before, r.durable())
	}
	r.Begin("epoch", r.made.next)
	for range 20 {
		r.second()
	}
	if n := len(r.index.Segments); n != once {
		t.Errorf("%d segments of %d are left: for an hour nothing more is evicted", n, once)
	}
}

// The disk is full, and eight days pass, while the gateway runs or while it is off: what
// is too old is evicted although no segment can be written, and what is made is stored
// once there is room.
func TestExpiredOnAFullDisk(t *testing.T) {
	for name, restart := range map[string]bool{"running": false, "off": true} {
		t.Run(name, func(t *testing.T) {
			r, _ := retainRig(t)
			limit(r.disk, 0) // something else fills it
			for range 30 {
				r.second()
			}
			if r.durable() == nil {
				t.Fatal("readings are durable on a full disk")
			}
			old := len(r.index.Segments)
			r.made.at += 8 * day
			r.now = r.now.Add(8 * 24 * time.Hour)
			if restart {
				now := r.now
				r = newRig(t, r.disk, r.made)
				r.now, r.o.MaxAge = now, 200*time.Second
				r.Begin("epoch", r.made.next)
			}
			first := r.made.next[0]
			for range 150 { // what 200 s made is evicted in 100 s at least
				r.second()
			}
			if n := len(r.index.Segments); n != 1 {
				t.Errorf("%d segments of %d are left, want the newest", n, old)
			}
			r.disk.Fail = nil
			for range 2 * int(retryMax/time.Second) {
				r.second()
			}
			if err := r.durable(); err != nil {
				t.Error(err)
			}
			same(t, all(t, r.Since(0, first-1)), r.made.of(0)[first:])
		})
	}
}
