package state

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func latchIn(dir string) *Latch {
	return NewLatch(dir, func(error) {}, slog.New(slog.DiscardHandler))
}

// storedIn returns who has latched the e-stop, as the next start will see it.
func storedIn(dir string) string {
	by, _ := latchIn(dir).Read()
	return by
}

// A file that cannot be read may say that the e-stop is latched, so it counts as latched.
func TestLatchInDoubt(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"empty, after a cut of power": func(path string) error { return os.WriteFile(path, nil, 0o640) },
		"zeros, after a cut of power": func(path string) error { return os.WriteFile(path, make([]byte, 128), 0o640) },
		"unreadable":                  func(path string) error { return os.Mkdir(path, 0o750) },
		"of an older gateway":         func(path string) error { return os.WriteFile(path, []byte("ahmet"), 0o640) },
		"damaged":                     func(path string) error { return os.WriteFile(path, []byte("\x17a\xff\x1b[2J\n1\n"), 0o640) },
		"of a newer one":              func(path string) error { return os.WriteFile(path, []byte("x\n"), 0o640) },
	} {
		dir := t.TempDir()
		if err := spoil(filepath.Join(dir, latchFile)); err != nil {
			t.Fatal(err)
		}
		if by := storedIn(dir); by == "" || strings.Contains(by, "\x1b") {
			t.Errorf("%s: latched by %q", name, by)
		}
	}
	if by := storedIn(""); by != "" {
		t.Errorf("without a directory: latched by %s", by)
	}
}

// What was answered with kept is there after a SIGKILL: the file is not closed
// here, and not synced.
func TestLatchSurvives(t *testing.T) {
	dir := t.TempDir()
	l := latchIn(dir)
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { _ = l.Run(ctx) })
	defer run.Wait()
	defer cancel()
	for _, by := range []string{"ahmet", "", "zeynep\nof the night shift", "", strings.Repeat("é", 200), "x"} {
		l.Set(by != "", by, time.Now())
		for !l.Kept() { // a slow disk's answer is false
		}
		want := strings.ReplaceAll(by, "\n", " ")
		want = want[:min(len(want), 106)]
		if got := storedIn(dir); got != want {
			t.Errorf("latched by %q, want %q", got, want)
		}
	}
}

// The newest counts, also when the one before was not written yet.
func TestLatchIsWrittenAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	l := latchIn(dir)
	for _, by := range []string{"ahmet", "", "zeynep"} {
		l.Set(by != "", by, time.Now())
	}
	l.Close()
	l = latchIn(dir)
	if by, _ := l.Read(); by != "zeynep" {
		t.Errorf("latched by %q", by)
	}
	l.Set(false, "ahmet", time.Now())
	l.Close()
	if by := storedIn(dir); by != "" {
		t.Errorf("latched by %q after a reset", by)
	}
}

// The next start knows who it was and when, and so does one of an older file.
func TestLatchSaysWhen(t *testing.T) {
	dir := t.TempDir()
	l := latchIn(dir)
	press := time.UnixMilli(1712345678901)
	l.Set(true, "ahmet", press)
	l.Close()
	if by, at := latchIn(dir).Read(); by != "ahmet" || !at.Equal(press) {
		t.Errorf("latched by %q at %v", by, at)
	}
	if err := os.WriteFile(filepath.Join(dir, latchFile), []byte("zeynep\n"+strings.Repeat(" ", 121)), 0o640); err != nil {
		t.Fatal(err)
	}
	if by, at := latchIn(dir).Read(); by != "zeynep" || time.Since(at) > time.Minute {
		t.Errorf("latched by %q at %v", by, at)
	}
}

// A name of invalid bytes only must not count as no name.
func TestLatchOfNobody(t *testing.T) {
	dir := t.TempDir()
	for _, by := range []string{"", "\xff\xfe"} {
		l := latchIn(dir)
		l.Set(true, by, time.Now())
		l.Close()
		if storedIn(dir) == "" {
			t.Errorf("latched by %q: not latched", by)
		}
	}
}

// What was found at the start and cannot be written is not kept either.
func TestLatchThatWasFound(t *testing.T) {
	for _, name := range []string{latchFile, latchFile + "/x"} { // the file, a directory in its place
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o750); err != nil {
				t.Fatal(err)
			}
			l := latchIn(dir)
			l.Read()
			ctx, cancel := context.WithCancel(t.Context())
			var run sync.WaitGroup
			run.Go(func() { _ = l.Run(ctx) })
			synctest.Wait()
			if want := name == latchFile; l.Kept() != want {
				t.Errorf("%s: kept %v", name, !want)
			}
			cancel()
			run.Wait()
		})
	}
}

