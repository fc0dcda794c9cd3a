package trace

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"sensorgateway/sensors"
	"sensorgateway/sensors/bus"
	"sensorgateway/sensors/sim"
	"sensorgateway/wire"
)

// three is a chip of each kind.
var three = Header{Gateway: "v1", Chips: []Chip{
	{Name: "indoor", Chip: "sht3x", Bus: "1", Address: 0x44, IntervalMS: 100, StuckMS: 60000},
	{Name: "outdoor", Chip: "bme280", Bus: "1", Address: 0x76, IntervalMS: 100, StuckMS: 60000, Also: []string{"pressure"}},
	{Name: "greenhouse", Chip: "aht20", Bus: "1", Address: 0x38, IntervalMS: 200, StuckMS: 60000},
}}

// memory is a trace in memory.
type memory struct{ bytes.Buffer }

func (*memory) Full() bool   { return false }
func (*memory) Begin() error { return nil }

// sample is what a sampler published, without its time.
type sample struct {
	sensor uint16
	seq    uint32
	fault  wire.Fault
	bits   [2]uint32
}

// sampled runs a sampler of the chips of three for a time, and returns its records.
func sampled(t *testing.T, on func(i int) i2c.Bus, d time.Duration, chip func(i int, chip sensors.Chip) sensors.Chip) (got []sample) {
	t.Helper()
	var configs []sensors.Config
	for i, c := range three.Chips {
		kind := sensors.Chips()[c.Chip]
		config := sensors.Config{ID: uint16(i), Name: c.Name, Chip: chip(i, kind), Bus: on(i), Address: c.Address,
			Interval: time.Duration(c.IntervalMS) * time.Millisecond, StuckAfter: time.Duration(c.StuckMS) * time.Millisecond}
		for _, also := range c.Also {
			config.Also = append(config.Also, sensors.Further{ID: uint16(len(three.Chips)), Name: c.Name + "_" + also, Value: kind.Further(also)})
		}
		configs = append(configs, config)
	}
	s := sensors.NewSampler(sensors.Options{
		Sensors: configs, Clock: sensors.NewClock(sensors.ClockOptions{}), Log: slog.New(slog.DiscardHandler),
		Publish: func(records []wire.Record, _ int64) {
			for _, r := range records {
				got = append(got, sample{r.Sensor, r.Seq, r.Fault, [2]uint32{math.Float32bits(r.Values[0]), math.Float32bits(r.Values[1])}})
			}
		},
	})
	ctx, cancel := context.WithTimeout(t.Context(), d+time.Millisecond) // not while a tick begins
	defer cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return got
}

// one says that all chips are on one bus.
func one(b i2c.Bus) func(int) i2c.Bus { return func(int) i2c.Bus { return b } }

// emulated is a bus with the chips of three.
func emulated(t *testing.T) *sim.Bus {
	t.Helper()
	b := sim.NewBus("bus 1", sim.NewEnvironment(1), 1)
	for _, c := range three.Chips {
		if err := b.Add(c.Chip, c.Address, sim.Indoor); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// recordedFor records the sampler on b, and returns the trace and the records.
func recordedFor(t *testing.T, b i2c.Bus, d time.Duration) (trace []byte, records []sample) {
	t.Helper()
	var out memory
	r, err := NewRecorder(&out, three)
	if err != nil {
		t.Fatal(err)
	}
	records = sampled(t, one(b), d, r.Chip)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), records
}

// bad is a bus on which an SHT3x fails now and then.
func bad(t *testing.T) i2c.Bus {
	t.Helper()
	b := emulated(t)
	time.AfterFunc(450*time.Millisecond, func() {
		if err := b.Inject(0x44, sim.Failure{Kind: sim.Corrupt, Count: 1}, sim.Failure{Kind: sim.Vanish, Count: 6}); err != nil {
			t.Error(err)
		}
	})
	return b
}

const goldenFile = "testdata/golden.trace"

// The format does not change: old recordings can be read for ever, and new ones have the same form.
func TestGoldenTrace(t *testing.T) {
	golden, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	h, calls, err := Read(bytes.NewReader(golden))
	if err != nil || len(h.Chips) != 3 || len(calls) != 29 {
		t.Fatalf("%+v, %d calls, %v", h, len(calls), err)
	}
	if got := written(t, h, calls); !bytes.Equal(got, golden) {
		t.Errorf("written again it is\n%s", got)
	}
	failed := calls[slices.IndexFunc(calls, func(c Call) bool { return c.Fault == uint8(wire.NoAck) })]
	x := failed.Transfers[0]
	if x.Error == "" || wire.Fault(x.Fault) != wire.NoAck || len(failed.Values) != 0 {
		t.Errorf("%+v", failed)
	}
}

// written is a trace as text.
func written(t testing.TB, h Header, calls []Call) []byte {
	t.Helper()
	b, err := encode(h)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range calls {
		line, err := encode(c)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, line...)
	}
	return b
}

