package history

import (
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/history/disk"
)

// stuckDisk is a disk in memory that answers nothing until on is closed.
type stuckDisk struct {
	*disk.Memory
	on chan struct{}
}

func (d stuckDisk) List(dir string) ([]disk.Info, error) {
	<-d.on
	return d.Memory.List(dir)
}

func (d stuckDisk) Create(name string) (disk.File, error) {
	<-d.on
	return d.Memory.Create(name)
}

// A disk that does not answer at the start delays nothing: readings stay in memory,
// can be read, and are not called durable. Once it answers, they come after what it
// has, in the same epoch or in another, and all is there after the next start.
func TestLoadWaitsAlone(t *testing.T) {
	for _, epoch := range []string{"epoch", "another"} {
		synctest.Test(t, func(t *testing.T) {
			o := Options{FS: disk.NewMemory(), Sensors: []string{"indoor", "outdoor"}, Boot: "boot"}
			m := newMaker(2)
			l := open(t, o)
			l.Begin("epoch", m.next)
			stop := start(t, l)
			ticks := func(n int) {
				for range n {
					l.Append(m.tick(), m.offset)
					time.Sleep(100 * time.Millisecond)
				}
			}
			ticks(600)
			stop()

			stuck := stuckDisk{o.FS.(*disk.Memory), make(chan struct{})}
			o.FS = stuck
			var err error
			if l, err = New(o); err != nil {
				t.Fatal(err)
			}
			go l.Load()
			if epoch != "epoch" {
				m.next = []uint32{0, 0}
			}
			l.Begin(epoch, m.next)
			begin := time.Now()
			stop = start(t, l)
			ticks(100)
			if took := time.Since(begin); took != 10*time.Second {
				t.Errorf("10 s of ticks took %v", took)
			}
			same(t, all(t, l.Since(0, m.ticks[600][0].Seq-1)), m.of(0)[600:])
			if err := l.Durable(); err == nil {
				t.Error("readings in memory are called durable")
			}
			close(stuck.on)
			ticks(100)
			if err := l.Durable(); err != nil {
				t.Errorf("the disk answers: %v", err)
			}
			stop()

			for _, l := range []*Log{l, open(t, o)} {
				first := m.ticks[0][0].UnixMilli
				same(t, all(t, l.Between(1, first, math.MaxInt64)), m.of(1))
			}
		})
	}
}

// What memory has no room for while the disk does not answer is counted and reported.
func TestLoadIsTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := stuckDisk{disk.NewMemory(), make(chan struct{})}
		var reported []Damage
		l, err := New(Options{FS: stuck, Sensors: []string{"indoor", "outdoor"}, Boot: "boot", Damaged: func(d Damage) { reported = append(reported, d) }})
		if err != nil {
			t.Fatal(err)
		}
		go l.Load()
		m := newMaker(2)
		l.Begin("epoch", m.next)
		stop := start(t, l)
		for range 400_000 {
			l.Append(m.tick(), m.offset)
			m.ticks = m.ticks[:0]
		}
		time.Sleep(dropEvery + time.Second)
		synctest.Wait()
		_, lost := l.Lost()
		oldest, _ := l.Oldest(0)
		if n := slices.IndexFunc(reported, func(d Damage) bool { return strings.Contains(d.Reason, "memory") }); n < 0 || lost < int(oldest) || oldest == 0 {
			t.Errorf("the oldest number is %d, %d readings are called lost, reported: %v", oldest, lost, reported)
		}
		close(stuck.on)
		stop()
	})
}