// A press or a reset before the file could be read is newer than the file.
func TestLatchIsSetBeforeItIsRead(t *testing.T) {
	dir := t.TempDir()
	l := latchIn(dir)
	l.Set(true, "ahmet", time.Now())
	l.Close()
	l = latchIn(dir)
	l.Set(false, "", time.Now())
	if by, _ := l.Read(); by != "ahmet" {
		t.Errorf("read %q", by)
	}
	l.Close()
	if by := storedIn(dir); by != "" {
		t.Errorf("latched by %q after a reset", by)
	}
}

// What is written to a file that is not in the directory any more is not stored.
func TestLatchOfARemovedDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	l := latchIn(dir)
	l.Read()
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { _ = l.Run(ctx) })
	defer run.Wait()
	defer cancel()
	l.Set(true, "ahmet", time.Now())
	for !l.Kept() {
	}
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	l.Set(true, "zeynep", time.Now())
	for !l.Kept() {
	}
	if by := storedIn(dir); by != "zeynep" {
		t.Errorf("latched by %q", by)
	}
}

// fakeStore is a file that fails or hangs on demand.
type fakeStore struct {
	mu       sync.Mutex
	write    error
	sync     error
	gone     error
	slow     time.Duration
	text     string
	syncs    int
	reported []error
}

func (f *fakeStore) alter(change func()) { f.mu.Lock(); defer f.mu.Unlock(); change() }

func (f *fakeStore) WriteAt(b []byte, _ int64) (int, error) {
	f.mu.Lock()
	slow := f.slow
	f.mu.Unlock()
	time.Sleep(slow)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.write == nil {
		f.text, _, _ = strings.Cut(string(b), "\n")
	}
	return len(b), f.write
}

func (f *fakeStore) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.syncs++
	return f.sync
}

func (*fakeStore) Close() error { return nil }

func (f *fakeStore) InPlace() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gone
}

// Storing a latch is tried again until it succeeds, and whoever set it gets an answer in
// time, whatever the disk does.
func TestLatchIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{}
		var opens error
		l := newLatch(dir, func(err error) { f.alter(func() { f.reported = append(f.reported, err) }) },
			slog.New(slog.DiscardHandler), func(string) (latchStore, error) { f.mu.Lock(); defer f.mu.Unlock(); return f, opens })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		set := func(by string, want bool) {
			t.Helper()
			start := time.Now()
			l.Set(by != "", by, time.Now())
			if kept := l.Kept(); kept != want || time.Since(start) > keepTime {
				t.Errorf("%s: kept %v after %v", by, kept, time.Since(start))
			}
		}
		kept := func(want bool) {
			t.Helper()
			if l.Kept() != want {
				t.Errorf("kept %v without another set", !want)
			}
		}
		reported := func(want ...error) {
			t.Helper()
			synctest.Wait()
			f.mu.Lock()
			defer f.mu.Unlock()
			same := slices.EqualFunc(f.reported, want, func(a, b error) bool { return a == nil && b == nil || b != nil && errors.Is(a, b) })
			if !same || (l.Stored() == nil) != (len(want) == 0 || want[len(want)-1] == nil) {
				t.Errorf("reported %v, want %v; stored: %v", f.reported, want, l.Stored())
			}
			f.reported = nil
		}
		set("a", true)
		reported()

		f.alter(func() { f.write, opens = syscall.EROFS, syscall.EMFILE })
		set("b", false)
		set("c", false)
		kept(false)
		time.Sleep(10 * time.Second)
		reported(syscall.EMFILE)
		f.alter(func() { f.write, opens = nil, nil })
		time.Sleep(latchRetry)
		reported(nil)
		if f.text != "c" {
			t.Errorf("stored %q", f.text)
		}

		f.alter(func() { f.sync = syscall.EIO })
		set("d", true) // no death of the process forgets it
		time.Sleep(10 * time.Second)
		reported(syscall.EIO)
		f.alter(func() { f.sync = nil })
		time.Sleep(latchRetry)
		reported(nil)

		f.alter(func() { f.slow = time.Minute })
		set("", false)
		set("e", false)
		reported(errSlow)
		f.alter(func() { f.slow = 0 })
		time.Sleep(time.Minute)
		set("e", true)
		reported(nil)

		f.alter(func() { f.gone, opens = fs.ErrNotExist, fs.ErrNotExist })
		time.Sleep(latchCheck)
		reported(fs.ErrNotExist)
		kept(false) // although it was written once
		f.alter(func() { f.gone, opens = nil, nil })
		time.Sleep(latchRetry)
		reported(nil)
		kept(true)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		l.Close()
		if f.text != "e" {
			t.Errorf("stored %q", f.text)
		}
	})
}
