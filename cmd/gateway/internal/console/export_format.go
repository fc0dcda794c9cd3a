package console

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/cmd/gateway/internal/spreadsheet"
	"sensorgateway/wire"
)

// exportFormat is how readings and sums are written: the same as the answers of
// /api/v1/readings.
type exportFormat struct {
	readingHeader, bucketHeader string // of the whole
	object                      bool   // each sensor has one around
	separator, end              string // between two of a sensor, and after them
	reading                     func(b []byte, sensor *wire.SensorInfo, r wire.Record) []byte
	bucket                      func(b []byte, sensor *wire.SensorInfo, x wire.Bucket) []byte // nil: it has none
}

// exportFormats are the formats by their names, for a table of these columns.
var exportFormats = map[string]func(columns wire.CSV) exportFormat{
	"csv": func(columns wire.CSV) exportFormat {
		return exportFormat{
			readingHeader: columns.ReadingHeader(), bucketHeader: columns.BucketHeader(),
			reading: columns.AppendReading, bucket: columns.AppendBucket,
		}
	},
	"json": func(wire.CSV) exportFormat {
		return exportFormat{
			object: true, separator: ",", end: wire.TailJSON,
			reading: wire.AppendReadingJSON, bucket: wire.AppendBucketJSON,
		}
	},
	"binary": func(wire.CSV) exportFormat {
		return exportFormat{
			reading: func(b []byte, _ *wire.SensorInfo, r wire.Record) []byte { return r.Append(b) },
		}
	},
}

func parseFormat(name string) (func(wire.CSV) exportFormat, error) {
	f, ok := exportFormats[name]
	if !ok {
		return f, fmt.Errorf("--format %s: it is csv, json or binary", phrase.Quote(name))
	}
	return f, nil
}

// in returns the format as a spreadsheet wants it.
func (f exportFormat) in(form spreadsheet.Form) exportFormat {
	if form == (spreadsheet.Form{}) {
		return f
	}
	reading, bucket := f.reading, f.bucket
	f.readingHeader, f.bucketHeader = form.Header(f.readingHeader), form.Header(f.bucketHeader)
	f.reading = func(b []byte, s *wire.SensorInfo, r wire.Record) []byte { return form.Line(reading(b, s, r), len(b)) }
	f.bucket = func(b []byte, s *wire.SensorInfo, x wire.Bucket) []byte { return form.Line(bucket(b, s, x), len(b)) }
	return f
}

func (f *exportFormat) header(step int64) string {
	if step > 0 {
		return f.bucketHeader
	}
	return f.readingHeader
}

// begin is what comes before a sensor's readings.
func (f *exportFormat) begin(sensor *wire.SensorInfo, from, to, step int64) []byte {
	if !f.object {
		return nil
	}
	return phrase.EscapeJSON(wire.AppendHeadJSON(nil, sensor, from, to, step)) // the rest has no text but units and causes
}

// The whole log: all times that RFC 3339 can say, from 1970 on.
const (
	firstTime = int64(0)
	endTime   = int64(253402300800000) // the year 10000
)

var wholeNumber = regexp.MustCompile(`^[0-9]+$`)

// ParseTime reads a moment as people write it, as Unix ms.
func ParseTime(text string, now time.Time) (ms int64, err error) {
	if wholeNumber.MatchString(text) {
		ms, err = strconv.ParseInt(text, 10, 64)
	} else if d, notOne := phrase.ParseDuration(text); notOne == nil {
		if d > 0 {
			return 0, fmt.Errorf("%s is not back from now (write -%s)", phrase.Quote(text), text)
		}
		ms = now.Add(d).UnixMilli()
	} else {
		var at time.Time
		at, err = time.Parse(time.RFC3339, text)
		ms = at.UnixMilli()
	}
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && (ms < firstTime || ms > endTime):
		return 0, fmt.Errorf("%s is not between 1970 and the year 10000", phrase.Quote(text))
	case err != nil:
		return 0, fmt.Errorf("%s is no time (write 2026-03-01T06:00:00Z, Unix milliseconds, or -90m for ninety minutes ago)", phrase.Quote(text))
	}
	return ms, nil
}

func formatTime(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }
