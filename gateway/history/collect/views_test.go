package collect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"sensorgateway/wire"
)

// TestNewEpochIsFollowed holds that a reader that has read all there was gets at once
// the records of an epoch that begins then.
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

// TestReadWhileMerged holds that a reader that has begun gets all that there is, each
// record once, whatever is merged and removed meanwhile.
func TestReadWhileMerged(t *testing.T) {
	for _, begun := range []int{0, 1, 50, 2000} { // batches that were read before
		c := newClimate(t, Options{}, 20*time.Second)
		c.hours(t, 49, nil)
		r := reader(t, c.Collection, "pi-1", "e")
		want := drain(t, r.Since(1, math.MaxUint32))
		hours := drain(t, r.Buckets(1, 0, 1<<60, 3_600_000))
		if len(want) != 49*180 || len(hours) != 49 {
			t.Fatalf("%d records, %d buckets", len(want), len(hours))
		}
		since, between, follow, buckets := r.Since(1, math.MaxUint32), r.Between(1, 0, 1<<60), r.Follow(1, 0, 0, 0), r.Buckets(1, 0, 1<<60, 60_000)
		followed := func() ([]wire.Record, error) { batch, _, err := follow(); return batch, err }
		all := [3]func() ([]wire.Record, error){since, between, followed}
		var got [3][]wire.Record
		var minutes []wire.Bucket
		for range begun {
			for i, next := range all {
				if batch, err := next(); err == nil {
					got[i] = append(got[i], batch...)
				}
			}
			if batch, err := buckets(); err == nil {
				minutes = append(minutes, batch...)
			}
		}
		c.settle(t)
		if n, _, _ := c.files(); n != 3 {
			t.Fatalf("%d files", n)
		}
		for i, next := range all {
			got[i] = append(got[i], drain(t, next)...)
			same(t, fmt.Sprintf("after %d batches: %d", begun, i), got[i], want)
		}
		if minutes = append(minutes, drain(t, buckets)...); len(minutes) != 49*60 {
			t.Errorf("after %d batches: %d minutes", begun, len(minutes))
		}
		if why, n := r.Lost(); n > 0 {
			t.Errorf("%d are said to be lost: %s", n, why)
		}
	}
}

// TestReadersWhileMerged holds the same of many who read at once, while more comes.
func TestReadersWhileMerged(t *testing.T) {
	c := newClimate(t, Options{}, 30*time.Second)
	c.hours(t, 30, nil)
	r := reader(t, c.Collection, "pi-1", "e")
	var readers sync.WaitGroup
	quit := make(chan struct{})
	for sensor := range uint16(2) {
		for _, open := range []func() func() ([]wire.Record, error){
			func() func() ([]wire.Record, error) { return r.Since(sensor, math.MaxUint32) },
			func() func() ([]wire.Record, error) { return r.Between(sensor, 0, 1<<60) },
		} {
			readers.Go(func() {
				for {
					next, n := open(), uint32(0)
					for batch, err := next(); err == nil; batch, err = next() {
						for _, x := range batch {
							if x.Seq != n {
								t.Errorf("%d follows %d", x.Seq, n-1)
								return
							}
							n++
						}
					}
					select {
					case <-quit:
						if want := uint32(c.made) * 120; n != want {
							t.Errorf("%d records in the end, want %d", n, want)
						}
						return
					default:
						if n < 30*120 {
							t.Errorf("%d records", n)
							return
						}
					}
				}
			})
		}
	}
	for range 6 {
		c.settle(t)
		c.hours(t, 13, nil)
	}
	close(quit)
	readers.Wait()
}
