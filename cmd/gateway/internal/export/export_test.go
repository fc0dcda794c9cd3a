package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/gateway/history/values"
	"sensorgateway/wire"
)

// fakeLog is a log of two sensors. It hands out a record or a bucket at a time.
type fakeLog struct {
	configured []wire.SensorInfo
	asked      []string
	fail       error // at the end, instead of it
	many       int   // so many records of each sensor, instead of two
	damage     int   // readings that cannot be read
	entries    []values.Entry
	unknown    error
	measured   bool
}

func (l *fakeLog) Entries(sensor string) (own []values.Entry) {
	for _, e := range l.entries {
		if e.Name == sensor {
			own = append(own, e)
		}
	}
	return own
}

func (l *fakeLog) Sensor(name string) (s wire.SensorInfo, ok bool, err error) {
	for _, e := range l.Entries(name) {
		s, ok = e.Info(), true
	}
	return s, ok, l.unknown
}

func (l *fakeLog) Sensors() []string { return []string{"indoor", "outdoor"} }

func (l *fakeLog) end() error {
	if l.fail != nil {
		return l.fail
	}
	return io.EOF
}

func (l *fakeLog) Between(sensor string, from, to int64) func() ([]wire.Record, error) {
	l.asked = append(l.asked, fmt.Sprint(sensor, " ", from, " ", to))
	records := []wire.Record{
		{Seq: 7, Flags: wire.Historical, Reading: wire.Reading{Values: [2]float32{21.5, 40.25}, UnixMilli: 1712345678901}},
		{Seq: 8, Flags: wire.Historical, Fault: wire.NoAck, Reading: wire.Failed(wire.NoAck, 1712345679001)},
	}
	i, batch := 0, make([]wire.Record, 1)
	return func() ([]wire.Record, error) {
		if i >= max(l.many, len(records)) {
			return nil, l.end()
		}
		batch[0] = records[i%len(records)]
		i++
		return batch, nil
	}
}

func (l *fakeLog) Buckets(sensor string, from, to, step int64) func() ([]wire.Bucket, error) {
	l.asked = append(l.asked, fmt.Sprint(sensor, " ", from, " ", to, " ", step))
	last := false
	return func() ([]wire.Bucket, error) {
		if last {
			return nil, l.end()
		}
		last = true
		return []wire.Bucket{{UnixMilli: 60000, Count: 2, Values: [2]wire.Span{{Min: 1, Mean: 2, Max: 3}, {Min: 4, Mean: 5, Max: 6}}},
			{UnixMilli: 120000, Failed: 1, Fault: wire.BusDown}}, nil
	}
}

// runExport runs the command with log as what is in every directory.
func runExport(ctx context.Context, log *fakeLog, args ...string) (stdout string, err error) {
	var out bytes.Buffer
	err = exportTo(ctx, &out, log, args...)
	return out.String(), err
}

func exportTo(ctx context.Context, stdout io.Writer, log *fakeLog, args ...string) error {
	return exportWith(ctx, console.Env{Stdout: stdout, Stderr: io.Discard}, log, args...)
}

func exportWith(ctx context.Context, env console.Env, log *fakeLog, args ...string) error {
	place := pflag.NewFlagSet("", pflag.ContinueOnError)
	dir := place.String("dir", "", "")
	cmd := Command(env, Log{Flags: place, Find: func() (string, []wire.SensorInfo, error) { return *dir, log.configured, nil }, Open: func(dir string, measured bool, damaged func(string, int)) (LogReader, error) {
		log.measured = measured
		if log.damage > 0 {
			damaged("1.segment cannot be read: a block is damaged", log.damage)
		}
		log.asked = append(log.asked, dir)
		return log, nil
	}})
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	return cmd.ExecuteContext(ctx)
}

