package collect

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/gateway/history/format"
)

// unwritable drives a collection on a simulated disk, on which no file can be made in the
// log of one of its gateways.
type unwritable struct {
	*Collection
	disk   *disktest.Disk
	device *device
	told   strings.Builder // the collection's warnings, once it has ended
	sent   int             // records of each sensor
	stop   func()
}

// openUnwritable starts one within synctest. pi-2 cannot be written.
func openUnwritable(t *testing.T) *unwritable {
	t.Helper()
	u := &unwritable{disk: disktest.New(), device: newDevice(rand.New(rand.NewPCG(63, 1)), "e", 20_000)}
	u.disk.Fail = func(_ int, what, name string) error {
		if what == "create" && strings.HasPrefix(name, "pi-2/") {
			return syscall.EACCES
		}
		return nil
	}
	c, err := Open(Options{Dir: "hub", FS: u.disk, Log: slog.New(slog.NewTextHandler(&u.told, nil))})
	if err != nil {
		t.Fatal(err)
	}
	u.Collection = c
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	synctest.Wait() // until what was there at the start is moved
	u.stop = func() { cancel(); <-ended }
	return u
}

// hours has some records of all gateways come in each minute.
func (u *unwritable) hours(t *testing.T, n float64) {
	t.Helper()
	for range int(n * 60) {
		for _, gateway := range []string{"pi-1", "pi-2", "pi-3", "pi-4"} {
			appendAll(t, u.Collection, gateway, u.device.blocks("indoor", u.sent, u.sent+20))
		}
		u.sent += 20
		<-time.After(time.Minute)
	}
	synctest.Wait()
}

// files returns how many files there are, and their bytes.
func (u *unwritable) files(prefix, suffix string) (n, size int) {
	u.disk.Mu.Lock()
	defer u.disk.Mu.Unlock()
	for name, f := range u.disk.Names {
		if strings.HasPrefix(name, prefix) && strings.HasSuffix(name, suffix) {
			n, size = n+1, size+len(f.Now)
		}
	}
	return n, size
}

// mend lets all be written.
func (u *unwritable) mend() {
	u.disk.Mu.Lock()
	defer u.disk.Mu.Unlock()
	u.disk.Fail = nil
}

// TestUnwritableLog holds that a log that cannot be written costs the others nothing: they get
// a file an hour, and the intake keeps no more than what it needs; and that nothing is lost of
// that log.
func TestUnwritableLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := openUnwritable(t)
		u.hours(t, 3)
		if n, _ := u.files("pi-1/", format.SegmentSuffix); n < 2 || n > 3 {
			t.Errorf("another gateway has %d segments of three hours", n)
		}
		u.hours(t, 9)
		if n, size := u.files("pi-2/", format.SegmentSuffix); n > 0 {
			t.Errorf("the log that cannot be written has %d bytes", size)
		}
		_, needed := u.files("pi-1/", format.SegmentSuffix) // as much as is waiting of pi-2
		if _, size := u.files(intakeDir, intakeSuffix); size > 2*needed+needed/2 {
			t.Errorf("the intake has %d bytes, of which %d are needed", size, needed)
		}
		if killed, err := Open(Options{Dir: "hub", FS: u.killed(), Log: slog.New(slog.DiscardHandler)}); err != nil {
			t.Error(err)
		} else {
			same(t, "after a crash", drain(t, reader(t, killed, "pi-2", "e").Since(0, u.device.records["indoor"][0].Seq-1)), u.device.records["indoor"][:u.sent])
		}
		u.mend()
		u.hours(t, 3)
		if n, _ := u.files(intakeDir, intakeSuffix); n > 2 {
			t.Errorf("the intake has %d files when all can be written", n)
		}
		for _, gateway := range []string{"pi-1", "pi-2"} {
			same(t, gateway, drain(t, reader(t, u.Collection, gateway, "e").Since(0, u.device.records["indoor"][0].Seq-1)), u.device.records["indoor"][:u.sent])
		}
		u.stop()
		if n, _ := u.files(intakeDir, intakeSuffix); n > 0 {
			t.Errorf("the intake has %d files after the end", n)
		}
	})
}

// killed returns the disk as the next process finds it.
func (u *unwritable) killed() *disktest.Disk {
	u.disk.Mu.Lock()
	defer u.disk.Mu.Unlock()
	return u.disk.Killed()
}

// TestRottenIntake holds that a block that is damaged in the intake while the hub runs costs
// itself only.
func TestRottenIntake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := openUnwritable(t)
		u.mend()
		u.hours(t, 1.5)
		u.disk.Mu.Lock()
		rotten := 0
		for name, f := range u.disk.Names {
			if strings.HasPrefix(name, intakeDir) {
				f.Now[len(f.Now)-1] ^= 1 // of pi-4
				rotten++
			}
		}
		u.disk.Mu.Unlock()
		if rotten != 1 {
			t.Fatalf("the intake has %d files", rotten)
		}
		u.hours(t, 2)
		u.stop()
		if n, _ := u.files(intakeDir, intakeSuffix); n > 0 {
			t.Errorf("the intake has %d files after the end", n)
		}
		c, err := Open(u.o)
		if err != nil {
			t.Fatal(err)
		}
		records := u.device.records["indoor"]
		same(t, "of another gateway", drain(t, reader(t, c, "pi-3", "e").Since(0, records[0].Seq-1)), records[:u.sent])
		got := drain(t, reader(t, c, "pi-4", "e").Since(0, records[0].Seq-1))
		if len(got) < u.sent-20 || len(got) >= u.sent {
			t.Errorf("%d records of %d are there", len(got), u.sent)
		}
		if n := strings.Count(u.told.String(), "is lost unless"); n != 1 {
			t.Errorf("damage is told %d times:\n%s", n, &u.told)
		}
	})
}
