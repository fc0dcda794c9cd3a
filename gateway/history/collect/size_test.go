package collect

import (
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"sensorgateway/gateway/history/format"
)

// TestSize holds that the size is that of the files, of gateways that have sent nothing
// since the start too.
func TestSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random, dir := rand.New(rand.NewPCG(4, 2)), t.TempDir()
		d := newDevice(random, "e", 2000)
		files := func() (n int64) {
			t.Helper()
			err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
				if err != nil || e.IsDir() || !strings.HasSuffix(path, format.SegmentSuffix) && filepath.Base(filepath.Dir(path)) != intakeDir {
					return err
				}
				info, err := e.Info()
				n += info.Size()
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		c, stop := running(t, dir)
		synctest.Wait() // until what was there at the start is sealed, which is neither in the intake alone nor in segments meanwhile
		if n := c.Size(); n != 0 {
			t.Errorf("%d bytes of nothing", n)
		}
		for _, gateway := range []string{"pi-1", "pi-2"} {
			appendAll(t, c, gateway, d.blocks("indoor", 0, 1000))
		}
		if got, want := c.Size(), files(); got != want || want == 0 {
			t.Errorf("%d bytes in the intake, want %d", got, want)
		}
		if err := c.seal(); err != nil {
			t.Fatal(err)
		}
		if got, want := c.Size(), files(); got != want || want == 0 {
			t.Errorf("%d bytes in segments, want %d", got, want)
		}
		stop()
		c, stop = running(t, dir)
		defer stop()
		synctest.Wait()
		if got, want := c.Size(), files(); got != want || want == 0 {
			t.Errorf("%d bytes after a restart, want %d", got, want)
		}
		appendAll(t, c, "pi-2", d.blocks("indoor", 1000, 2000))
		if got, want := c.Size(), files(); got != want {
			t.Errorf("%d bytes, of which one gateway has sent some, want %d", got, want)
		}
	})
}
