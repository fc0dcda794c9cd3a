package statefile

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

const patience = 10 * time.Second

// next waits for a value, and returns false if the channel was closed.
func next(t *testing.T, changed <-chan struct{}) (open bool) {
	t.Helper()
	select {
	case _, open = <-changed:
		return open
	case <-time.After(patience):
		t.Fatal("nothing is said")
		return false
	}
}

// Whatever happens to a file of the directory is said, and when no more can be said, that.
func TestWatch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "tokens.json")
	for name, change := range map[string]func() error{
		"written": func() error { return os.WriteFile(file, []byte("{}"), 0o600) },
		"replaced": func() error {
			return Write(dir, "tokens.json", []byte("[]"))
		},
		"another mode": func() error { return os.Chmod(file, 0o400) },
		"removed":      func() error { return os.Remove(file) },
	} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		changed, stop := Watch(dir)
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if !next(t, changed) {
			t.Errorf("%s: nothing more is said", name)
		}
		stop()
		for range changed { // until it is closed
		}
	}
	changed, stop := Watch(dir)
	defer stop()
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	for next(t, changed) { // what came before the end
	}
	if changed, _ := Watch(dir); next(t, changed) {
		t.Error("a directory that is missing changes")
	}
}
