package history

import (
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/wire"
)

// A reader that is opened anew again and again has each record once, in the order
// in which they were made: while blocks grow, are packed, sealed and removed, the
// clock is set back, and another epoch has lower numbers.
func TestFollow(t *testing.T) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	r := newRig(t, d, m)
	begin := m.at
	r.Begin("one", m.next)
	chance := rand.New(rand.NewPCG(7, 8))
	var got []wire.Record
	mark, last, skipped := int64(0), uint32(0), 0
	follow := func(most int) {
		for most > 0 {
			next := r.Follow(0, begin, mark, last)
			for range 1 + chance.IntN(3) {
				records, at, err := next()
				if errors.Is(err, io.EOF) {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				all := len(records)
				records = records[:min(all, 1+chance.IntN(9), most)]
				got = append(got, records...)
				most -= len(records)
				mark, last = at, records[len(records)-1].Seq
				if len(records) < all || most == 0 {
					break // the rest comes again
				}
			}
		}
	}
	for i := range 150 {
		switch i {
		case 40, 90:
			m.at = begin + 500
		case 70:
			m.next[0] = 3
			r.Begin("two", m.next)
		}
		r.second()
		follow(chance.IntN(6))
	}
	follow(1e6)
	if len(r.index.Segments) < 3 {
		t.Fatalf("%d segments", len(r.index.Segments))
	}
	same(t, got, m.of(0))

	// What is removed before it was read is left out, and nothing else.
	r.o.MaxBytes = 60 << 10
	mark, last, got = 0, 0, nil
	follow(10)
	skipped = len(got)
	for range 150 {
		r.second()
	}
	follow(1e6)
	kept := m.of(0)
	first := len(kept) - (len(got) - skipped)
	if first <= skipped {
		t.Fatal("nothing was removed")
	}
	same(t, got, append(kept[:skipped:skipped], kept[first:]...))
	if oldest, ok := r.Oldest(0); !ok || kept[first].Seq != oldest {
		t.Errorf("it goes on with number %d, the oldest is %d", kept[first].Seq, oldest)
	}
	if _, _, err := r.Follow(9, 0, 0, 0)(); err != io.EOF {
		t.Error(err)
	}
}
