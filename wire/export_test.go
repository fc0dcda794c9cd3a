package wire

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

var (
	indoor = &SensorInfo{Name: "indoor"}

	hour  = Bucket{1712345678000, 598, 2, NoAck, [2]Span{{20.5, 21.25, 22}, {39, 40.5, 41.1}}}
	quiet = Bucket{UnixMilli: -1000, Failed: 600, Fault: BusDown}
	well  = Bucket{UnixMilli: 0, Count: 1, Values: [2]Span{{-0.1, -0.1, -0.1}}}
)

// Exact texts: programs and spreadsheets of others read them.
func TestExportGolden(t *testing.T) {
	good := Record{Sensor: 3, Seq: 7, Flags: Historical, Reading: Reading{[2]float32{21.5, 40.2}, 1712345678901}}
	failed := Record{Seq: math.MaxUint32, Fault: NoAck, Reading: Failed(NoAck, -1)}
	for _, tt := range []struct{ name, got, want string }{
		{"reading, JSON", string(AppendReadingJSON([]byte("["), indoor, good)), `[{"ts":1712345678.901,"temp":21.5,"humidity":40.2,"seq":7}`},
		{"failed, JSON", string(AppendReadingJSON(nil, indoor, failed)), `{"ts":-0.001,"temp":null,"humidity":null,"fault":"no_ack","seq":4294967295}`},
		{"reading, CSV", string(climate.AppendReading([]byte("x\n"), indoor, good)), "x\n2024-04-05T19:34:38.901Z,1712345678901,indoor,7,21.5,40.2,\n"},
		{"failed, CSV", string(climate.AppendReading(nil, indoor, failed)), "1969-12-31T23:59:59.999Z,-1,indoor,4294967295,,,no_ack\n"},
		{"bucket, JSON", string(AppendBucketJSON(nil, indoor, hour)),
			`{"ts":1712345678.000,"count":598,"failed":2,"fault":"no_ack","temp":{"min":20.5,"mean":21.25,"max":22},"humidity":{"min":39,"mean":40.5,"max":41.1}}`},
		{"a bucket of failures, JSON", string(AppendBucketJSON(nil, indoor, quiet)), `{"ts":-1.000,"count":0,"failed":600,"fault":"bus_down","temp":null,"humidity":null}`},
		{"a bucket without failures, JSON", string(AppendBucketJSON(nil, indoor, well)),
			`{"ts":0.000,"count":1,"failed":0,"temp":{"min":-0.1,"mean":-0.1,"max":-0.1},"humidity":{"min":0,"mean":0,"max":0}}`},
		{"bucket, CSV", string(climate.AppendBucket(nil, indoor, hour)), "2024-04-05T19:34:38.000Z,1712345678000,indoor,598,2,no_ack,20.5,21.25,22,39,40.5,41.1\n"},
		{"a bucket of failures, CSV", string(climate.AppendBucket(nil, indoor, quiet)), "1969-12-31T23:59:59.000Z,-1000,indoor,0,600,bus_down,,,,,,\n"},
		{"a bucket without failures, CSV", string(climate.AppendBucket(nil, indoor, well)), "1970-01-01T00:00:00.000Z,0,indoor,1,0,,-0.1,-0.1,-0.1,0,0,0\n"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, tt.got, tt.want)
		}
	}
}

// Each line has the columns that the header names, and each object is JSON.
func TestExportIsWellFormed(t *testing.T) {
	readings, buckets := []byte(climate.ReadingHeader()), []byte(climate.BucketHeader())
	for _, tt := range golden(t) {
		readings = climate.AppendReading(readings, indoor, tt.r)
		if b := AppendReadingJSON(nil, indoor, tt.r); !json.Valid(b) {
			t.Errorf("%s: %s", tt.name, b)
		}
	}
	for _, x := range []Bucket{hour, quiet, well} {
		buckets = climate.AppendBucket(buckets, indoor, x)
		if b := AppendBucketJSON(nil, indoor, x); !json.Valid(b) {
			t.Errorf("%s", b)
		}
	}
	for text, lines := range map[string]int{string(readings): 1 + len(golden(t)), string(buckets): 4} {
		all, err := csv.NewReader(strings.NewReader(text)).ReadAll() // refuses lines of different lengths
		if err != nil || len(all) != lines {
			t.Errorf("%d lines, want %d: %v\n%s", len(all), lines, err, text)
		}
	}
}

// The calendar is that of package time, which this package must not know.
func FuzzTime(f *testing.F) {
	for _, ms := range []int64{0, -1, 1712345678901, 951782400000, 951868799999, 4107542400000, -2203977600001,
		time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC).UnixMilli(), time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()} {
		f.Add(ms)
	}
	first := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	span := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() - first
	f.Fuzz(func(t *testing.T, ms int64) {
		_ = appendTime(nil, ms) // whatever it is
		ms = first + (ms-first)%span
		if ms < first {
			ms += span
		}
		want := time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
		if got := string(appendTime(nil, ms)); got != want {
			t.Errorf("%d: %s, want %s", ms, got, want)
		}
	})
}

// Every day of four centuries, and of a leap century's borders.
func TestEveryDay(t *testing.T) {
	day := time.Date(1899, 12, 30, 12, 34, 56, 7e6, time.UTC)
	for range 146100 {
		want := day.Format("2006-01-02T15:04:05.000Z07:00")
		if got := string(appendTime(nil, day.UnixMilli())); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
		day = day.AddDate(0, 0, 1)
	}
}

func TestExportAllocatesNothing(t *testing.T) {
	b, r := make([]byte, 0, 1024), Record{Reading: Reading{[2]float32{21.5, 40.25}, 1712345678901}}
	if n := testing.AllocsPerRun(100, func() {
		b = climate.AppendReading(AppendReadingJSON(b[:0], indoor, r), indoor, r)
		b = climate.AppendBucket(AppendBucketJSON(b, indoor, hour), indoor, hour)
		b = AppendSensorJSON(AppendBucketJSON(b, roof, hour), roof, r)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
