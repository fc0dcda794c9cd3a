package history

import (
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"testing"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/wire"
)

// shipped is what a receiver of blocks has, and up to where each epoch was sent.
type shipped struct {
	cursor  map[string]uint32
	records []wire.Record
	blocks  int
	repeats int
}

// ship takes blocks of the first sensor until there are no more, or most were taken.
func (s *shipped) ship(t *testing.T, r *rig, most int) {
	t.Helper()
	next := r.Blocks(rigSensors[0], func(epoch string, _, last uint32) bool {
		sent, some := s.cursor[epoch]
		return !some || wire.Before(sent, last)
	})
	var unpack codec.Unpacker
	for range most {
		b, err := next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		block, size, err := codec.ParseBlock(b.Bytes)
		if err != nil || size != len(b.Bytes) || block.Origin.Sensor != rigSensors[0] || block.Origin.Epoch != b.Epoch || block.Summary.Last != b.Last || block.Count != b.Records {
			t.Fatalf("block %+v: %+v, %v", b, block, err)
		}
		records, err := unpack.Records(nil, block, 0)
		if err != nil {
			t.Fatal(err)
		}
		b.Values.Apply(records)
		for _, x := range records {
			if sent, some := s.cursor[b.Epoch]; some && !wire.Before(sent, x.Seq) {
				s.repeats++
				continue
			}
			x.Flags |= wire.Historical
			s.records = append(s.records, x)
		}
		s.cursor[b.Epoch] = b.Last
		s.blocks++
	}
}

// A feed that is opened anew again and again has each record once, whatever became of
// its block meanwhile, and none that a power cut can take.
func TestBlocks(t *testing.T) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	r := newRig(t, d, m)
	r.Begin("one", m.next)
	chance := rand.New(rand.NewPCG(3, 16))
	s := &shipped{cursor: map[string]uint32{}}
	for i := range 200 {
		if i == 70 {
			m.next[0] = 3
			r.Begin("two", m.next)
		}
		r.second()
		s.ship(t, r, chance.IntN(3))
		if durable := int(r.written[0]); len(s.records) > 0 && i > 70 && s.records[len(s.records)-1].Seq >= uint32(durable) {
			t.Fatalf("second %d: number %d was shipped, and %d is the first that is not on the disk", i, s.records[len(s.records)-1].Seq, durable)
		}
	}
	s.ship(t, r, 1e6)
	kept := m.of(0)
	if len(s.records) < len(kept)-3*70 || s.blocks < 4 {
		t.Fatalf("%d records of %d in %d blocks", len(s.records), len(kept), s.blocks)
	}
	same(t, s.records, kept[:len(s.records)])
	if s.repeats > 0 {
		t.Errorf("%d records were shipped twice", s.repeats)
	}

	// After a start, what was not shipped is, and what was shipped in part comes whole.
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	m.values = []wire.SensorInfo{{Name: rigSensors[0], Calibration: map[string]wire.Calibration{"temperature": {Scale: 1.1, Offset: -2}}}, {Name: rigSensors[1]}}
	r = newRig(t, d, m)
	r.Begin("two", m.next)
	for range 100 {
		r.second()
	}
	s.ship(t, r, 1e6)
	kept = m.of(0)
	same(t, s.records, kept[:len(s.records)])
	if len(s.records) < len(kept)-3*70 {
		t.Errorf("%d records of %d", len(s.records), len(kept))
	}

	// Without a cursor, all that is retained comes again.
	again := &shipped{cursor: map[string]uint32{}}
	again.ship(t, r, 1e6)
	same(t, again.records, s.records)
}

// While no sync succeeds, nothing that is only in memory is shipped; a segment is.
func TestBlocksAreDurable(t *testing.T) {
	d, m := disktest.New(), newMaker(len(rigSensors))
	r := newRig(t, d, m)
	r.Begin("one", m.next)
	r.second()
	for range 700 {
		r.Append(m.tick(), m.offset)
		r.write()
	}
	s := &shipped{cursor: map[string]uint32{}}
	r.pack()
	s.ship(t, r, 1e6)
	if n := len(s.records); n > 3 {
		t.Fatalf("%d records were shipped before a sync", n)
	}
	if err := r.sync(); err != nil {
		t.Fatal(err)
	}
	s.ship(t, r, 1e6)
	if len(s.records) == 0 {
		t.Error("nothing was shipped after a sync")
	}
	before := maps.Clone(s.cursor)
	if err := r.seal(false); err != nil {
		t.Fatal(err)
	}
	s.ship(t, r, 1e6)
	same(t, s.records, m.of(0))
	if before["one"] == s.cursor["one"] {
		t.Error("the segment had nothing more")
	}
}

// Before the directory was read, nothing is shipped: what is in it comes first.
func TestBlocksWaitForTheDirectory(t *testing.T) {
	l, err := New(Options{FS: disktest.New(), Sensors: rigSensors})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Blocks(rigSensors[0], func(string, uint32, uint32) bool { return true })(); err != io.EOF {
		t.Error(err)
	}
}
