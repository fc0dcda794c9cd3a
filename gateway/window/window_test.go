package window

import (
	"math/rand/v2"
	"slices"
	"testing"

	"sensorgateway/wire"
)

// What a window keeps is what wire/README.md says of the whole of what came in.
func TestWindow(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var w Window
		var all []wire.Record
		for n := range 1 + rnd.IntN(60) {
			r := wire.Record{Sensor: uint16(rnd.IntN(2)), Seq: uint32(n), Reading: wire.Reading{
				Values: [2]float32{float32(rnd.IntN(9)), float32(rnd.IntN(9))}, UnixMilli: int64(n)}}
			if rnd.IntN(4) == 0 {
				r.Fault = wire.NoAck
				r.Reading = wire.Failed(wire.NoAck, int64(n))
			}
			if seed%2 == 1 && r.Fault == wire.Good { // of one quantity
				r.Values[1] = wire.NotMeasured()
			}
			w.Add(r)
			all = append(all, r)
		}
		want := 0
		for sensor := range uint16(2) {
			mine := slices.DeleteFunc(slices.Clone(all), func(r wire.Record) bool { return r.Sensor != sensor })
			if len(mine) == 0 {
				continue
			}
			keep := map[uint32]bool{mine[len(mine)-1].Seq: true}
			for e := range extremes {
				best := -1
				for i, r := range mine {
					if r.Fault == wire.Good && (e < 2 || seed%2 == 0) && (best < 0 || key(e, r) > key(e, mine[best])) {
						best = i
					}
				}
				if best >= 0 {
					keep[mine[best].Seq] = true
				}
			}
			want += len(keep)
			last := int64(-1)
			for _, r := range w.Records() {
				if r.Sensor != sensor {
					continue
				}
				if !keep[r.Seq] || int64(r.Seq) <= last {
					t.Fatalf("seed %d: sensor %d: %d is kept, out of order or wrongly", seed, sensor, r.Seq)
				}
				if conflated := r.Flags&wire.Conflated != 0; conflated != (len(mine) > len(keep)) {
					t.Fatalf("seed %d: %d of %d kept, flag %v", seed, len(keep), len(mine), conflated)
				}
				last = int64(r.Seq)
			}
		}
		if w.Kept() != want || len(w.Records()) != want || w.total != len(all) {
			t.Fatalf("seed %d: %d of %d kept, want %d", seed, w.Kept(), w.total, want)
		}
	}
}

// Batches are whole sensors, small, and all of it in the end.
func TestWindowInBatches(t *testing.T) {
	w := &Window{}
	for seq := range uint32(50) {
		for sensor := range uint16(64) {
			w.Add(wire.Record{Sensor: sensor, Seq: seq, Reading: wire.Reading{Values: [2]float32{float32(seq % 7), float32(seq % 11)}}})
		}
	}
	kept, total := w.Kept(), w.total
	taken, of := 0, 0
	for most := 1; w.total > 0; most += 10 {
		batch := w.Batch(most)
		if n := batch.Kept(); n == 0 || n > most && len(batch.sensors) > 1 {
			t.Fatalf("a batch of %d records of %d sensors, %d at most", n, len(batch.sensors), most)
		}
		taken, of = taken+batch.Kept(), of+batch.Total()
		w.Remove(batch)
	}
	if taken != kept || of != total || len(w.sensors) > 0 {
		t.Errorf("%d of %d taken, %d of %d kept; %d sensors left", taken, of, kept, total, len(w.sensors))
	}
}
