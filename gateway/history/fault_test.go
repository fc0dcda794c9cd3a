package history

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/gateway/history/format"
	"sensorgateway/wire"
)

var errnos = []syscall.Errno{syscall.ENOSPC, syscall.EROFS, syscall.EACCES, syscall.EMFILE, syscall.EIO}

// Each operation fails in turn, once or from then on for a while. What was said
// to be durable is there in the end; so is all the rest, for memory has room.
func TestEveryOperationFails(t *testing.T) {
	step := soakOr(1, 11)
	for _, errno := range errnos {
		for _, once := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v,once=%v", errno, once), func(t *testing.T) {
				for n := 1; ; n += step {
					memory := ""
					if n%2 == 0 {
						memory = filepath.Join(t.TempDir(), "page")
					}
					if done, err := failFrom(n, once, errno, memory); err != nil {
						t.Fatalf("operation %d: %v", n, err)
					} else if done {
						t.Logf("%d operations", n)
						return
					}
				}
			})
		}
	}
}

// failFrom lets the n-th operation fail, and, unless once is true, those after it. It
// tells whether there were fewer. memory is where pages are staged, "" for nowhere.
func failFrom(n int, once bool, errno syscall.Errno, memory string) (done bool, err error) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	m.rnd = rand.New(rand.NewPCG(uint64(n), 1))
	m.calibrate(rigSensors, m.rnd)
	before, err := tryRig(d, m, memory)
	if err != nil {
		return false, err
	}
	before.Begin("epoch", m.next)
	before.maintain(before.now)
	for range 20 {
		before.second()
	}
	d.Mu.Lock()
	first := d.Ops + n
	failed := false
	d.Fail = func(op int, _, _ string) error {
		if op == first || op > first && !once {
			failed = true
			return errno
		}
		return nil
	}
	d.Mu.Unlock()
	durable := append(claim{}, m.next...)
	if memory != "" { // that is staged only
		before.Append(m.tick(), m.offset)
		before.write()
	}
	// The process was killed; the next one starts.
	m.calibrate(rigSensors, m.rnd)
	r, err := tryRig(d, m, memory)
	if err != nil {
		return false, err
	}
	r.Begin("epoch", m.next)
	r.maintain(r.now)
	for range 16 {
		r.second()
		if r.durable() == nil {
			copy(durable, r.written)
		}
	}
	d.Mu.Lock()
	d.Fail = nil
	d.Mu.Unlock()
	records := [][]wire.Record{m.of(0), m.of(1)}
	evicted := make(claim, len(rigSensors))
	if errno == syscall.ENOSPC { // room is made for what is new
		evicted = r.removed()
	}
	if err := durable.check(d.Cut(m.rnd), m, records, evicted, false); err != nil {
		return false, fmt.Errorf("power is cut while it fails: %w", err)
	}
	for range 10 { // it works again, and that is noticed
		r.now = r.now.Add(retryMax)
		r.second()
	}
	if err := r.durable(); err != nil {
		return false, fmt.Errorf("not durable again: %w", err)
	}
	if err := r.seal(false); err != nil {
		return false, err
	}
	if size := d.Size(); size != r.Size() {
		return false, fmt.Errorf("%d bytes of files, %d are known", size, r.Size())
	}
	journals := 0
	for name := range d.Names {
		if strings.HasSuffix(name, format.JournalSuffix) {
			journals++
		}
		if strings.HasSuffix(name, atomicfile.TempSuffix) {
			return false, fmt.Errorf("%s was left behind", name)
		}
	}
	if journals != 1 {
		return false, fmt.Errorf("%d journals are there, want 1", journals)
	}
	if errno == syscall.ENOSPC {
		evicted = r.removed()
	}
	records = [][]wire.Record{m.of(0), m.of(1)}
	if err := r.written.check(d.Cut(m.rnd), m, records, evicted, false); err != nil {
		return false, err
	}
	return !failed, nil
}

func tryRig(d *disktest.Disk, m *maker, memory string) (*rig, error) {
	l, err := Open(Options{FS: d, Memory: memory, Sensors: rigSensors, Values: m.values, Boot: "boot", pages: rigPages})
	if err != nil {
		return nil, err
	}
	r := &rig{l, d, m, time.Unix(1, 0), make(claim, len(m.next))}
	l.maintain(r.now)
	return r, nil
}
