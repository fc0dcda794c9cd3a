package hub

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sensorgateway/gateway/fleet"
)

// TestUnsaved holds that what cannot be stored of a gateway is said once, and once more when it
// can be, and keeps nothing from being stored of the others.
func TestUnsaved(t *testing.T) {
	dir := t.TempDir()
	h := newHub(t, dir)
	var log bytes.Buffer
	h.g.o.Log = slog.New(slog.NewTextHandler(&log, nil))
	writeFile(t, filepath.Join(dir, "pi-0"), "")
	names := []string{"pi-0", "pi-1", "pi-2", "pi-3", "pi-4", "pi-5"}
	for range 20 {
		for _, name := range names {
			h.g.remote(fleet.Gateway{Site: "lab", Name: name}).dirty = true
		}
		h.g.saveChanged(t.Context(), false)
		for _, name := range names[1:] {
			if err := os.Remove(filepath.Join(dir, name, file)); err != nil {
				t.Error(err)
			}
		}
	}
	if text := log.String(); strings.Count(text, "level=") != 1 || !strings.Contains(text, filepath.Join(dir, "pi-0")) {
		t.Errorf("it is said so:\n%s", text)
	}
	log.Reset()
	if err := os.Remove(filepath.Join(dir, "pi-0")); err != nil {
		t.Fatal(err)
	}
	h.g.saveChanged(t.Context(), false)
	h.g.saveChanged(t.Context(), false)
	if text := log.String(); strings.Count(text, "level=") != 1 || !strings.Contains(text, "level=INFO") {
		t.Errorf("when it is stored, it is said so:\n%s", text)
	}
	if _, err := os.Stat(filepath.Join(dir, "pi-0", file)); err != nil {
		t.Error(err)
	}
}
