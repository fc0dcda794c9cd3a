package history

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/history/disk"
)

// slowDisk is a disk in memory whose syncs take a time.
type slowDisk struct {
	*disk.Memory
	mu   sync.Mutex
	take time.Duration
}

func (d *slowDisk) set(take time.Duration) { d.mu.Lock(); defer d.mu.Unlock(); d.take = take }

func (d *slowDisk) Create(name string) (disk.File, error) {
	f, err := d.Memory.Create(name)
	return slowFile{f, d}, err
}

func (d *slowDisk) Open(name string, write bool) (disk.File, error) {
	f, err := d.Memory.Open(name, write)
	return slowFile{f, d}, err
}

type slowFile struct {
	disk.File
	d *slowDisk
}

func (f slowFile) Sync() error {
	f.d.mu.Lock()
	take := f.d.take
	f.d.mu.Unlock()
	time.Sleep(take)
	return f.File.Sync()
}

// How much a power cut would lose is known at any time, and readings are not called
// durable when it is more than 2 s of them: a disk whose syncs take 2 s has that
// always, one that stops to answer after 2 s. A slow sensor's readings are durable
// between its ticks. Nobody is notified of it more than once.
func TestDurableAge(t *testing.T) {
	for _, tt := range []struct {
		name      string
		interval  time.Duration
		sync      time.Duration
		atMost    time.Duration // the age
		atLeast   time.Duration // of the greatest age
		durable   bool
		notified  int
		afterward bool // durable again when the disk is quick
	}{
		{"quick", 100 * time.Millisecond, 0, time.Second, 500 * time.Millisecond, true, 0, true},
		{"half a second", 100 * time.Millisecond, 500 * time.Millisecond, 1600 * time.Millisecond, time.Second, true, 0, true},
		{"at the limit", 100 * time.Millisecond, 1200 * time.Millisecond, 3 * time.Second, 2 * time.Second, false, 1, true},
		{"2 s", 100 * time.Millisecond, 2 * time.Second, 5 * time.Second, 3 * time.Second, false, 1, true},
		{"a minute", 100 * time.Millisecond, time.Minute, time.Minute, 25 * time.Second, false, 1, true},
		{"a slow sensor", 10 * time.Minute, 100 * time.Millisecond, 2 * time.Second, 0, true, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, m := &slowDisk{Memory: disk.NewMemory()}, newMaker(1)
				var mu sync.Mutex
				var notified []error
				l := open(t, Options{FS: d, Sensors: []string{"indoor"}, Boot: "boot", Changed: func(err error) {
					mu.Lock()
					defer mu.Unlock()
					notified = append(notified, err)
				}})
				l.Begin("epoch", m.next)
				stop := start(t, l)
				time.Sleep(5 * time.Second)
				d.set(tt.sync)
				greatest, failed := time.Duration(0), false
				for at := range 300 {
					if time.Duration(at)*100*time.Millisecond%tt.interval == 0 {
						l.Append(m.tick(), m.offset)
					}
					time.Sleep(100 * time.Millisecond)
					greatest = max(greatest, l.DurableAge())
					failed = failed || l.Durable() != nil
				}
				if greatest > tt.atMost || greatest < tt.atLeast || failed == tt.durable {
					t.Errorf("the age came to %v, not durable: %v", greatest, failed)
				}
				mu.Lock()
				if len(notified) != tt.notified {
					t.Errorf("notified of %v", notified)
				}
				mu.Unlock()
				d.set(0)
				for range 600 {
					l.Append(m.tick(), m.offset)
					time.Sleep(100 * time.Millisecond)
				}
				time.Sleep(time.Minute)
				if err := l.Durable(); err != nil || l.DurableAge() != 0 {
					t.Errorf("the disk is quick again: %v, %v", err, l.DurableAge())
				}
				stop()
				if tt.notified > 0 && (len(notified) != 2 || notified[1] != nil) {
					t.Errorf("in the end notified of %v", notified)
				}
			})
		})
	}
}
