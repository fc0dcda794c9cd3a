package collect

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

// headsOf returns the heads of blocks.
func headsOf(t *testing.T, blocks [][]byte) []byte {
	t.Helper()
	var heads []codec.Head
	for _, raw := range blocks {
		b, _, err := codec.ParseBlock(raw)
		if err != nil {
			t.Fatal(err)
		}
		heads = append(heads, codec.Head{Origin: b.Origin, Summary: b.Summary})
	}
	return codec.AppendHeads(nil, heads)
}

func summariseAll(t *testing.T, c *Collection, gateway string, blocks [][]byte, said ...Values) {
	t.Helper()
	if err := c.Summarise(t.Context(), gateway, headsOf(t, blocks), said); err != nil {
		t.Fatal(err)
	}
}

// alike returns whether two rows of buckets say the same, but for what adding up floats
// in another order changes.
func alike(a, b []wire.Bucket) bool {
	if len(a) != len(b) {
		return false
	}
	for i, x := range a {
		y := b[i]
		for k := range x.Values {
			if math.Abs(float64(x.Values[k].Mean-y.Values[k].Mean)) > 1e-3 {
				return false
			}
			x.Values[k].Mean, y.Values[k].Mean = 0, 0
		}
		if !reflect.DeepEqual(x, y) {
			return false
		}
	}
	return true
}

// TestSummaries holds that buckets of what has not come are those that its records give
// when they have, over restarts and repeats; and that then nothing of it counts twice.
func TestSummaries(t *testing.T) {
	random, dir := rand.New(rand.NewPCG(16, 2)), t.TempDir()
	d := newDevice(random, "e", 6000)
	step := int64(3_600_000) // within which all of it is
	records := d.records["outdoor"]
	shift := records[0].UnixMilli % step
	for i := range records {
		records[i].UnixMilli -= shift
	}
	all := d.blocks("outdoor", 0, 6000)
	said := Values{From: 0, Sensor: wire.SensorInfo{Values: wire.Quantities()[:2], Calibration: map[string]wire.Calibration{"temperature": {Scale: 1, Offset: 0.5}}}}

	c, stop := running(t, t.TempDir())
	if err := c.Append(t.Context(), "pi-1", all, []Values{said}); err != nil {
		t.Fatal(err)
	}
	want := drain(t, reader(t, c, "pi-1", "e").Buckets(1, 0, 1<<60, step))
	stop()

	c, stop = running(t, dir)
	n := len(all) / 3
	if err := c.Append(t.Context(), "pi-1", all[:n], []Values{said}); err != nil {
		t.Fatal(err)
	}
	summariseAll(t, c, "pi-1", all[n:2*n], said)
	summariseAll(t, c, "pi-1", all[n-1:2*n], said) // again, and with one that is there
	buckets := func() []wire.Bucket { return drain(t, reader(t, c, "pi-1", "e").Buckets(1, 0, 1<<60, step)) }
	some := buckets()
	stop()
	c, stop = running(t, dir)
	defer stop()
	if again := buckets(); len(again) == 0 || !alike(again, some) {
		t.Errorf("after a restart %+v, before %+v", again, some)
	}
	summariseAll(t, c, "pi-1", all[2*n:])
	if got := buckets(); !alike(got, want) {
		t.Errorf("summaries give %+v\nrecords %+v", got, want)
	}
	if got := drain(t, reader(t, c, "pi-1", "e").Between(1, 0, 1<<60)); len(got) == 0 || len(got) >= 6000 {
		t.Errorf("%d records are there", len(got))
	}
	file := filepath.Join(dir, "pi-1", LogDir, summariesFile)
	for from := n; from < len(all); from += 5 { // they come
		appendAll(t, c, "pi-1", all[from:min(from+5, len(all))])
		if got := buckets(); !alike(got, want) {
			t.Fatalf("with %d of %d blocks: %+v\nwant %+v", from, len(all), got, want)
		}
		if err := c.seal(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("all records are there, and the file of summaries: %v", err)
	}
}

// TestSummariesAreBounded holds that the file does not grow without end, that damage
// costs what is damaged, and that what is no summary is not stored.
func TestSummariesAreBounded(t *testing.T) {
	dir := t.TempDir()
	c, stop := running(t, dir)
	defer stop()
	var heads []codec.Head
	for i := range uint32(codec.HeadsMax) {
		heads = append(heads, codec.Head{Origin: codec.Origin{Sensor: "outdoor", Epoch: "e", Boot: "b"}, Summary: codec.Summary{First: i + 1, Last: i + 1, From: int64(i) * 60_000, To: int64(i) * 60_000, Good: 1}})
	}
	file := filepath.Join(dir, "pi-1", LogDir, summariesFile)
	for n := range 2 * summariesMax / (codec.HeadsMax * codec.SummarySize) {
		for i := range heads {
			heads[i].Summary.First += codec.HeadsMax
			heads[i].Summary.Last += codec.HeadsMax
		}
		if err := c.Summarise(t.Context(), "pi-1", codec.AppendHeads(nil, heads), nil); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(file); err != nil || info.Size() > summariesMax {
			t.Fatalf("message %d: %v, %v", n, info, err)
		}
	}
	before := drain(t, reader(t, c, "pi-1", "e").Buckets(1, 0, 1<<60, 1<<40))
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[100] ^= 1
	if err := os.WriteFile(file, bytes.Clone(data[:len(data)-7]), 0o600); err != nil {
		t.Fatal(err)
	}
	after := drain(t, reader(t, c, "pi-1", "e").Buckets(1, 0, 1<<60, 1<<40))
	if len(before) != 1 || len(after) != 1 || before[0].Count-after[0].Count != 2*codec.HeadsMax {
		t.Errorf("%+v, with damage to two of them %+v", before, after)
	}
	if err := c.Summarise(t.Context(), "pi-1", []byte("nonsense"), nil); err == nil {
		t.Error("nonsense is stored")
	}
}