// What cannot be read is left out of the output, and reported beside it.
func TestExportReportsDamage(t *testing.T) {
	var out, errs strings.Builder
	log := fakeLog{damage: 600}
	if err := exportWith(t.Context(), console.Env{Stdout: &out, Stderr: &errs}, &log, "--dir", "/somewhere"); err != nil || !strings.HasPrefix(out.String(), "time,") {
		t.Errorf("%v: %s", err, &out)
	}
	if want := "600 readings are left out: 1.segment cannot be read: a block is damaged\n"; errs.String() != want {
		t.Errorf("said is %q, want %q", &errs, want)
	}
}

// What corrected the values is told with them. The log knows which quantities they are.
func TestExportTellsCorrections(t *testing.T) {
	climate := []wire.Quantity{wire.Temperature, wire.Humidity}
	entries := []values.Entry{
		{Name: "outdoor", Epoch: "E", Values: []wire.Quantity{wire.Pressure}},
		{Name: "indoor", Epoch: "E", From: 5, Values: climate, Calibration: map[string]wire.Calibration{"temperature": {Scale: 1.02, Offset: -0.4}}, Median: 3},
		{Name: "indoor", Epoch: "E", From: 9, Values: climate},
	}
	run := func(log *fakeLog, args ...string) (stdout, stderr string) {
		var out, errs strings.Builder
		if err := exportWith(t.Context(), console.Env{Stdout: &out, Stderr: &errs}, log, args...); err != nil {
			t.Fatal(err)
		}
		return out.String(), errs.String()
	}
	out, errs := run(&fakeLog{entries: entries})
	if want := "time,unix_ms,sensor,seq,temperature,humidity,pressure,fault\n"; !strings.HasPrefix(out, want) {
		t.Errorf("%s", out)
	}
	if want := "indoor: from number 5 of epoch E on, values are corrected: temperature = measured * 1.02 - 0.4 °C, median of 3 ticks\n" +
		"indoor: from number 9 of epoch E on, values are corrected: no more\n"; errs != want {
		t.Errorf("said is\n%s", errs)
	}
	out, errs = run(&fakeLog{entries: entries}, "--format", "json")
	for _, want := range []string{
		`{"sensor":"indoor","corrections":{"applied":true,"from":[{"epoch":"E","seq":5,"calibration":{"temperature":{"scale":1.02,"offset":-0.4}},"median":3},{"epoch":"E","seq":9}]},"from":0,`,
		`{"sensor":"outdoor","units":{"pressure":"hPa"},"from":0,`,
	} {
		if !strings.Contains(out, want) || errs != "" {
			t.Errorf("%s\n%s\nwant %s", out, errs, want)
		}
	}
	log := &fakeLog{entries: entries}
	if out, _ = run(log, "--measured", "--format", "json"); !log.measured || !strings.Contains(out, `"applied":false`) {
		t.Errorf("%s", out)
	}
	if _, errs = run(&fakeLog{unknown: errors.New("sensors.json cannot be used")}); errs != "sensors.json cannot be used\n" {
		t.Errorf("said is %q", errs)
	}
}