// A transaction that does not end is in a recording too, if the bus is bounded.
func TestRecordsAHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := emulated(t)
		managed := bus.New("bus 1", b.Open, slog.New(slog.DiscardHandler))
		time.AfterFunc(1450*time.Millisecond, func() {
			if err := b.Inject(0x44, sim.Failure{Kind: sim.Stall, For: time.Hour}); err != nil {
				t.Error(err)
			}
		})
		trace, _ := recordedFor(t, bus.Bounded{Managed: managed}, 5*time.Second)
		_, calls, err := Read(bytes.NewReader(trace))
		if err != nil {
			t.Fatal(err)
		}
		for chip := range three.Chips {
			last := slices.IndexFunc(calls, func(c Call) bool { return c.Chip == chip && c.At > 4_500_000 })
			if last < 0 || wire.Fault(calls[last].Fault) != wire.BusDown || !strings.Contains(calls[last].Error, "hanging since") {
				t.Errorf("chip %d: call %d of %d is not one that failed for the hang", chip, last, len(calls))
			}
		}
		_ = managed.Close() // it hangs
		time.Sleep(2 * time.Hour)
	})
}

// A file that is no trace is refused, with the line; one that was cut off ends before that.
func TestRead(t *testing.T) {
	const head = `{"trace":1,"gateway":"v1","time":1,"chips":[{"name":"a","chip":"sht3x","bus":"1","address":68,"interval_ms":100,"stuck_after_ms":0}]}` + "\n"
	for text, want := range map[string]string{
		"":        "line 1: not a trace of the gateway: EOF",
		"hello\n": "line 1: not a trace of the gateway: ",
		strings.Replace(head, `"trace":1`, `"trace":2`, 1): "line 1: not a trace of the gateway: its format is version 2, this program reads 1",
		`{"trace":1}` + "\n":                                            "line 1: not a trace of the gateway: it has no chips",
		head + "{}\n":                                                   `line 2: "" is neither "open" nor "sense"`,
		head + `{"chip":1,"do":"open"}` + "\n":                          "line 2: there is no chip 1",
		head + `{"chip":0,"do":"open","at":-1}` + "\n":                  "line 2: a negative time",
		head + `{"chip":0,"do":"open","nope":1}` + "\n":                 `line 2: json: unknown field "nope"`,
		head + `{"chip":0,"do":"open"} {}` + "\n":                       "line 2: more data after the JSON value",
		head + `{"chip":0,"do":"open","err":"x"}` + "\n":                "line 2: an error without a fault",
		head + `{"chip":0,"do":"sense","values":"4"}` + "\n":            "line 2: ",
		head + `{"chip":0,"do":"open","x":[{"at":0,"took":-1}]}` + "\n": "line 2: a transfer with a negative time, or an error without a fault",
		head + strings.Repeat("x", maxLine+1):                           "line 2: longer than 1048576 bytes",
	} {
		if _, _, err := Read(strings.NewReader(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.80q: %v, want %s", text, err, want)
		}
	}
	_, calls, err := Read(strings.NewReader(head + `{"chip":0,"do":"open","at":1,"took":2}` + "\n" + `{"chip":0,"do":"se`))
	if err != nil || len(calls) != 1 {
		t.Errorf("cut off: %v, %v", calls, err)
	}
	if _, _, err := Run(strings.NewReader(strings.Replace(head, "sht3x", "sht99", 1)), sensors.Chips()); err == nil || !strings.Contains(err.Error(), "no driver") {
		t.Error(err)
	}
}

// Whatever it reads, it writes the same again.
func FuzzRead(f *testing.F) {
	golden, err := os.ReadFile(goldenFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add([]byte(`{"trace":1,"chips":[{}]}` + "\n" + `{"chip":0,"do":"sense","values":"7fc00001 ffffffff","x":[{"w":"","r":"00","err":"x","fault":255,"errno":-1}]}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, calls, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		first := written(t, h, calls)
		if h, calls, err = Read(bytes.NewReader(first)); err != nil {
			t.Fatalf("%v\n%s", err, first)
		}
		if again := written(t, h, calls); !bytes.Equal(first, again) {
			t.Errorf("%s\n%s", first, again)
		}
	})
}

// A file stays below its limit, and each half can be replayed alone.
func TestFileRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus.trace")
	synctest.Test(t, func(t *testing.T) {
		const limit = 60_000
		f, err := NewFile(path, limit)
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewRecorder(f, three)
		if err != nil {
			t.Fatal(err)
		}
		sampled(t, one(emulated(t)), 20*time.Second, r.Chip)
		if err := errors.Join(r.Err(), f.Flush(), f.Close(), f.Close()); err != nil {
			t.Fatal(err)
		}
		total := int64(0)
		for _, p := range []string{path, path + ".1"} {
			info, err := os.Stat(p)
			if err != nil {
				t.Fatal(err)
			}
			total += info.Size()
			trace, err := os.Open(p)
			if err != nil {
				t.Fatal(err)
			}
			defer trace.Close()
			if _, r, err := Run(trace, sensors.Chips()); err != nil || r.Different > 0 || r.Skipped > 0 || r.Calls < 5 {
				t.Errorf("%s: %+v, %v", p, r, err)
			}
		}
		if total > limit+4096 {
			t.Errorf("%d bytes, of %d", total, limit)
		}
		if calls, failed := r.Counts(); calls < 200 || failed != 0 {
			t.Errorf("%d calls, %d failed", calls, failed)
		}
	})
	if _, err := NewFile(path, 1<<20); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "; fix: ") {
		t.Error(err)
	}
}

// renewed is a trace in memory that is begun anew after its next line, if it is full.
type renewed struct {
	bytes.Buffer
	full bool
}

func (r *renewed) Full() bool { return r.full }
func (r *renewed) Begin() error {
	r.Reset()
	r.full = false
	return nil
}

// A file that begins before each chip has been opened has how the others were.
func TestNewFileHasTheOpenings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out renewed
		r, err := NewRecorder(&out, three)
		if err != nil {
			t.Fatal(err)
		}
		const last = 2
		c := three.Chips[last]
		chip, err := r.Chip(last, sensors.Chips()[c.Chip]).Open(emulated(t), c.Address)
		if err != nil {
			t.Fatal(err)
		}
		for _, full := range []bool{true, false} {
			out.full = full
			if err := chip.Sense(make([]float32, 2)); err != nil {
				t.Fatal(err)
			}
		}
		if _, r, err := Run(&out, sensors.Chips()); err != nil || r.Calls != 2 || r.Skipped > 0 || r.Different > 0 {
			t.Errorf("%+v, %v; want the opening and one measurement", r, err)
		}
	})
}

// full is a disk without room.
type full struct{ io.Writer }

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }
func (full) Full() bool                { return false }
func (full) Begin() error              { return nil }

// A disk that is full costs the recording, not the readings.
func TestFullDisk(t *testing.T) {
	if _, err := NewRecorder(full{}, three); err == nil {
		t.Error("no error")
	}
	synctest.Test(t, func(t *testing.T) {
		var out memory
		r, err := NewRecorder(&out, three)
		if err != nil {
			t.Fatal(err)
		}
		var once sync.Once
		records := sampled(t, one(emulated(t)), 2*time.Second, func(i int, chip sensors.Chip) sensors.Chip {
			once.Do(func() { r.out = full{} })
			return r.Chip(i, chip)
		})
		if r.Err() == nil {
			t.Error("no error")
		}
		for _, s := range records {
			if s.fault != wire.Good {
				t.Fatalf("%+v", s)
			}
		}
	})
}
