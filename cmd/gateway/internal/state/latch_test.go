package state

import (
	"context"
	"errors"
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

// What cannot be read may be an e-stop, and so it is one.
func TestLatchInDoubt(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"empty, after a cut of power": func(path string) error { return os.WriteFile(path, nil, 0o640) },
		"zeros, after a cut of power": func(path string) error { return os.WriteFile(path, make([]byte, 128), 0o640) },
		"unreadable":                  func(path string) error { return os.Mkdir(path, 0o750) },
		"of an older gateway":         func(path string) error { return os.WriteFile(path, []byte("ahmet"), 0o640) },
		"of a newer one":              func(path string) error { return os.WriteFile(path, []byte("x\n"), 0o640) },
	} {
		dir := t.TempDir()
		if err := spoil(filepath.Join(dir, latchFile)); err != nil {
			t.Fatal(err)
		}
		if latchIn(dir).By() == "" {
			t.Errorf("%s: not latched", name)
		}
	}
	if by := latchIn("").By(); by != "" {
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
		for kept := l.Set(by != "", by); !kept(); { // a slow disk's answer is false
		}
		want := strings.ReplaceAll(by, "\n", " ")
		want = want[:min(len(want), 126)]
		if got := latchIn(dir).By(); got != want {
			t.Errorf("latched by %q, want %q", got, want)
		}
	}
}

// The newest counts, also when the one before was not written yet.
func TestLatchIsWrittenAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	l := latchIn(dir)
	for _, by := range []string{"ahmet", "", "zeynep"} {
		l.Set(by != "", by)
	}
	l.Close()
	l = latchIn(dir)
	if by := l.By(); by != "zeynep" {
		t.Errorf("latched by %q", by)
	}
	l.Set(false, "ahmet")
	l.Close()
	if by := latchIn(dir).By(); by != "" {
		t.Errorf("latched by %q after a reset", by)
	}
}

// fakeStore is a file that fails or hangs on demand.
type fakeStore struct {
	mu       sync.Mutex
	write    error
	sync     error
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

// A latch that cannot be stored is tried again until it is, and who set it is told
// in time whatever the disk does.
func TestLatchIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{}
		var opens error
		l := newLatch(dir, func(err error) { f.alter(func() { f.reported = append(f.reported, err) }) },
			slog.New(slog.DiscardHandler), func(string) (latchStore, error) { return f, opens })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		set := func(by string, want bool) {
			t.Helper()
			start := time.Now()
			if kept := l.Set(by != "", by)(); kept != want || time.Since(start) > keepTime {
				t.Errorf("%s: kept %v after %v", by, kept, time.Since(start))
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

		f.alter(func() { f.write = syscall.EROFS })
		opens = syscall.EMFILE
		set("b", false)
		set("c", false)
		time.Sleep(10 * time.Second)
		reported(syscall.EMFILE)
		opens = nil
		f.alter(func() { f.write = nil })
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
		f.alter(func() { f.slow = 0 })
		time.Sleep(time.Minute)
		set("e", true)
		reported()
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
