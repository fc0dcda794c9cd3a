package collect

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/disk/disktest"
	"sensorgateway/wire"
)

// TestStreamsAreBounded holds that a gateway that sends blocks of ever new epochs does not take all
// memory: they are refused, what is known goes on, and what is evicted makes room.
func TestStreamsAreBounded(t *testing.T) {
	r, err := openRigWith(disktest.New(), &device{}, Options{MaxBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.stop()
	block := func(epoch int, seq uint32) [][]byte {
		var packer codec.Packer
		var sum codec.Summary
		records := []wire.Record{{Seq: seq, Reading: wire.Reading{UnixMilli: 1_700_000_000_000 + int64(seq), Values: [2]float32{20, 50}}}}
		sum.Add(records[0])
		return [][]byte{packer.AppendBlock(nil, codec.Origin{Sensor: "indoor", Epoch: fmt.Sprint("e", epoch), Boot: "b"}, seq-1, sum, records)}
	}
	for n := range streamsMost {
		appendAll(t, r.Collection, "pi-1", block(n, 1))
	}
	next := block(streamsMost, 1)
	for what, err := range map[string]error{"readings": r.Append(t.Context(), "pi-1", next, nil), "summaries": r.Summarise(t.Context(), "pi-1", headsOf(t, next), nil)} {
		if !errors.Is(err, codec.ErrBlock) || !strings.Contains(err.Error(), "fix: ") {
			t.Errorf("%s of one epoch more: %v", what, err)
		}
	}
	appendAll(t, r.Collection, "pi-2", next)
	for seq := uint32(2); seq <= 3; seq++ {
		appendAll(t, r.Collection, "pi-1", block(0, seq))
		if newest, ok := reader(t, r.Collection, "pi-1", "e0").Newest(0); !ok || newest != seq {
			t.Errorf("the newest of a known epoch is %d, want %d", newest, seq)
		}
		if err := r.seal(); err != nil { // the second time, the first segment is evicted
			t.Fatal(err)
		}
	}
	appendAll(t, r.Collection, "pi-1", next)
}
