package export

import (
	"fmt"
	"slices"

	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/cmd/gateway/internal/spreadsheet"
	"sensorgateway/wire"
)

// exportFormat is how readings and sums are written: the same as the answers of
// /api/v1/readings.
type exportFormat struct {
	readingHeader, bucketHeader string // of the whole
	object                      bool   // the readings of each sensor are in one
	separator, end              string // between two readings of a sensor, and after the last one
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
func (f *exportFormat) begin(sensor *wire.SensorInfo, from, to, step int64, c *corrections) []byte {
	if !f.object {
		return nil
	}
	head := wire.AppendHeadJSON(nil, sensor, from, to, step)
	if c != nil {
		name := len(`{"sensor":"",`) + len(sensor.Name)
		head = slices.Insert(head, name, fmt.Appendf(nil, `"corrections":%s,`, wire.JSON(c))...)
	}
	return phrase.EscapeJSON(head) // the rest has no text but units and causes
}
