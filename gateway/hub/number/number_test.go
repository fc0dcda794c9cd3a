package number

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestGrows holds that numbers grow over restarts, whatever the clock says, also those of a
// program that was killed.
func TestGrows(t *testing.T) {
	path, log := filepath.Join(t.TempDir(), "new", "numbers"), slog.New(slog.NewTextHandler(t.Output(), nil))
	now, last := time.UnixMicro(1_700_000_000_000_000), uint64(0)
	for i, clock := range []time.Duration{0, 365 * 24 * time.Hour, time.Hour, 0, -100 * 365 * 24 * time.Hour, 366 * 24 * time.Hour} {
		n := Open(path, now.Add(clock), log)
		if err := n.Reserve(); err != nil {
			t.Fatal(err)
		}
		for k := range 3 * spare {
			next := n.Next()
			if next <= last || next < uint64(max(now.Add(clock).UnixMicro(), 0)) {
				t.Fatalf("start %d: %d after %d", i, next, last)
			}
			last = next
			if k%(spare/3) != 0 {
				continue
			}
			if err := n.Reserve(); err != nil {
				t.Fatal(err)
			}
			if stored, err := read(path); err != nil || stored < last {
				t.Fatalf("start %d: %d was given out, and %d stored: %v", i, last, stored, err)
			}
		}
	}
	if begin := uint64(now.Add(367 * 24 * time.Hour).UnixMicro()); last > begin {
		t.Errorf("a day later the clock says %d, and the last number is %d", begin, last)
	}
}

// TestWithoutFile holds that numbers are given out also if they cannot be stored, or what was
// stored is damaged; that few writes are made, and which bytes.
func TestWithoutFile(t *testing.T) {
	dir, log, now := t.TempDir(), slog.New(slog.NewTextHandler(t.Output(), nil)), time.UnixMicro(1_700_000_000_000_000)
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n := Open(filepath.Join(blocked, "numbers"), now, log)
	if err := n.Reserve(); err == nil || n.Next() != 1_700_000_000_000_001 {
		t.Errorf("%v, and then %d", err, n.Next())
	}
	path := filepath.Join(dir, "numbers")
	if err := os.WriteFile(path, []byte("9999999999999999\n00000000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n = Open(path, now, log)
	if err := n.Reserve(); err != nil || n.Next() != 1_700_000_000_000_001 {
		t.Errorf("%v, and then %d", err, n.Next())
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "1700000001000000\n6871c9aa\n" {
		t.Errorf("%q, %v", data, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := n.Reserve(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it is written again although most numbers are left")
	}
}
