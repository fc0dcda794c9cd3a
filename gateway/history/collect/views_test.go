package collect

import (
	"math/rand/v2"
	"slices"
	"testing"

	"sensorgateway/wire"
)

// TestNewEpochIsFollowed holds that who has read all that there was gets the records of an
// epoch that begins then, at once.
func TestNewEpochIsFollowed(t *testing.T) {
	random := rand.New(rand.NewPCG(41, 1))
	c, stop := running(t, t.TempDir())
	defer stop()
	first, second := newDevice(random, "e1", 300), newDevice(random, "e2", 300)
	appendAll(t, c, "pi-1", first.blocks("indoor", 0, 300))
	follow := reader(t, c, "pi-1", "e1").Follow(0, 0, 0, 0)
	next := func() ([]wire.Record, error) { batch, _, err := follow(); return batch, err }
	got := drain(t, next)
	appendAll(t, c, "pi-1", second.blocks("indoor", 0, 300))
	got = append(got, drain(t, next)...)
	same(t, "both epochs", got, slices.Concat(first.records["indoor"], second.records["indoor"]))
}

// TestNothingIsSaidLost holds that a log without a journal, as all here are, is no damage.
func TestNothingIsSaidLost(t *testing.T) {
	random, dir := rand.New(rand.NewPCG(42, 1)), t.TempDir()
	d := newDevice(random, "e", 300)
	for range 2 {
		c, stop := running(t, dir)
		appendAll(t, c, "pi-1", d.blocks("indoor", 0, 300))
		if why, n := reader(t, c, "pi-1", "e").Lost(); why != "" || n != 0 {
			t.Errorf("%d are said to be lost: %s", n, why)
		}
		stop()
	}
}
