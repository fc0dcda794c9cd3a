//go:build unix

package memoryfile

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func mustCreate(t *testing.T, capacity int, first []byte) *File {
	t.Helper()
	f, err := Create(filepath.Join(t.TempDir(), "value"), capacity, first)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func mustPut(t *testing.T, f *File, parts ...[]byte) {
	t.Helper()
	if err := f.Put(parts...); err != nil {
		t.Fatal(err)
	}
}

func TestValues(t *testing.T) {
	f := mustCreate(t, 10, nil)
	if got := Read(f.path); got != nil {
		t.Errorf("nothing was put, and %q is there", got)
	}
	for _, parts := range [][]string{{"a"}, {"0123", "", "456789"}, {}, {"", ""}, {"bc", "d"}} {
		var all [][]byte
		for _, part := range parts {
			all = append(all, []byte(part))
		}
		mustPut(t, f, all...)
		if got := Read(f.path); got == nil || string(got) != strings.Join(parts, "") {
			t.Errorf("%q is there, put was %q", got, parts)
		}
	}
	if err := f.Put(make([]byte, 6), make([]byte, 5)); err == nil || string(Read(f.path)) != "bcd" {
		t.Errorf("eleven bytes: %v; %q is there", err, Read(f.path))
	}
	f = mustCreate(t, 3, []byte("abc"))
	if got := string(Read(f.path)); got != "abc" {
		t.Errorf("%q is there from the beginning", got)
	}
	if err := Remove(f.path); err != nil || Read(f.path) != nil {
		t.Errorf("removed: %v, and there is %q", err, Read(f.path))
	}
	if err := Remove(f.path); err != nil {
		t.Errorf("there is none, and to remove it fails: %v", err)
	}
}

// A kill in the middle of Put leaves the value that was there: all that is stored before
// the count changes is outside of it.
func TestKilledInAPut(t *testing.T) {
	f := mustCreate(t, 6, nil)
	for _, value := range []string{"first", "second", "third"} {
		mustPut(t, f, []byte(value))
		next := slot(f.mapped, f.capacity, f.count.Load()+1)
		for i := range next { // as far as it came
			next[i] = 0xff
			if got := string(Read(f.path)); got != value {
				t.Fatalf("%q is there after %d bytes, want %q", got, i+1, value)
			}
		}
	}
}

// Something else has cut the file off: that is an error, and no signal.
func TestCutOff(t *testing.T) {
	for size := range int64(3) {
		f := mustCreate(t, 3*os.Getpagesize(), []byte("abc"))
		if err := os.Truncate(f.path, size*int64(os.Getpagesize())); err != nil {
			t.Fatal(err)
		}
		var errs []string
		for range 2 { // one of them is to a slot that is gone
			if err := f.Put(make([]byte, f.capacity)); err != nil {
				errs = append(errs, err.Error())
			}
		}
		if len(errs) == 0 || !strings.Contains(errs[0], "was cut off") {
			t.Errorf("at page %d: %q", size, errs)
		}
	}
}

// What is at the path and is not such a file of this user's is not read.
func TestNotOneOfThese(t *testing.T) {
	f := mustCreate(t, 8, []byte("value"))
	whole, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if err := os.WriteFile(f.path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if got := Read(f.path); got != nil {
			t.Fatalf("of %d bytes %q is read", n, got)
		}
	}
	link := f.path + ".link"
	if err := os.WriteFile(f.path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(f.path, link); err != nil {
		t.Fatal(err)
	}
	if got := Read(link); got != nil {
		t.Errorf("%q is read through a link", got)
	}
	if got := Read(filepath.Dir(f.path)); got != nil {
		t.Errorf("%q is read from a directory", got)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(f.path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if got := Read(f.path); got != nil {
			t.Errorf("%q of another user is read", got)
		}
	}
}

// Create does not write through what another user has put there.
func TestCreateReplaces(t *testing.T) {
	dir := t.TempDir()
	path, victim := filepath.Join(dir, "value"), filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{path, path + ".new"} {
		if err := os.Symlink(victim, at); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Create(path, 5, []byte("value"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, _ := os.ReadFile(victim); string(got) != "untouched" || string(Read(path)) != "value" {
		t.Errorf("the victim has %q, the value is %q", got, Read(path))
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := Create(filepath.Join(dir, "none", "value"), 5, nil); err == nil {
		t.Error("created in a directory that does not exist")
	}
}

func TestPutAllocatesNothing(t *testing.T) {
	f := mustCreate(t, 4096, nil)
	head, body := make([]byte, 16), make([]byte, 4000)
	if n := testing.AllocsPerRun(100, func() { mustPut(t, f, head, body) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzRead(f *testing.F) {
	path := filepath.Join(f.TempDir(), "value")
	file, err := Create(path, 70, []byte("value"))
	if err != nil {
		f.Fatal(err)
	}
	whole, _ := os.ReadFile(path)
	f.Add(whole)
	f.Add(whole[:headerSize])
	f.Add(binary.BigEndian.AppendUint32([]byte(magic), 1<<32-4)) // which is -4 where int has 32 bits
	f.Add(append(binary.BigEndian.AppendUint32([]byte(magic), 1<<32-4), make([]byte, headerSize-len(magic)-4)...))
	f.Add(bytes.Repeat([]byte{0xff}, 200))
	file.Close()
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := Read(path); len(got) > len(b) || !bytes.Contains(b, got) {
			t.Errorf("%x is read of %x", got, b)
		}
	})
}

// The cost of a page that is staged, beside that of one that is written to a file.
func BenchmarkPut(b *testing.B) {
	page := make([]byte, 4096)
	b.Run("put", func(b *testing.B) {
		f, err := Create(filepath.Join(b.TempDir(), "value"), len(page), nil)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if err := f.Put(page); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("write", func(b *testing.B) {
		f, err := os.Create(filepath.Join(b.TempDir(), "value"))
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := f.WriteAt(page, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
}
