package history

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"sensorgateway/wire"
)

// copyOf returns a disk with the same files, of which name is shared out for change.
func (d *disk) copyOf(name string) (*disk, []byte) {
	c := newDisk()
	c.names = maps.Clone(d.names)
	b := slices.Clone(d.names[name].now)
	c.names[name] = &inode{now: b, durable: b, dirty: map[int64]bool{}}
	return c, b
}

// A bit is flipped at every byte of every file. Of what was there, at most a
// block or a page is lost, and that is said; nothing that comes out is wrong.
func TestFlippedBits(t *testing.T) {
	d, m := newDisk(), newMaker(len(rigSensors))
	seconds, stride := 40, 3
	if testing.Short() || raceEnabled {
		stride = 53
	}
	r := newRig(t, d, m)
	r.Begin("epoch", m.next)
	for range seconds {
		r.second()
	}
	r.Close()
	made := [][]wire.Record{m.of(0), m.of(1)}
	size, flips := 0, 0
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		c, b := d.copyOf(name)
		size += len(b)
		for at := 0; at < len(b); at += stride {
			flips++
			bit := byte(1) << (at % 8)
			b[at] ^= bit
			if err := readDamaged(c, made); err != nil {
				t.Fatalf("%s, byte %d of %d, bit %d: %v", name, at, len(b), at%8, err)
			}
			b[at] ^= bit
			if len(c.names) != len(d.names) || c.names[name] == nil { // it was set aside
				c, b = d.copyOf(name)
			}
		}
	}
	t.Logf("%d flips in %d KiB of %d files", flips, size>>10, len(d.names))
}

// readDamaged reads all of a store in which a bit is flipped.
func readDamaged(d *disk, made [][]wire.Record) error {
	var noticed atomic.Int64
	l, err := Open(Options{FS: d, Sensors: rigSensors, Log: slog.New(countWarnings{&noticed})})
	if err != nil {
		return err
	}
	defer l.finish()
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
		return fmt.Errorf("%d records are lost, and nobody was told", lost)
	}
	if lost > 60 { // a segment is written every 12 seconds, of three ticks each
		return fmt.Errorf("%d records are lost", lost)
	}
	return nil
}

// The same with a store of the usual size, part by part: each is checked by its
// checksum, and together they are the whole file.
func TestFlippedBitsInEveryPart(t *testing.T) {
	seconds, stride := 4*3600+1500, 1
	if testing.Short() || raceEnabled {
		seconds, stride = 600, 41
	}
	d, m := NewMemory(), newMaker(8)
	l := open(t, Options{FS: d, Sensors: names(8), pages: 400, Now: func() time.Time { return time.UnixMilli(m.at) }})
	l.Begin("epoch", m.next)
	now := time.Unix(1, 0)
	for range seconds {
		for range 10 {
			l.Append(m.tick(), m.offset)
		}
		l.write()
		m.ticks = nil
		now = now.Add(time.Second)
		l.keep(now)
	}
	l.Close()
	size := 0
	files, _ := d.List("")
	for _, info := range files {
		name, b, at := info.Name, make([]byte, info.Size), 0
		f, err := d.Open(name, false)
		if err == nil {
			err = readFull(f, b, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts(t, b) {
			for i := 0; i < part.size; i += stride {
				bit := byte(1) << ((at + i) % 8)
				b[at+i] ^= bit
				if part.whole() {
					t.Fatalf("%s: bit %d of byte %d is flipped in a %s, and nobody sees it", name, (at+i)%8, at+i, part.what)
				}
				b[at+i] ^= bit
			}
			at += part.size
		}
		if at != len(b) {
			t.Fatalf("%s: %d of %d bytes are in no part", name, len(b)-at, len(b))
		}
		size += len(b)
	}
	t.Logf("%d KiB in %d files", size>>10, len(files))
}

// part is one that has a checksum of its own.
type part struct {
	what  string
	size  int
	whole func() bool // it is as it was
}

// parts returns those of a file, in order.
func parts(t *testing.T, b []byte) (all []part) {
	if len(b)%4096 == 0 && (isZero(b[:4]) || binary.BigEndian.Uint32(b) == pageMagic) {
		for ; len(b) > 0; b = b[4096:] {
			page := b[:4096]
			all = append(all, part{"page", len(page), func() bool {
				_, _, err := parsePage(page)
				return err == nil || isZero(page)
			}})
		}
		return all
	}
	header := b[:segmentHeader]
	all = append(all, part{"header", segmentHeader, func() bool {
		return binary.BigEndian.Uint32(header) == segmentMagic && binary.BigEndian.Uint32(header[4:]) == segmentVersion
	}})
	s, err := parseDirectory(b)
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(segmentHeader); at < s.chapters[0].index; {
		_, n, err := parseBlock(b[at:])
		if err != nil {
			t.Fatal(err)
		}
		block := b[at : at+int64(n)]
		all = append(all, part{"block", n, func() bool { _, _, err := parseBlock(block); return err == nil }})
		at += int64(n)
	}
	for _, c := range s.chapters {
		all = append(all, part{"index", c.blocks * indexSize, func() bool { _, err := c.places(bytesFile(b)); return err == nil }})
	}
	n := int(directoryLen(b))
	tail := b[len(b)-n:]
	return append(all, part{"directory", n, func() bool { _, err := parseDirectory(tail); return err == nil }})
}

// bytesFile is a file to be read.
type bytesFile []byte

func (b bytesFile) ReadAt(to []byte, at int64) (int, error) { return bytes.NewReader(b).ReadAt(to, at) }
func (bytesFile) WriteAt([]byte, int64) (int, error)        { return 0, fs.ErrPermission }
func (bytesFile) Sync() error                               { return fs.ErrPermission }
func (bytesFile) Close() error                              { return nil }

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
