package collect

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/history/format"
)

// TestBacklog holds that what comes at once after an outage goes into files of a bounded
// size, and is moved within a minute.
func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 8 << 10
		random, dir := rand.New(rand.NewPCG(61, 1)), t.TempDir()
		d := newDevice(random, "e", 5000)
		c := open(t, dir)
		c.intake.sealAt = most
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		synctest.Wait()
		for _, sensor := range d.sensors {
			for from := 0; from < 5000; from += 250 {
				appendAll(t, c, "pi-1", d.blocks(sensor, from, from+250))
			}
		}
		sizes := func(pattern string) (all []int64) {
			t.Helper()
			files, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				info, err := os.Stat(f)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, info.Size())
			}
			return all
		}
		if got := sizes("_intake/*"); len(got) < 5 || slices.Max(got) > 2*most {
			t.Errorf("the files of the intake have %d bytes", got)
		}
		<-time.After(checkEvery)
		synctest.Wait()
		if got := sizes("_intake/*"); len(got) > 0 {
			t.Errorf("after a minute the files of the intake have %d bytes", got)
		}
		if got := sizes("pi-1/log/*" + format.SegmentSuffix); len(got) < 5 || slices.Max(got) > 2*most {
			t.Errorf("the segments have %d bytes", got)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		equal(t, dir, "pi-1", d, 5000)
	})
}

// TestStartReadsInPieces holds that a start does not need as much memory as the intake has
// bytes.
func TestStartReadsInPieces(t *testing.T) {
	random, dir := rand.New(rand.NewPCG(62, 1)), t.TempDir()
	frame := newEntry("pi-1", newDevice(random, "e", 40_000).blocks("indoor", 0, 40_000)).frame
	if err := os.Mkdir(filepath.Join(dir, intakeDir), 0o700); err != nil {
		t.Fatal(err)
	}
	const size = 32 << 20
	var file []byte
	for len(file) < size {
		file = append(file, frame...)
	}
	if err := os.WriteFile(filepath.Join(dir, intakeDir, intakeName(1)), file, 0o600); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c := open(t, dir)
	runtime.ReadMemStats(&after)
	if n, want := len(c.log("pi-1").pending), len(file)/len(frame); n < want {
		t.Errorf("%d blocks were found in %d frames", n, want)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > size/4 {
		t.Errorf("a start took %d bytes of memory for an intake of %d", n, len(file))
	}
}