func TestExport(t *testing.T) {
	const both = "indoor 0 253402300800000|outdoor 0 253402300800000"
	binary := string(wire.Record{Seq: 7, Flags: wire.Historical, Reading: wire.Reading{Values: [2]float32{21.5, 40.25}, UnixMilli: 1712345678901}}.Append(nil)) +
		string(wire.Record{Seq: 8, Flags: wire.Historical, Fault: wire.NoAck, Reading: wire.Failed(wire.NoAck, 1712345679001)}.Append(nil))
	for _, tt := range []struct {
		args, asked, want string
	}{
		{"", both, `time,unix_ms,sensor,seq,temperature,humidity,fault
2024-04-05T19:34:38.901Z,1712345678901,indoor,7,21.5,40.25,
2024-04-05T19:34:39.001Z,1712345679001,indoor,8,,,no_ack
2024-04-05T19:34:38.901Z,1712345678901,outdoor,7,21.5,40.25,
2024-04-05T19:34:39.001Z,1712345679001,outdoor,8,,,no_ack
`},
		{"--decimal , --sensor outdoor", "outdoor 0 253402300800000", `time;unix_ms;sensor;seq;temperature;humidity;fault
2024-04-05T19:34:38,901Z;1712345678901;outdoor;7;21,5;40,25;
2024-04-05T19:34:39,001Z;1712345679001;outdoor;8;;;no_ack
`},
		{"--decimal , --step 1m --sensor outdoor", "outdoor 0 253402300800000 60000", "time;unix_ms;sensor;count;failed;fault;temperature_min;temperature_mean;temperature_max;humidity_min;humidity_mean;humidity_max\n" +
			"1970-01-01T00:01:00,000Z;60000;outdoor;2;0;;1;2;3;4;5;6\n1970-01-01T00:02:00,000Z;120000;outdoor;0;1;bus_down;;;;;;\n"},
		{"--format json", both, `{"sensor":"indoor","from":0,"to":253402300800000,"readings":[{"ts":1712345678.901,"temp":21.5,"humidity":40.25,"seq":7},{"ts":1712345679.001,"temp":null,"humidity":null,"fault":"no_ack","seq":8}]}
{"sensor":"outdoor","from":0,"to":253402300800000,"readings":[{"ts":1712345678.901,"temp":21.5,"humidity":40.25,"seq":7},{"ts":1712345679.001,"temp":null,"humidity":null,"fault":"no_ack","seq":8}]}
`},
		{"--format binary --sensor outdoor", "outdoor 0 253402300800000", binary},
		{"--step 1m --sensor outdoor --from 5 --to 1970-01-02T00:00:00Z", "outdoor 5 86400000 60000", "time,unix_ms,sensor,count,failed,fault,temperature_min,temperature_mean,temperature_max,humidity_min,humidity_mean,humidity_max\n" +
			"1970-01-01T00:01:00.000Z,60000,outdoor,2,0,,1,2,3,4,5,6\n1970-01-01T00:02:00.000Z,120000,outdoor,0,1,bus_down,,,,,,\n"},
		{"--step 1d --sensor indoor --format json --to 86400000", "indoor 0 86400000 86400000",
			`{"sensor":"indoor","from":0,"to":86400000,"step":86400000,"buckets":[{"ts":60.000,"count":2,"failed":0,"temp":{"min":1,"mean":2,"max":3},"humidity":{"min":4,"mean":5,"max":6}},{"ts":120.000,"count":0,"failed":1,"fault":"bus_down","temp":null,"humidity":null}]}` + "\n"},
	} {
		var log fakeLog
		got, err := runExport(t.Context(), &log, append(strings.Fields(tt.args), "--dir", "/somewhere")...)
		if err != nil {
			t.Errorf("%s: %v", tt.args, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.args, diff)
		}
		asked := "/somewhere|" + tt.asked
		if diff := cmp.Diff(asked, strings.Join(log.asked, "|")); diff != "" {
			t.Errorf("%s: %s", tt.args, diff)
		}
		for line := range strings.Lines(got) {
			if strings.Contains(tt.args, "json") && !json.Valid([]byte(line)) {
				t.Errorf("%s: no JSON: %s", tt.args, line)
			}
		}
	}
}

// The columns are what the configured sensors measure.
func TestExportOfOtherQuantities(t *testing.T) {
	air := []wire.SensorInfo{{Name: "outdoor", Values: []wire.Quantity{wire.CO2}}}
	for args, want := range map[string]string{
		"": `time,unix_ms,sensor,seq,temperature,humidity,co2,fault
2024-04-05T19:34:38.901Z,1712345678901,indoor,7,21.5,40.25,,
2024-04-05T19:34:39.001Z,1712345679001,indoor,8,,,,no_ack
2024-04-05T19:34:38.901Z,1712345678901,outdoor,7,,,21.5,
2024-04-05T19:34:39.001Z,1712345679001,outdoor,8,,,,no_ack
`,
		"--sensor outdoor --format json": `{"sensor":"outdoor","units":{"co2":"ppm"},"from":0,"to":253402300800000,"readings":[{"ts":1712345678.901,"values":{"co2":21.5},"seq":7},{"ts":1712345679.001,"values":{"co2":null},"fault":"no_ack","seq":8}]}
`,
		"--sensor outdoor --step 1m": "time,unix_ms,sensor,count,failed,fault,co2_min,co2_mean,co2_max\n" +
			"1970-01-01T00:01:00.000Z,60000,outdoor,2,0,,1,2,3\n1970-01-01T00:02:00.000Z,120000,outdoor,0,1,bus_down,,,\n",
	} {
		got, err := runExport(t.Context(), &fakeLog{configured: air}, append(strings.Fields(args), "--dir", "/somewhere")...)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", args, err, diff)
		}
	}
}

