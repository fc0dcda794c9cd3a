package dashboard

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sensorgateway/wire"
)

// golden is what the page's own tests read: messages in bytes and in meaning,
// and the causes that there are.
type golden struct {
	Messages []goldenMessage `json:"messages"`
	Faults   []int           `json:"faults"`
}

type goldenMessage struct {
	Hex      string          `json:"hex"`
	Readings []goldenReading `json:"readings"`
}

// goldenReading is a record as the page decodes it.
type goldenReading struct {
	Sensor      uint16   `json:"sensor"`
	Simulated   bool     `json:"simulated"`
	Unsynced    bool     `json:"unsynced"`
	Historical  bool     `json:"historical"`
	Conflated   bool     `json:"conflated"`
	Fault       int      `json:"fault"`
	Seq         uint32   `json:"seq"`
	Temperature *float64 `json:"temperature"` // null for NaN
	Humidity    *float64 `json:"humidity"`
	Time        int64    `json:"time"`
}

func message(records ...wire.Record) goldenMessage {
	var (
		b []byte
		m goldenMessage
	)
	for _, r := range records {
		b = r.Append(b)
		fault := r.Fault
		if fault == wire.Good {
			fault = r.Reading.Fault()
		}
		m.Readings = append(m.Readings, goldenReading{
			Sensor:      r.Sensor,
			Simulated:   r.Flags&wire.Simulated != 0,
			Unsynced:    r.Flags&wire.ClockUnsynced != 0,
			Historical:  r.Flags&wire.Historical != 0,
			Conflated:   r.Flags&wire.Conflated != 0,
			Fault:       int(fault),
			Seq:         r.Seq,
			Temperature: number(r.Temperature),
			Humidity:    number(r.Humidity),
			Time:        r.UnixMilli,
		})
	}
	m.Hex = hex.EncodeToString(b)
	return m
}

func number(v float32) *float64 {
	if v != v {
		return nil
	}
	f := float64(v)
	return &f
}

// TestPage runs the tests of the page's modules against bytes that the wire
// package wrote.
func TestPage(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed: the page's JavaScript is not tested")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, node, "--eval", `require("node:test")`).CombinedOutput(); err != nil {
		t.Skipf("node is too old for its own test runner (want 18 or newer): %v\n%s", err, out)
	}

	g := golden{Messages: []goldenMessage{
		message(
			wire.Record{Sensor: 0, Seq: 7, Reading: wire.Reading{Temperature: 42.5, Humidity: 68.3, UnixMilli: 1712345678901}},
			wire.Record{Sensor: 65535, Seq: math.MaxUint32, Reading: wire.Reading{Temperature: -40.25, Humidity: 0, UnixMilli: -1}},
		),
		message(wire.Record{Sensor: 258, Flags: wire.Simulated | wire.Historical, Reading: wire.Reading{UnixMilli: 0}}),
		message(wire.Record{Sensor: 1, Flags: wire.ClockUnsynced | wire.Conflated, Seq: 1 << 31, Reading: wire.Reading{Temperature: 1e-3}}),
		// The reading alone says why, or is a NaN that says nothing.
		message(wire.Record{Reading: wire.Failed(wire.Checksum, 5)}),
		message(wire.Record{Reading: wire.Reading{Temperature: math.Float32frombits(0x7FC00000)}}),
		message(wire.Record{Reading: wire.Reading{Temperature: math.Float32frombits(0xFFFFFFFF)}}),
		message(wire.Record{Reading: wire.Reading{Temperature: math.Float32frombits(0x7FC10001)}}),
	}}
	for f := wire.NoAck; f != wire.Good; f++ { // to 255, then it wraps to Good
		g.Messages = append(g.Messages, message(wire.Record{Fault: f, Seq: uint32(f), Reading: wire.Failed(f, 1712345678901)}))
	}
	for _, f := range []wire.Fault{wire.NoAck, wire.Checksum, wire.Timeout, wire.Stuck, wire.Implausible, wire.WarmingUp, wire.BusDown, wire.Absent, wire.Other} {
		g.Faults = append(g.Faults, int(f))
	}

	// The files are served as modules; Node wants to be told in a package.json.
	dir := t.TempDir()
	write := func(name string, content []byte) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	test, err := os.ReadFile("testdata/page_test.mjs")
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	write("page/package.json", []byte(`{"type":"module"}`))
	write("testdata/page_test.mjs", test)
	write("testdata/golden.json", data)

	cmd := exec.CommandContext(ctx, node, filepath.Join(dir, "testdata", "page_test.mjs"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("node: %v\n%s", err, out)
	} else if testing.Verbose() {
		t.Logf("%s", out)
	}
}
