package codec

import (
	"encoding/hex"
	"testing"

	"sensorgateway/wire"
)

func someHeads() []Head {
	one := Origin{Sensor: "indoor", Epoch: "e", Boot: "b"}
	other := one
	other.Boot, other.Unsynced, other.Offset = "c", true, -5
	return []Head{
		{one, Summary{First: 4294967290, Last: 3, From: 1000, To: 60900, Good: 9, Failed: 1, Fault: wire.Checksum, Values: [2]Stat{{20, 21.5, 186}, {50, 51, 455}}}},
		{one, Summary{First: 4, Last: 5, From: 61000, To: 61100, Good: 2, Values: [2]Stat{{20, 20, 40}, {50, 50, 100}}}},
		{other, Summary{First: 9, Last: 9, From: 70000, To: 70000, Failed: 1, Fault: wire.Absent}},
	}
}

func TestHeadsAreGolden(t *testing.T) {
	const want = "736777681dda4b5b000000ed06696e646f6f720165016200000000000000000002" +
		"fffffffa0000000300000000000003e8000000000000ede4000900010241a0000041ac0000406740000000000042480000424c0000407c700000000000" +
		"0000000400000005000000000000ee48000000000000eeac000200000041a0000041a0000040440000000000004248000042480000405900000000000" +
		"006696e646f6f720165016301fffffffffffffffb01" +
		"00000009000000090000000000011170000000000001117000000001080000000000000000000000000000000000000000000000000000000000000000"
	b := AppendHeads(nil, someHeads())
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	heads, size, err := ParseHeads(append(b, 1, 2, 3))
	if err != nil || size != len(b) || len(heads) != 3 {
		t.Fatalf("%+v, %d of %d bytes, %v", heads, size, len(b), err)
	}
	for i, h := range someHeads() {
		if heads[i] != h {
			t.Errorf("%+v, want %+v", heads[i], h)
		}
	}
}

// What is out of order, of two sensors, empty or longer than a block is refused.
func TestHeadsThatAreNone(t *testing.T) {
	for name, change := range map[string]func([]Head) []Head{
		"none":        func([]Head) []Head { return nil },
		"order":       func(h []Head) []Head { h[0], h[1] = h[1], h[0]; return h },
		"sensors":     func(h []Head) []Head { h[2].Origin.Sensor = "outdoor"; return h },
		"epochs":      func(h []Head) []Head { h[2].Origin.Epoch = "f"; return h },
		"no records":  func(h []Head) []Head { h[2].Summary.Failed = 0; return h },
		"too many":    func(h []Head) []Head { h[0].Summary.Good = BlockRecords; return h },
		"few numbers": func(h []Head) []Head { h[1].Summary.Good = 3; return h },
		"backwards":   func(h []Head) []Head { h[2].Summary.Last = 8; return h },
	} {
		if heads, _, err := ParseHeads(AppendHeads(nil, change(someHeads()))); err == nil {
			t.Errorf("%s: %+v", name, heads)
		}
	}
	b := AppendHeads(nil, someHeads())
	for i := range b {
		b[i] ^= 4
		if _, _, err := ParseHeads(b); err == nil {
			t.Errorf("a flipped bit of byte %d is not noticed", i)
		}
		b[i] ^= 4
	}
}

func FuzzHeads(f *testing.F) {
	f.Add(AppendHeads(nil, someHeads()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= headsPrefix { // a checksum is found by nobody
			b = append(b[:4:4], append([]byte{0, 0, 0, 0}, b[8:]...)...)
			sum := Checksum(b[8:])
			b[4], b[5], b[6], b[7] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
		}
		heads, size, err := ParseHeads(b)
		if err != nil {
			return
		}
		again, _, err := ParseHeads(AppendHeads(nil, heads))
		if err != nil || len(again) != len(heads) || size > len(b) {
			t.Errorf("%d heads became %d: %v", len(heads), len(again), err)
		}
	})
}