func TestExportRefuses(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"--format xml", "csv, json or binary"},
		{"--decimal ;", ". or ,"},
		{"--times berlin", "utc or local"},
		{"--times local --format json", "csv"},
		{"--decimal , --format binary", "csv"},
		{"--from yesterday", "--from"},
		{"--from 1h", "-1h"},
		{"--to 99999999999999999999", "10000"},
		{"--from 2000 --to 1000", "not before"},
		{"--from -1h --to -2h", "not before"},
		{"--step 0s", "--step"},
		{"--step 1m1ns", "--step"},
		{"--step -1m", "--step"},
		{"--step often", "--step"},
		{"--step 1m --format binary", "binary"},
		{"more", "more"},
	} {
		_, err := runExport(t.Context(), &fakeLog{}, append(strings.Fields(tt.args), "--dir", "/somewhere")...)
		var usage console.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.args, err, tt.want)
		}
	}
	_, err := runExport(t.Context(), &fakeLog{}, "--dir", "/somewhere", "--sensor", "attic")
	if err == nil || !strings.Contains(err.Error(), "indoor, outdoor") {
		t.Errorf("an unknown sensor: %v", err)
	}
}

// A file appears once it is whole.
func TestExportToAFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "all.csv")
	if _, err := runExport(t.Context(), &fakeLog{}, "--dir", "/somewhere", "--output", path); err != nil {
		t.Fatal(err)
	}
	whole, _ := os.ReadFile(path)
	if strings.Count(string(whole), "\n") != 5 {
		t.Errorf("%s", whole)
	}
	broken := errors.New("input/output error")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for want, err := range map[string]error{
		"outdoor: input/output error": func() error {
			_, err := runExport(t.Context(), &fakeLog{fail: broken}, "--dir", "/somewhere", "--sensor", "outdoor", "--output", path)
			return err
		}(),
		"interrupted": func() error {
			_, err := runExport(ended, &fakeLog{}, "--dir", "/somewhere", "--output", path)
			return err
		}(),
		"--output": func() error {
			_, err := runExport(t.Context(), &fakeLog{}, "--dir", "/somewhere", "--output", filepath.Join(dir, "none", "all.csv"))
			return err
		}(),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(after, whole) {
		t.Error("a failure changed the file that was there")
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
	if _, err := runExport(t.Context(), &fakeLog{}, "--dir", "/somewhere", "--output", os.DevNull); err != nil {
		t.Errorf("to a device: %v", err)
	}
	got, err := runExport(t.Context(), &fakeLog{fail: broken}, "--dir", "/somewhere")
	if !errors.Is(err, broken) || strings.Count(got, "\n") != 3 {
		t.Errorf("what could be read, and %v:\n%s", err, got)
	}
}

func TestExportExplains(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}, "--state"},
		{&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}, "sudo -u gateway"},
		{errors.New("odd"), "odd"},
	} {
		if err := explainLogError("/var/lib/gateway/log", tt.err); !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "/var/lib/gateway/log") {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
}

// However many readings there are, few of them are in memory at a time.
func TestExportStreams(t *testing.T) {
	allocated := func(many int) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := exportTo(t.Context(), io.Discard, &fakeLog{many: many}, "--format", "json"); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if few, many := allocated(1000), allocated(101000); many > few+1<<20 {
		t.Errorf("%d bytes for 2000 records, %d for 202000", few, many)
	}
}
