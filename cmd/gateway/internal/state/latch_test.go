package state

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"sensorgateway/wire"
)

// What cannot be read may be an e-stop, and so it is one.
func TestLatchInDoubt(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"empty, after a cut of power": func(path string) error { return os.WriteFile(path, nil, 0o640) },
		"unreadable":                  func(path string) error { return os.Mkdir(path, 0o750) },
	} {
		l := NewLatch(t.TempDir(), slog.New(slog.NewTextHandler(io.Discard, nil)))
		if err := spoil(filepath.Join(l.dir, latchFile)); err != nil {
			t.Fatal(err)
		}
		if l.By() == "" {
			t.Errorf("%s: not latched", name)
		}
	}
	if by := NewLatch("", slog.Default()).By(); by != "" {
		t.Errorf("without a directory: latched by %s", by)
	}
}

// The newest counts, also when the one before was not written yet.
func TestLatchIsWrittenAtTheEnd(t *testing.T) {
	l := NewLatch(t.TempDir(), slog.Default())
	for _, by := range []string{"ahmet", "", "zeynep"} {
		if by == "" {
			l.Event(wire.Event{Kind: wire.EventReset, By: "mehmet"})
		} else {
			l.Event(wire.Event{Kind: wire.EventEStop, By: by})
		}
	}
	l.Close()
	if by := l.By(); by != "zeynep" {
		t.Errorf("latched by %q", by)
	}
	l.Event(wire.Event{Kind: wire.EventReset, By: "ahmet"})
	l.Event(wire.Event{Kind: wire.EventSensorLost})
	l.Close()
	if by := l.By(); by != "" {
		t.Errorf("latched by %q after a reset", by)
	}
}
