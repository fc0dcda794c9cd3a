package history

import (
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/index"
	"sensorgateway/gateway/history/journal"
)

// stalling is a file system whose syncs and writes hang while they are to.
type stalling struct {
	FS
	mu    sync.Mutex
	until chan struct{} // nil: they do not
}

func (s *stalling) wait() {
	s.mu.Lock()
	until := s.until
	s.mu.Unlock()
	if until != nil {
		<-until
	}
}

func (s *stalling) Create(name string) (disk.File, error) {
	f, err := s.FS.Create(name)
	return stallingFile{f, s}, err
}

func (s *stalling) Open(name string, write bool) (disk.File, error) {
	f, err := s.FS.Open(name, write)
	return stallingFile{f, s}, err
}

type stallingFile struct {
	disk.File
	s *stalling
}

func (f stallingFile) WriteAt(b []byte, at int64) (int, error) {
	f.s.wait()
	return f.File.WriteAt(b, at)
}

func (f stallingFile) Sync() error {
	f.s.wait()
	return f.File.Sync()
}

// The disk hangs for half a minute, and for hours: Append waits 20 ms once, memory
// is bounded, that is notified, and when the disk is back nothing or only the oldest is lost.
func TestDiskStalls(t *testing.T) {
	for _, tt := range []struct {
		name  string
		ticks int
		every time.Duration
		lost  bool
	}{{"half a minute", 300, 100 * time.Millisecond, false}, {"hours", 100_000, 100 * time.Millisecond, true}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stalling{FS: disk.NewMemory()}
				var notified []error
				l := open(t, Options{FS: s, Sensors: names(8), Boot: "boot", Changed: func(err error) { notified = append(notified, err) }})
				m := newMaker(8)
				l.Begin("epoch", m.next)
				stop := start(t, l)
				for range 50 {
					l.Append(m.tick(), 0)
					<-time.After(tt.every)
				}
				s.mu.Lock()
				s.until = make(chan struct{})
				s.mu.Unlock()
				waited, most := time.Duration(0), 0
				for range tt.ticks {
					begin := time.Now()
					l.Append(m.tick(), 0)
					waited += time.Since(begin)
					<-time.After(tt.every)
					l.mu.Lock()
					most = max(most, l.index.Memory+cap(l.queue.records)*index.RecordMemory)
					l.mu.Unlock()
				}
				if waited > 3*appendWait {
					t.Errorf("Append waited %v", waited)
				}
				if most > memoryMax+2*queueMax*index.RecordMemory {
					t.Errorf("%d bytes of memory", most)
				}
				if l.Durable() == nil {
					t.Error("durable, while the disk hangs")
				}
				close(s.until)
				s.mu.Lock()
				s.until = nil
				s.mu.Unlock()
				<-time.After(5 * time.Second)
				if err := l.Durable(); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if len(notified) != 2 || notified[0] == nil || notified[1] != nil {
					t.Errorf("notified %v", notified)
				}
				if !l.Append(m.tick(), 0) {
					t.Error("not written, although the disk works")
				}
				from := l.Kept(0, ^uint32(0))
				if (from > 0) != tt.lost {
					t.Errorf("kept from %d on", from)
				}
				same(t, all(t, l.Since(0, from-1)), m.of(0)[from:])
				stop()
				l = open(t, Options{FS: s, Sensors: names(8), Boot: "boot"})
				same(t, all(t, l.Since(0, from-1)), m.of(0)[from:])
				if again := l.Kept(0, ^uint32(0)); again != from {
					t.Errorf("kept from %d on, before it was %d", again, from)
				}
			})
		})
	}
}

// A disk that cannot be used at the start is used as soon as it can: what was on
// it before comes first.
func TestDiskComesLater(t *testing.T) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	r := newRig(t, d, m)
	r.Begin("epoch", m.next)
	for range 20 {
		r.second()
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	d.Fail = func(int, string, string) error { return syscall.EACCES }
	r = newRig(t, d, m)
	if err := r.durable(); !errors.Is(err, syscall.EACCES) {
		t.Errorf("durable: %v", err)
	}
	r.Begin("epoch", m.next)
	r.second()
	same(t, all(t, r.Since(0, ^uint32(0))), m.of(0)[60:])
	d.Fail = nil
	for range 3 {
		r.now = r.now.Add(retryMax)
		r.second()
	}
	if err := r.durable(); err != nil {
		t.Error(err)
	}
	same(t, all(t, r.Since(0, ^uint32(0))), m.of(0))
	same(t, all(t, r.Between(1, 0, m.at)), m.of(1))
	if from := r.Kept(0, ^uint32(0)); from != 0 {
		t.Errorf("kept from %d on, want 0", from)
	}
}

// While a segment is written for seconds, as on a slow card, the journal is synced.
func TestSyncsGoOnWhileASegmentIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, m := disktest.New(), newMaker(1)
		l := open(t, Options{FS: d, Sensors: names(1), Boot: "boot", pages: journal.PagesMin, Changed: func(err error) {
			if err != nil {
				t.Error(err)
			}
		}})
		l.Begin("epoch", m.next)
		slow := time.Duration(0)
		d.Syncing = func(name string) {
			if strings.Contains(name, format.SegmentSuffix) {
				<-time.After(2 * time.Second)
				slow += 2 * time.Second
			}
		}
		stop := start(t, l)
		most := time.Duration(0)
		for range 600 {
			l.Append(m.tick(), 0)
			<-time.After(100 * time.Millisecond)
			most = max(most, l.DurableAge())
		}
		stop()
		if slow == 0 || most > syncEvery {
			t.Errorf("segments were written for %v, and a power cut would have cost %v, want %v at most", slow, most, syncEvery)
		}
	})
}
