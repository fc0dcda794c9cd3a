package aside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/history/collect"
	"sensorgateway/wire"
)

// logs are those of gateways, of which that of pi-7 can fail.
type logs struct {
	fails  error
	stored map[string][]fleet.Blocks
}

func (l *logs) store(_ context.Context, gateway string, b fleet.Blocks) error {
	if gateway == "pi-7" && l.fails != nil {
		return l.fails
	}
	l.stored[gateway] = append(l.stored[gateway], b)
	return nil
}

// payload returns the parts of a message with a minute of records, or the heads of it.
func payload(t *testing.T, first uint32, heads bool) fleet.Blocks {
	t.Helper()
	var packer codec.Packer
	var sum codec.Summary
	var records []wire.Record
	for n := first; n < first+600; n++ {
		r := wire.Record{Seq: n, Reading: wire.Reading{Values: [2]float32{20, 50}, UnixMilli: int64(n) * 100}}
		sum.Add(r)
		records = append(records, r)
	}
	values := []fleet.Values{
		{From: 0, Sensor: wire.SensorInfo{Median: 3, Values: wire.Quantities()[:2], Calibration: map[string]wire.Calibration{"temperature": {Scale: 1.5, Offset: -1}}}},
		{From: first + 7, Sensor: wire.SensorInfo{Values: []wire.Quantity{{Name: "glow", Unit: "lm", Decimals: 2}}}},
	}
	origin := codec.Origin{Sensor: "indoor", Epoch: "e", Boot: "b"}
	b := fleet.AppendUpHeader(nil, values)
	if heads {
		b = codec.AppendHeads(b, []codec.Head{{Origin: origin, Summary: sum}})
	} else {
		b = packer.AppendBlock(b, origin, first-1, sum, records)
	}
	parts, err := fleet.ParseUp(b)
	if err != nil {
		t.Fatal(err)
	}
	return parts[0]
}

// TestOneLogFails holds that what comes of a gateway whose log cannot be used is durable, also
// over a restart, until its log has it, and that the others are stored meanwhile.
func TestOneLogFails(t *testing.T) {
	dir, ctx := filepath.Join(t.TempDir(), "aside"), t.Context()
	l := &logs{fails: errors.New("permission denied"), stored: map[string][]fleet.Blocks{}}
	var log bytes.Buffer
	var told []string
	o := Options{Dir: dir, Store: l.store, Stored: func(gateway string) { told = append(told, gateway) }, Log: slog.New(slog.NewTextHandler(&log, nil))}
	a := New(o)
	a.storeAll(ctx) // there is nothing, not even the directory
	all := []fleet.Blocks{payload(t, 1, false), payload(t, 601, true), payload(t, 1201, false)}
	for i, b := range all {
		if err := a.Store(ctx, "pi-7", b); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		if err := a.Store(ctx, "pi-8", b); err != nil || len(l.stored["pi-8"]) != i+1 {
			t.Fatalf("of another, %d: %v, %d are stored", i, err, len(l.stored["pi-8"]))
		}
		a.storeAll(ctx)
	}
	if text := log.String(); strings.Count(text, "level=") != 1 || !strings.Contains(text, "fix: ") || !strings.Contains(text, "permission denied") || !strings.Contains(text, "gateway=pi-7") {
		t.Errorf("it is said so:\n%s", text)
	}
	a = New(o)
	a.storeAll(ctx)
	if len(l.stored["pi-7"]) != 0 || len(files(t, dir)) != len(all) || told != nil {
		t.Errorf("%d are stored, and %v kept, told %v", len(l.stored["pi-7"]), files(t, dir), told)
	}
	l.fails = nil
	log.Reset()
	a.storeAll(ctx)
	a.storeAll(ctx)
	if !reflect.DeepEqual(l.stored["pi-7"], all) || len(files(t, dir)) != 0 || !slices.Equal(told, []string{"pi-7"}) {
		t.Errorf("%+v are stored, and %v kept, told %v", l.stored["pi-7"], files(t, dir), told)
	}
	if text := log.String(); strings.Count(text, "level=") != 1 || !strings.Contains(text, "parts=3") {
		t.Errorf("it is said so:\n%s", text)
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestNotKept holds that what can never be stored is not kept, nothing while the hub ends, and
// that nothing is confirmed that could not be kept either.
func TestNotKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "aside")
	l := &logs{stored: map[string][]fleet.Blocks{}}
	a := New(Options{Dir: dir, Store: l.store, Log: slog.New(slog.DiscardHandler)})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	broken := errors.New("a broken disk")
	l.fails = fmt.Errorf("block 0: %w", codec.ErrBlock)
	if err := a.Store(t.Context(), "pi-7", payload(t, 1, false)); !errors.Is(err, codec.ErrBlock) {
		t.Errorf("unreadable blocks: %v", err)
	}
	l.fails = broken
	if err := a.Store(ended, "pi-7", payload(t, 1, false)); !errors.Is(err, broken) {
		t.Errorf("at the end: %v", err)
	}
	l.fails = fmt.Errorf("%w: no space left on device", collect.ErrIntake)
	if err := a.Store(t.Context(), "pi-7", payload(t, 1, false)); !errors.Is(err, l.fails) || a.isKept("pi-7") {
		t.Errorf("what befalls all gateways: %v", err)
	}
	l.fails = broken
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("%v are kept", left)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Store(t.Context(), "pi-7", payload(t, 1, false)); !errors.Is(err, broken) || !strings.Contains(err.Error(), "nor can") {
		t.Errorf("without a directory: %v", err)
	}
}

