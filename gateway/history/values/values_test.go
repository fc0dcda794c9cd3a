package values

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

var (
	plain    = wire.SensorInfo{Name: "roof", Values: []wire.Quantity{wire.Pressure}}
	offset   = wire.SensorInfo{Name: "roof", Values: []wire.Quantity{wire.Pressure}, Calibration: map[string]wire.Calibration{"pressure": {Scale: 1, Offset: 2.5}}}
	filtered = wire.SensorInfo{Name: "roof", Values: []wire.Quantity{wire.Pressure}, Median: 3}
)

// What is written, byte by byte.
func TestGolden(t *testing.T) {
	var table Table
	table.Begin(plain, "E", 0)
	table.Begin(offset, "E", 70)
	want := `{"version":1,"sensors":[{"name":"roof","epoch":"E","from":0,"values":[{"quantity":"pressure","unit":"hPa"}]},` +
		`{"name":"roof","epoch":"E","from":70,"values":[{"quantity":"pressure","unit":"hPa"}],"calibration":{"pressure":{"scale":1,"offset":2.5}}}]}` + "\n19039450\n"
	if got := string(table.Format()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	// Of a later version, what is known is used.
	line := `{"version":2,"sensors":[{"name":"roof","epoch":"E","from":0,"values":[{"quantity":"pressure","unit":"hPa","later":1}],"later":true}],"later":[]}`
	got, err := Parse(fmt.Appendf(nil, "%s\n%08x\n", line, codec.Checksum([]byte(line))))
	if e, ok := got.Newest("roof"); err != nil || !ok || e.Values[0] != wire.Pressure {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestBeginNotesChangesOnly(t *testing.T) {
	var table Table
	for i, step := range []struct {
		s       wire.SensorInfo
		epoch   string
		from    uint32
		entries int
	}{
		{plain, "E", 0, 1}, {plain, "E", 100, 1}, {plain, "F", 0, 1}, // what nothing corrects is said once
		{offset, "F", 50, 2}, {offset, "F", 60, 2},
		{offset, "G", 0, 3}, // in each epoch
		{plain, "G", 7, 4}, {plain, "H", 0, 4}, {filtered, "H", 5, 5}, {filtered, "I", 0, 5},
	} {
		table.Begin(step.s, step.epoch, step.from)
		if len(table.entries) != step.entries {
			t.Errorf("step %d: %d entries, want %d", i, len(table.entries), step.entries)
		}
	}
	for _, tt := range []struct {
		epoch string
		seq   uint32
		want  float32
	}{{"E", 5, 1000}, {"F", 49, 1000}, {"F", 50, 1002.5}, {"G", 0, 1002.5}, {"G", 6, 1002.5}, {"G", 7, 1000}, {"I", 9, 1000}} {
		r := []wire.Record{{Seq: tt.seq, Reading: wire.Reading{Values: [2]float32{1000, wire.NotMeasured()}}}}
		table.Of("roof", tt.epoch).Apply(r)
		if got := r[0].Values[0]; got != tt.want {
			t.Errorf("%s %d: %v, want %v", tt.epoch, tt.seq, got, tt.want)
		}
	}
}

// What was noted before a directory could be read comes after what is in it.
func TestPrepend(t *testing.T) {
	var older, table Table
	older.Begin(offset, "E", 0)
	older.Saved(older)
	table.Begin(offset, "E", 500)
	table.Prepend(older)
	if len(table.entries) != 1 || table.Changed() {
		t.Errorf("%+v", table)
	}
	table.Begin(plain, "E", 600)
	if len(table.entries) != 2 || !table.Changed() {
		t.Errorf("%+v", table)
	}
}

// The summary of a block is that of its values.
func TestSummaries(t *testing.T) {
	var table Table
	table.Begin(plain, "E", 0)
	table.Begin(offset, "E", 10)
	measured := codec.Summary{First: 10, Last: 12, Good: 2, Failed: 1, Values: [2]codec.Stat{{Min: 1000, Max: 1001, Sum: 2001}, {Min: 1, Max: 2, Sum: 3}}}
	got, ok := table.Of("roof", "E").ApplyTo(measured)
	want := measured
	want.Values[0] = codec.Stat{Min: 1002.5, Max: 1003.5, Sum: 2006}
	if !ok || got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	measured.First = 9
	if _, ok := table.Of("roof", "E").ApplyTo(measured); ok {
		t.Error("a block across a change has no summary of its values")
	}
}

func FuzzParse(f *testing.F) {
	var table Table
	table.Begin(offset, "E", math.MaxUint32)
	f.Add(table.Format())
	f.Add([]byte(`{"sensors":[{"calibration":{"temperature":{"scale":-1}}}]}` + "\n00000000\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := Parse(data)
		if err != nil {
			return
		}
		b, err := Parse(a.Format())
		if diff := cmp.Diff(a.entries, b.entries, cmp.AllowUnexported(Entry{}), cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); err != nil || diff != "" {
			t.Errorf("%v, %s", err, diff)
		}
	})
}

// What a gateway says may come in any order, and more than once.
func TestLearn(t *testing.T) {
	other := wire.SensorInfo{Name: "roof", Values: []wire.Quantity{wire.Pressure}, Calibration: map[string]wire.Calibration{"pressure": {Scale: 1, Offset: 4}}}
	var table Table
	for i, step := range []struct {
		s       wire.SensorInfo
		from    uint32
		entries int
	}{
		{offset, 100, 1}, {offset, 100, 1}, {offset, 170, 1}, // as each block says it
		{offset, 40, 1}, // it held before
		{other, 200, 2}, {plain, 10, 3}, {plain, 20, 3}, {offset, 60, 3},
		{offset, 200, 3}, {other, 200, 3}, // one number has one
	} {
		table.Learn(step.s, "E", step.from)
		if len(table.entries) != step.entries {
			t.Errorf("step %d: %d entries, want %d", i, len(table.entries), step.entries)
		}
	}
	for seq, want := range map[uint32]float32{9: 1000, 39: 1000, 40: 1002.5, 199: 1002.5, 200: 1004} {
		r := []wire.Record{{Seq: seq, Reading: wire.Reading{Values: [2]float32{1000, wire.NotMeasured()}}}}
		table.Of("roof", "E").Apply(r)
		if got := r[0].Values[0]; got != want {
			t.Errorf("%d: %v, want %v", seq, got, want)
		}
	}
	for i := range learnMax + 10 {
		table.Learn([]wire.SensorInfo{offset, other}[i%2], "E", 1000+uint32(i))
	}
	for i := range 10 { // before all others
		table.Learn([]wire.SensorInfo{offset, other}[i%2], "E", 900-uint32(i))
	}
	if len(table.entries) > learnMax {
		t.Errorf("%d entries", len(table.entries))
	}
}

// Of two entries from the same number on, the last counts: a payload of blocks says one.
func TestWithinOneOfANumber(t *testing.T) {
	var table Table
	table.Begin(plain, "E", 0)
	table.Begin(offset, "E", 100)
	table.Begin(filtered, "E", 100)
	if got := table.Of("roof", "E").Within(50, 150); len(got) != 2 || got[1].Median != 3 {
		t.Errorf("%+v", got)
	}
}
