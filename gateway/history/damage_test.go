package history

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"sensorgateway/gateway/history/disk"
	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/gateway/history/recovery"
	"sensorgateway/wire"
)

// withCopy returns a disk with the same files, of which name is shared out for change.
func withCopy(d *disktest.Disk, name string) (*disktest.Disk, []byte) {
	c := disktest.New()
	c.Names = maps.Clone(d.Names)
	b := slices.Clone(d.Names[name].Now)
	c.Names[name] = &disktest.Inode{Now: b, Durable: b}
	return c, b
}

// A bit is flipped at every byte of every file. Of what was there, at most a
// block or a page is lost, and that is said; nothing that comes out is wrong.
func TestFlippedBits(t *testing.T) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	seconds, stride := 40, soakOr(3, 509)
	r := newRig(t, d, m)
	r.Begin("epoch", m.next)
	for range seconds {
		r.second()
	}
	r.Close()
	made := [][]wire.Record{m.of(0), m.of(1)}
	size, flips := 0, 0
	for _, name := range slices.Sorted(maps.Keys(d.Names)) {
		c, b := withCopy(d, name)
		size += len(b)
		for at := 0; at < len(b); at += stride {
			flips++
			bit := byte(1) << (at % 8)
			b[at] ^= bit
			if err := readDamaged(c, made); err != nil {
				t.Fatalf("%s, byte %d of %d, bit %d: %v", name, at, len(b), at%8, err)
			}
			b[at] ^= bit
			if len(c.Names) != len(d.Names) || c.Names[name] == nil { // it was set aside
				c, b = withCopy(d, name)
			}
		}
	}
	t.Logf("%d flips in %d KiB of %d files", flips, size>>10, len(d.Names))
}

// readDamaged reads all of a log in which a bit is flipped.
func readDamaged(d *disktest.Disk, made [][]wire.Record) error {
	var noticed atomic.Int64
	l, err := Open(Options{FS: d, Sensors: rigSensors, Log: slog.New(countWarnings{&noticed})})
	if err != nil {
		return err
	}
	defer l.finish()
	used := []uint32{uint32(len(made[0])), uint32(len(made[1]))}
	l.Expect("epoch", used, false)
	l.Begin("epoch", used)
	lost := 0
	for i := range rigSensors {
		kept := uint32(0)
		next, expect := l.Since(uint16(i), ^uint32(0)), uint32(0)
		for {
			batch, err := next()
			if err != nil {
				break
			}
			for _, x := range batch {
				w := made[i][x.Seq]
				w.Flags |= wire.Historical
				if x.Fault != w.Fault || x.Fault == wire.Good && x != w || x.UnixMilli != w.UnixMilli {
					return fmt.Errorf("%+v, made was %+v", x, w)
				}
				if x.Seq != expect {
					lost, kept = lost+int(x.Seq-expect), x.Seq
				}
				expect = x.Seq + 1
			}
		}
		if rest := uint32(len(made[i])) - expect; rest > 0 { // nobody but Begin knows of the end
			lost += int(rest)
		} else if from := l.Kept(uint16(i), ^uint32(0)); from < kept {
			return fmt.Errorf("sensor %d: all from %d on are said to be there, but none is before %d", i, from, kept)
		}
	}
	if lost > 0 && noticed.Load() == 0 {
		return fmt.Errorf("%d records are lost, and nothing is logged", lost)
	}
	if reason, n := l.Lost(); (lost > 0) != (n > 0) || n > 2*lost {
		return fmt.Errorf("%d records are lost, and reported are %d: %s", lost, n, reason)
	}
	if lost > 60 { // a segment is written every 12 seconds, of three ticks each
		return fmt.Errorf("%d records are lost", lost)
	}
	return nil
}

// More readings are lost than an int has numbers for on a machine of 32 bits (GOARCH=386).
func TestManyReadingsAreLost(t *testing.T) {
	l := open(t, Options{FS: disk.NewMemory(), Sensors: rigSensors})
	used := []uint32{3e9, 3e9}
	l.Expect("epoch", used, false)
	l.Begin("epoch", used)
	if reason, n := l.Lost(); reason == "" || n != min(6e9, math.MaxInt) {
		t.Errorf("lost are %d: %s", n, reason)
	}
}

func names(n int) (s []string) {
	for i := range n {
		s = append(s, fmt.Sprintf("sensor_%d", i))
	}
	return s
}

type countWarnings struct{ n *atomic.Int64 }

func (c countWarnings) Enabled(context.Context, slog.Level) bool  { return true }
func (c countWarnings) Handle(context.Context, slog.Record) error { c.n.Add(1); return nil }
func (c countWarnings) WithAttrs([]slog.Attr) slog.Handler        { return c }
func (c countWarnings) WithGroup(string) slog.Handler             { return c }

// What a log reads from a directory of strange files is nothing.
func TestStrangeFiles(t *testing.T) {
	fs := disk.NewMemory()
	for _, name := range []string{"0000000000000001.segment", "0000000000000001.journal", "0000000000000002.segment", "x.segment", "note.txt", "0000000000000003.journal.new"} {
		f, _ := fs.Create(name)
		if !strings.Contains(name, "2.") {
			f.WriteAt([]byte(strings.Repeat("strange ", 1000)), 0)
		}
	}
	l := open(t, Options{FS: fs, Sensors: []string{"a"}})
	defer l.Close()
	if err := l.Durable(); err != errStarting {
		t.Error(err)
	}
	if l.Epoch() != "" {
		t.Errorf("epoch %q", l.Epoch())
	}
	files, _ := fs.List(recovery.DamagedDir)
	if len(files) != 3 {
		t.Errorf("set aside are %v, want the journal and the two segments", files)
	}
	if files, _ = fs.List(""); len(files) != 2 {
		t.Errorf("left are %v, want what is not ours", files)
	}
}