// TestBounded holds that the oldest make room, by their bytes and only while the log cannot be
// used, and that a file that is damaged holds up nothing.
func TestBounded(t *testing.T) {
	dir, ctx := filepath.Join(t.TempDir(), "aside"), t.Context()
	l := &logs{fails: errors.New("permission denied"), stored: map[string][]fleet.Blocks{}}
	var log bytes.Buffer
	a := New(Options{Dir: dir, Store: l.store, Log: slog.New(slog.NewTextHandler(&log, nil))})
	for i := range uint32(5) {
		if err := a.Store(ctx, "pi-7", payload(t, 1+600*i, false)); err != nil {
			t.Fatal(err)
		}
	}
	a.most = 0
	for _, path := range files(t, dir)[2:] {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		a.most += info.Size()
	}
	a.storeAll(ctx)
	a.storeAll(ctx)
	left := files(t, dir)
	if len(left) != 3 || strings.Count(log.String(), "the oldest are dropped; fix: ") != 1 {
		t.Fatalf("%v are kept, it is said so:\n%s", left, &log)
	}
	if err := os.WriteFile(left[1], []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.fails, a.most = nil, 1
	a.storeAll(ctx)
	if got := l.stored["pi-7"]; len(got) != 2 || got[0].First != 1201 || got[1].First != 2401 || len(files(t, dir)) != 0 {
		t.Errorf("%+v are stored, and %v kept", got, files(t, dir))
	}
}

// TestUnreadableFile holds that a file that cannot be read is said once, and holds up nothing: the
// others are stored, and what comes then as well. So does a directory.
func TestUnreadableFile(t *testing.T) {
	dir, ctx := filepath.Join(t.TempDir(), "aside"), t.Context()
	l := &logs{fails: errors.New("permission denied"), stored: map[string][]fleet.Blocks{}}
	var log bytes.Buffer
	a := New(Options{Dir: dir, Store: l.store, Log: slog.New(slog.NewTextHandler(&log, nil))})
	for i := range uint32(3) {
		if err := a.Store(ctx, "pi-7", payload(t, 1+600*i, false)); err != nil {
			t.Fatal(err)
		}
	}
	first := files(t, dir)[0]
	if err := errors.Join(os.Remove(first), os.Mkdir(first, 0o700), os.WriteFile(filepath.Join(dir, "pi-9"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	l.fails = nil
	log.Reset()
	a.storeAll(ctx)
	a.storeAll(ctx)
	for _, name := range []string{"pi-7", "pi-9"} {
		if err := a.Store(ctx, name, payload(t, 1801, false)); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.stored["pi-7"]; len(got) != 3 || got[0].First != 601 || got[2].First != 1801 || len(l.stored["pi-9"]) != 1 || len(files(t, dir)) != 1 {
		t.Errorf("%+v are stored, and %v kept", l.stored, files(t, dir))
	}
	if text := log.String(); strings.Count(text, "level=WARN") != 2 || strings.Count(text, "path="+first) != 1 || strings.Count(text, "pi-9") != 2 || strings.Count(text, "level=INFO") != 1 {
		t.Errorf("it is said so:\n%s", text)
	}
}

// TestClockSetBack holds that the order of what is kept is that in which it came, also if the hub
// starts with an earlier clock.
func TestClockSetBack(t *testing.T) {
	dir, ctx := filepath.Join(t.TempDir(), "aside"), t.Context()
	l := &logs{fails: errors.New("permission denied"), stored: map[string][]fleet.Blocks{}}
	o := Options{Dir: dir, Store: l.store, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for i := range uint32(2) {
		a := New(o)
		if i == 0 {
			a.number.Add(int64(time.Hour))
		}
		if err := a.Store(ctx, "pi-7", payload(t, 1+600*i, false)); err != nil {
			t.Fatal(err)
		}
	}
	l.fails = nil
	New(o).storeAll(ctx)
	if got := l.stored["pi-7"]; len(got) != 2 || got[0].First != 1 || got[1].First != 601 {
		t.Errorf("they are stored so: %+v", got)
	}
}
