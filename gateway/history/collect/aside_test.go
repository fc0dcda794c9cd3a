package collect

import (
	"context"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sensorgateway/gateway/history/format"
	"sensorgateway/gateway/history/recovery"
)

// TestSetAside holds that a file that was set aside counts like the readings, also before
// the log is read again, and makes room before any of them.
func TestSetAside(t *testing.T) {
	const junk = 1 << 20
	random, dir := rand.New(rand.NewPCG(64, 1)), t.TempDir()
	d := newDevice(random, "e", 4000)
	logDir := filepath.Join(dir, "pi-1", LogDir)
	if err := os.MkdirAll(logDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(logDir, format.SegmentName(1)), make([]byte, junk), 0o600); err != nil {
		t.Fatal(err)
	}
	aside := func() bool {
		_, err := os.Stat(filepath.Join(logDir, recovery.DamagedDir, format.SegmentName(1)))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return err == nil
	}
	var told strings.Builder
	o := Options{Dir: dir, MaxBytes: junk, Log: slog.New(slog.NewTextHandler(&told, nil))}
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	reader(t, c, "pi-1", "e")
	if n := c.Size(); n != junk || !aside() {
		t.Errorf("%d bytes, set aside: %v", n, aside())
	}
	if c, err = Open(o); err != nil {
		t.Fatal(err)
	}
	if n := c.Size(); n != junk {
		t.Errorf("after a restart, before the log is read: %d bytes", n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	for from := 0; from < 4000; from += 1000 {
		appendAll(t, c, "pi-1", d.blocks("indoor", from, from+1000))
		if err := c.seal(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if aside() || !strings.Contains(told.String(), "readings need its space") {
		t.Errorf("it is there still: %v; the log says\n%s", aside(), &told)
	}
	files, size := 0, int64(0)
	err = filepath.WalkDir(logDir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, format.SegmentSuffix) {
			return err
		}
		info, err := e.Info()
		files, size = files+1, size+info.Size()
		return err
	})
	if err != nil || files != 4 || c.Size() != size {
		t.Errorf("%d files of %d bytes are left, %d are known: %v", files, size, c.Size(), err)
	}
	if n := len(stored(t, dir, "pi-1", "indoor")); n != 4000 {
		t.Errorf("%d records are left", n)
	}
}
