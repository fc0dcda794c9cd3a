package audit

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A disk that hangs: one call waits, no other does, and stops of motors never do. All records
// are written in order once it answers; those that did not fit into the queue are counted.
func TestDiskHangs(t *testing.T) {
	p := newPlace(t)
	var hangs atomic.Bool
	released, entered := make(chan struct{}), make(chan struct{}, 1)
	l, stop := p.start(t, func(f *os.File, b []byte) (int, error) {
		if hangs.Load() {
			select {
			case entered <- struct{}{}:
			default:
			}
			<-released
		}
		return f.Write(b)
	})
	if !l.Append(command(0), patience) {
		t.Fatal("not written")
	}
	hangs.Store(true)
	l.Note(command(0)) // it waits for nothing, so it has not waited in vain
	if l.late.Load() {
		t.Error("after a record that nobody waits for, nobody waits for the next")
	}
	if l.Append(command(1), time.Millisecond) {
		t.Error("written to a disk that hangs")
	}
	<-entered
	begin := time.Now()
	for i := range 2000 {
		if l.Append(command(2+i), time.Minute) {
			t.Fatal("written to a disk that hangs")
		}
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("2,000 records waited for %v", took)
	}
	if l.Lost() == 0 {
		t.Error("no record is lost")
	}
	lost := l.Lost()
	hangs.Store(false)
	close(released)
	for !l.Append(command(0), patience) {
		if t.Context().Err() != nil {
			t.Fatal("never written again")
		}
	}
	stop()
	records, err := Read(p.dir, p.key, Query{})
	if err != nil {
		t.Fatal(err)
	}
	reported := int64(0)
	for _, r := range records {
		if r.Kind == KindLost {
			reported += r.Count
		}
	}
	if reported < lost || reported != l.Lost() {
		t.Errorf("%d are reported as lost, %d were", reported, l.Lost())
	}
	if done, _ := p.verify(t); done.Bad != "" {
		t.Errorf("%+v", done)
	}
}

// A disk that is full: the records wait, and what was written of one is taken back.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		var full atomic.Bool
		tried := make(chan struct{}, 1)
		l, stop := p.start(t, func(f *os.File, b []byte) (int, error) {
			if full.Load() {
				n, _ := f.Write(b[:len(b)/2])
				select {
				case tried <- struct{}{}:
				default:
				}
				return n, syscall.ENOSPC
			}
			return f.Write(b)
		})
		if !l.Append(command(0), patience) {
			t.Fatal("not written")
		}
		full.Store(true)
		if l.Append(command(1), time.Millisecond) {
			t.Error("written to a full disk")
		}
		<-tried
		<-tried // again
		if err := l.Err(); err == nil || !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
			t.Errorf("%v", err)
		}
		full.Store(false)
		for begin := time.Now(); !l.Append(command(2), patience); time.Sleep(100 * time.Millisecond) {
			if time.Since(begin) > patience {
				t.Fatal("never written again")
			}
		}
		if err := l.Err(); err != nil {
			t.Error(err)
		}
		stop()
		if done, _ := p.verify(t); done.Bad != "" || done.Last < 3 {
			t.Errorf("%+v", done)
		}
	})
}

// A file whose first line could not be written stays if the disk cannot remove it either: once
// the disk works, it is begun anew. A file that has a record is not touched.
func TestBeginsAnew(t *testing.T) {
	whole := sealHeader(make([]byte, keySize), header{Chain: Done, First: 1}, code{})
	for name, left := range map[string][]byte{"nothing": {}, "a part of the line": whole[:20], "the line": whole, "the line and a part of a record": append(whole[:len(whole):len(whole)], `{"n":1,`...)} {
		p := newPlace(t)
		if err := os.WriteFile(p.key, make([]byte, keySize), 0o600); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(p.dir, fileName(Done, 1))
		var fails atomic.Bool
		_, d, add := p.opened(t, Options{write: func(f *os.File, b []byte) (int, error) {
			if fails.Load() {
				return 0, syscall.EIO
			}
			return f.Write(b)
		}})
		fails.Store(true)
		if err := d.chain(Done).append(command(0)); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, left, 0o600); err != nil { // the disk could not cut it off either
			t.Fatal(err)
		}
		fails.Store(false)
		add(2)
		if done, _ := p.verify(t); done.Bad != "" || done.Records != 2 {
			t.Errorf("%s: %+v", name, done)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		another := &writer{dir: p.dir, chain: Done, key: make([]byte, keySize), write: (*os.File).Write}
		if err := another.append(command(0)); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: in the place of two records: %v", name, err)
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, content) {
			t.Errorf("%s: a file with records was changed: %v", name, err)
		}
	}
}
