//go:build unix

package state

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A pipe that has a file's name is not waited for: the numbers begin anew, and an
// e-stop may have been latched.
func TestPipes(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{stateFile, latchFile} {
		if err := unix.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Skip(err)
		}
	}
	s := mustOpen(t, dir, twoSensors, quiet())
	if s.use(0, 5); !s.durable {
		t.Error("the numbers are not stored")
	}
	s.die()
	if saved := afterPowerCut(t, dir); saved.Epoch != s.epoch {
		t.Errorf("epoch %q, stored %q", s.epoch, saved.Epoch)
	}
	l := NewLatch(dir, func(error) {}, quiet())
	if by, _ := l.Read(); by != unknownPresser {
		t.Errorf("latched by %q", by)
	}
	l.Set(false, "anna", time.Now())
	if err := l.write(); err == nil || !strings.Contains(err.Error(), "is no file") {
		t.Errorf("stored in a pipe: %v", err)
	}
}
