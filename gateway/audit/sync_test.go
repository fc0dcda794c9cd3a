package audit

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"sensorgateway/gateway/atomicfile"
)

// opened returns an open log without its goroutines, and what appends records to it.
func (p place) opened(t *testing.T, o Options) (l *Log, d *disk, add func(n int)) {
	t.Helper()
	o.Dir, o.Key, o.Anchor, o.Log = p.dir, p.key, p.anchor, slog.New(slog.DiscardHandler)
	l = New(o)
	d, err := l.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return l, d, func(n int) {
		t.Helper()
		for i := range n {
			if err := d.chain(Done).append(command(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A sync fails once, and the next one would succeed, although the system has dropped what it
// could not write: no anchor covers the records of that file before it was written anew.
func TestSyncFailsOnce(t *testing.T) {
	for name, records := range map[string]int{"the file that is written to": 3, "a full file": 1_000} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			fails := ""
			l, d, add := p.opened(t, Options{sync: func(f *os.File) error {
				if f.Name() == fails {
					fails = ""
					return syscall.EIO
				}
				return f.Sync()
			}})
			anchored := func() uint64 {
				t.Helper()
				marks, err := readAnchor(p.anchor, d.key)
				if err != nil {
					t.Fatal(err)
				}
				return marks[Done].Newest
			}
			add(1)
			l.syncOnce(d, true)
			if n := anchored(); n != 1 {
				t.Fatalf("the anchor covers %d records, want 1", n)
			}
			path := filepath.Join(p.dir, fileName(Done, 1))
			before, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			obstacle := path + atomicfile.TempSuffix // so it cannot be written anew either
			if err := os.MkdirAll(filepath.Join(obstacle, "x"), 0o700); err != nil {
				t.Fatal(err)
			}
			add(records)
			fails = path
			for range 3 {
				add(1)
				l.syncOnce(d, true)
				if n := anchored(); fails != "" || n != 1 || l.Err() == nil {
					t.Errorf("the anchor covers %d records, want 1; %v", n, l.Err())
				}
			}
			if err := os.RemoveAll(obstacle); err != nil {
				t.Fatal(err)
			}
			l.syncOnce(d, true)
			if n := anchored(); n != uint64(records)+4 || l.Err() != nil {
				t.Errorf("the anchor covers %d records, want %d; %v", n, records+4, l.Err())
			}
			if after, err := os.Stat(path); err != nil || os.SameFile(before, after) {
				t.Errorf("the file was not written anew: %v", err)
			}
			add(1)
			l.syncOnce(d, true)
			if done, _ := p.verify(t); done.Bad != "" || done.Records != records+5 || done.Beyond != 0 {
				t.Errorf("%+v", done)
			}
		})
	}
}

// Files are synced in the order in which they were written, also if others are begun meanwhile: else
// a power cut could lose records between those that stay.
func TestSyncInOrder(t *testing.T) {
	var synced []string
	var add func(int)
	l, d, add := newPlace(t).opened(t, Options{sync: func(f *os.File) error {
		if synced = append(synced, f.Name()); len(synced) == 1 {
			add(1_000)
		}
		return f.Sync()
	}})
	add(1_000)
	l.syncOnce(d, true)
	l.syncOnce(d, true)
	if len(synced) < 3 || !slices.IsSorted(synced) {
		t.Errorf("synced are %q", synced)
	}
}
