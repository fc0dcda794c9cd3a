package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func text(s string) func(*os.File) error {
	return func(f *os.File) error {
		_, err := f.WriteString(s)
		return err
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path+TempSuffix, []byte("left behind by a crash, and longer than what comes"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		content string
		mode    fs.FileMode
	}{{"first", 0o600}, {"second", 0o664}, {"", 0o640}} {
		if err := Write(path, tt.mode, text(tt.content)); err != nil {
			t.Fatal(err)
		}
		if got := content(t, path); got != tt.content {
			t.Errorf("the file has %q, want %q", got, tt.content)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode() != tt.mode {
			t.Errorf("mode %v, want %v", info.Mode(), tt.mode)
		}
	}
	if names := list(t, filepath.Dir(path)); !slices.Equal(names, []string{"file"}) {
		t.Errorf("the directory has %v", names)
	}
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// The old file stays as it was, and nothing else is left behind.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := Write(path, 0o600, text("old")); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no room")
	err := Write(path, 0o600, func(f *os.File) error {
		return errors.Join(text("new")(f), full)
	})
	if !errors.Is(err, full) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that names %s and has the cause", err, path)
	}
	if got := content(t, path); got != "old" {
		t.Errorf("the file has %q", got)
	}
	if names := list(t, dir); !slices.Equal(names, []string{"file"}) {
		t.Errorf("the directory has %v", names)
	}
	missing := filepath.Join(dir, "missing", "file")
	if err := Write(missing, 0o600, text("new")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("error %v, want one that names %s and is fs.ErrNotExist", err, missing)
	}
}

// What somebody placed under the temporary name is not written through.
func TestWriteFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	path, victim := filepath.Join(dir, "file"), filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, path+TempSuffix); err != nil {
		t.Skip(err)
	}
	if err := Write(path, 0o600, text("new")); err != nil {
		t.Fatal(err)
	}
	if got := content(t, victim); got != "precious" {
		t.Errorf("what the link leads to has %q", got)
	}
}

// fat is a file system on which a directory's entry says what is in a file, and
// a rename leaves it without that until the file is synced.
type fat struct {
	steps []string
	fail  int // the step that fails; 0: none

	inMemory, onDisk map[string]string // by name
	name             string            // of the file
}

const blank = "an entry without a content"

func newFAT(fail int) *fat {
	return &fat{fail: fail, name: "temp", inMemory: map[string]string{"file": "old", "temp": "new"}, onDisk: map[string]string{"file": "old"}}
}

func (d *fat) step(what string) error {
	d.steps = append(d.steps, what)
	if len(d.steps) == d.fail {
		return syscall.EIO
	}
	return nil
}

func (d *fat) Rename(from, to string) error {
	if err := d.step("rename"); err != nil {
		return err
	}
	delete(d.inMemory, from)
	d.inMemory[to], d.name = blank, to
	return nil
}

func (d *fat) Remove(name string) error {
	delete(d.inMemory, name)
	return d.step("remove")
}

func (d *fat) SyncDir(dir string) error {
	if err := d.step("sync directory " + dir); err != nil {
		return err
	}
	d.onDisk = map[string]string{}
	for name, what := range d.inMemory {
		d.onDisk[name] = what
	}
	return nil
}

// Sync writes the sector of the file's entry, which has the directory's others too.
func (d *fat) Sync() error {
	if err := d.step("sync file"); err != nil {
		return err
	}
	d.inMemory[d.name] = "new"
	return d.SyncDir("of the entry")
}

func (d *fat) Close() error { return d.step("close") }

func TestCommit(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("closes before it renames")
	}
	whole := newFAT(0)
	if err := Commit(whole, whole, "temp", "file", func() error { return whole.step("write") }); err != nil {
		t.Fatal(err)
	}
	if whole.onDisk["file"] != "new" || len(whole.onDisk) != 1 {
		t.Errorf("on the disk is %v", whole.onDisk)
	}
	if last := whole.steps[len(whole.steps)-1]; last != "sync directory ." {
		t.Errorf("steps %v", whole.steps)
	}
	for n := range whole.steps {
		t.Run(fmt.Sprintf("%d %s fails", n+1, whole.steps[n]), func(t *testing.T) {
			d := newFAT(n + 1)
			err := Commit(d, d, "temp", "file", func() error { return d.step("write") })
			if !errors.Is(err, syscall.EIO) || !strings.HasPrefix(err.Error(), "file ") {
				t.Errorf("error %v", err)
			}
			if got := d.onDisk["file"]; got != "old" && got != "new" {
				t.Errorf("a power cut leaves %s", got)
			}
			if _, there := d.inMemory["temp"]; there {
				t.Error("the temporary file is left behind")
			}
			if !slices.Contains(d.steps, "close") {
				t.Errorf("the file stays open: %v", d.steps)
			}
		})
	}
}
