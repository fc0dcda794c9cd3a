package history

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/gateway/history/format"
	"sensorgateway/wire"
)

// rig drives a log on a simulated disk step by step, without goroutines.
type rig struct {
	*Log
	disk    *disktest.Disk
	made    *maker
	now     time.Time
	written claim // what had been written when the journal was last synced
}

const rigPages = 12

var rigSensors = []string{"indoor", "outdoor"}

func newRig(t testing.TB, d *disktest.Disk, m *maker) *rig {
	t.Helper()
	r, err := tryRig(d, m, "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// second appends some ticks and does what is due once a second.
func (r *rig) second() {
	for range 3 {
		r.Append(r.made.tick(), r.made.offset)
		r.write()
	}
	r.now = r.now.Add(time.Second)
	copy(r.written, r.made.next)
	_ = r.sync() // what fails is a reason of Durable
	r.maintain(r.now)
}

// durable returns why readings are not durable. That they have waited for long is no
// reason: it says how busy this machine is, for the rig's time is not the system's.
func (r *rig) durable() error {
	err := r.Durable()
	if slow := (slowError{}); errors.As(err, &slow) {
		return nil
	}
	return err
}

// claim is what must be on the disk: of each sensor the numbers below the one here.
type claim []uint32

// removed returns the numbers that may be gone for their age, or be going now:
// of each sensor those before it.
func (r *rig) removed() claim {
	c := make(claim, len(rigSensors))
	for i, t := range r.streams {
		c[i] = t.Lost
		for _, x := range t.Chapters {
			if len(r.index.Segments) > 1 && x.Segment == r.index.Segments[0] {
				c[i] = max(c[i], x.Last+1)
			}
		}
	}
	return c
}

// check opens what a cut left and compares it with what was made.
func (c claim) check(d *disktest.Disk, m *maker, made [][]wire.Record, removed claim, again bool) error {
	l, err := Open(Options{FS: d, Sensors: rigSensors, Boot: "boot", pages: rigPages})
	if err != nil {
		return err
	}
	if err := l.Durable(); err != errStarting {
		return err
	}
	if reason, n := l.Lost(); reason != "" {
		return fmt.Errorf("taken for damage: %s, %d readings", reason, n)
	}
	for i := range rigSensors {
		made, sensor := made[i], uint16(i)
		next, err := l.Since(sensor, ^uint32(0)), error(nil)
		kept, last, safe := l.Kept(sensor, ^uint32(0)), ^uint32(0), uint32(0)
		for {
			var batch []wire.Record
			if batch, err = next(); err != nil {
				break
			}
			for _, x := range batch {
				if last != ^uint32(0) && x.Seq <= last {
					return fmt.Errorf("sensor %d: %d comes after %d", i, x.Seq, last)
				}
				if x.Seq > kept && x.Seq != last+1 {
					return fmt.Errorf("sensor %d: %d comes after %d, though all from %d on are said to be there", i, x.Seq, last, kept)
				}
				if int(x.Seq) >= len(made) {
					return fmt.Errorf("sensor %d: number %d was never made", i, x.Seq)
				}
				w := made[x.Seq]
				w.Flags |= wire.Historical
				if x != w && x.Fault == wire.Good || x.Fault != w.Fault {
					return fmt.Errorf("sensor %d: %+v, made was %+v", i, x, w)
				}
				if last = x.Seq; removed[i] <= last && last < c[i] {
					safe++
				}
			}
		}
		if got, ok := l.Last(sensor); ok != (last != ^uint32(0)) || ok && got != last {
			return fmt.Errorf("sensor %d: the last is said to be %d, but it is %d", i, got, last)
		}
		if last+1 < c[i] {
			return fmt.Errorf("sensor %d: %d is the last, though all before %d were on the disk", i, last, c[i])
		}
		if want := c[i] - min(removed[i], c[i]); safe != want {
			return fmt.Errorf("sensor %d: %d of the %d from %d to %d are there, though all were on the disk", i, safe, want, removed[i], c[i])
		}
	}
	if !again {
		return nil
	}
	// Go on: what comes is as safe as before.
	next := make([]uint32, len(rigSensors))
	for i := range next {
		next[i] = m.next[i] + 10 // reserved before
	}
	l.Begin("epoch", next)
	r := &rig{l, d, &maker{next: next, at: m.at, every: 100, offset: m.offset, rnd: m.rnd}, time.Unix(1, 0), make(claim, len(next))}
	r.maintain(r.now)
	r.second()
	if err := l.Durable(); err != nil {
		return err
	}
	for i := range rigSensors {
		if from, want := l.Kept(uint16(i), 0), r.made.ticks[0][i].Seq; from != want {
			return fmt.Errorf("sensor %d: kept from %d on, want %d", i, from, want)
		}
	}
	d = d.Cut(m.rnd)
	if l, err = Open(Options{FS: d, Sensors: rigSensors}); err != nil {
		return err
	}
	for i := range rigSensors {
		if last, _ := l.Last(uint16(i)); last != r.made.next[i]-1 {
			return fmt.Errorf("sensor %d: %d is the last after a second cut, want %d", i, last, r.made.next[i]-1)
		}
	}
	return nil
}

func TestPowerCuts(t *testing.T) {
	t.Run("each tick is written", func(t *testing.T) { powerCuts(t, "") })
	t.Run("pages are staged", func(t *testing.T) { powerCuts(t, filepath.Join(t.TempDir(), "page")) })
}

// powerCuts cuts the power of logs whose pages are staged at a path in memory, unless
// that is "". A kill leaves what is there, a power cut does not.
func powerCuts(t *testing.T, memory string) {
	cuts := soakOr(100_000, 5_000)
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // there is nothing but garbage
	d, m := disktest.New(), newMaker(len(rigSensors))
	chance := rand.New(rand.NewPCG(3, 4))
	durable := make(claim, len(rigSensors))
	made, ops := 0, 0
	const perOp = 40
	var r *rig
	d.Changed = func() {
		ops++
		if made >= cuts || cuts < 100_000 && ops%3 != 0 {
			return
		}
		records, removed := [][]wire.Record{m.of(0), m.of(1)}, make(claim, len(rigSensors))
		if r != nil {
			removed = r.removed()
		}
		var all sync.WaitGroup
		failures := make(chan string, perOp)
		for part := range 2 {
			seeds := rand.New(rand.NewPCG(chance.Uint64(), 0))
			all.Go(func() {
				for n := range perOp / 2 {
					mine := &maker{next: m.next, at: m.at, offset: m.offset, rnd: seeds}
					if err := durable.check(d.Cut(seeds), mine, records, removed, n%10 == 0); err != nil {
						failures <- fmt.Sprintf("operation %d, cut %d.%d: %v", d.Ops, part, n, err)
					}
				}
			})
		}
		all.Wait()
		if len(failures) > 0 {
			t.Fatal(<-failures)
		}
		made += perOp
	}
	for made < cuts {
		d.Syncing = nil
		m.calibrate(rigSensors, chance)
		var err error
		if r, err = tryRig(d, m, memory); err != nil {
			t.Fatal(err)
		}
		for i, next := range m.next {
			if last, ok := r.Last(uint16(i)); ok != (next > 0) || ok && last != next-1 {
				t.Fatalf("after a restart %d is the last, want %d", last, next-1)
			}
		}
		copy(durable, m.next)
		r.o.MaxBytes = 60 << 10 // so that segments are removed, too
		r.Begin("epoch", m.next)
		r.maintain(r.now)
		busy := false
		d.Syncing = func(name string) { // ticks come meanwhile
			if strings.Contains(name, format.JournalSuffix) && !busy && chance.IntN(2) == 0 {
				busy = true
				for range chance.IntN(3) {
					r.Append(m.tick(), m.offset)
					r.write()
				}
				busy = false
			}
		}
		for range 5 + chance.IntN(30) {
			r.second()
			if err := r.durable(); err != nil {
				t.Fatal(err)
			}
			copy(durable, r.written)
		}
		if chance.IntN(2) == 0 {
			r.Close()
		} else { // killed: what was written is there, and on the disk as soon as the next one has begun
			r.Append(m.tick(), m.offset)
			r.write()
		}
	}
	t.Logf("%d cuts in %d operations", made, ops)
}

// soakOr returns how often to repeat something: soak where GATEWAY_TEST_SOAK is set,
// as by scripts/soak.
func soakOr(soak, usual int) int {
	if os.Getenv("GATEWAY_TEST_SOAK") != "" {
		return soak
	}
	return usual
}

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
