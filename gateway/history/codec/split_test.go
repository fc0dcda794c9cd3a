package codec

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"sensorgateway/wire"
)

// Whatever a block is split into, the records are the same, and each part names the
// record before its own.
func TestSplit(t *testing.T) {
	chance := rand.New(rand.NewPCG(7, 7))
	origin := Origin{Sensor: "indoor", Epoch: "e", Boot: "b", Offset: 5}
	for range 200 {
		var records []wire.Record
		var sum Summary
		seq := chance.Uint32()
		for i := range 1 + chance.IntN(40) {
			seq += 1 + uint32(chance.IntN(3)/2) // some numbers were never made
			records = append(records, wire.Record{Seq: seq, Reading: wire.Reading{Values: [2]float32{chance.Float32(), 50}, UnixMilli: 1_700_000_000_000 + int64(i)*100}})
			sum.Add(records[i])
		}
		var p Packer
		raw := p.AppendBlock(nil, origin, records[0].Seq-1, sum, records)
		whole, _, err := ParseBlock(raw)
		if err != nil {
			t.Fatal(err)
		}
		parts := map[uint32]int{}
		var want []wire.Record
		for _, r := range records {
			if parts[r.Seq] = chance.IntN(4) - 1; parts[r.Seq] >= 0 {
				want = append(want, r)
			}
		}
		split, err := Split(whole, func(r wire.Record) int { return parts[r.Seq] })
		if err != nil {
			t.Fatal(err)
		}
		var got []wire.Record
		var u Unpacker
		for _, raw := range split {
			b, size, err := ParseBlock(raw)
			if err != nil || size != len(raw) || b.Origin != origin {
				t.Fatalf("%+v, %v", b, err)
			}
			i := slices.IndexFunc(records, func(r wire.Record) bool { return r.Seq == b.Summary.First })
			if prev := whole.Prev; i > 0 && b.Prev != records[i-1].Seq || i == 0 && b.Prev != prev {
				t.Errorf("the record before number %d is said to be %d", b.Summary.First, b.Prev)
			}
			if got, err = u.Records(got, b, 0); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %v\nwant %v", got, want)
		}
		if same, _ := Split(whole, func(wire.Record) int { return 0 }); len(same) != 1 || !bytes.Equal(same[0], raw) {
			t.Error("a block that is not split has other bytes")
		}
	}
}
