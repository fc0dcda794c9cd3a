package buckets

import (
	"errors"
	"io"
	"reflect"
	"testing"

	"sensorgateway/wire"
)

// Two rows of buckets become one, in order, each span once.
func TestMerged(t *testing.T) {
	bucket := func(at int64, count uint32, min, mean, max float32) wire.Bucket {
		return wire.Bucket{UnixMilli: at, Count: count, Values: [2]wire.Span{{Min: min, Mean: mean, Max: max}, {Min: min, Mean: mean, Max: max}}}
	}
	failed := wire.Bucket{UnixMilli: 40, Failed: 2, Fault: wire.Timeout}
	batches := [][]wire.Bucket{{bucket(10, 1, 1, 1, 1), bucket(30, 1, 0, 2, 4)}, {failed, bucket(60, 5, 1, 2, 3)}}
	next := func() ([]wire.Bucket, error) {
		if len(batches) == 0 {
			return nil, io.EOF
		}
		b := batches[0]
		batches = batches[1:]
		return b, nil
	}
	var got []wire.Bucket
	merged := Merged(next, []wire.Bucket{bucket(0, 1, 9, 9, 9), bucket(30, 3, 2, 6, 9), bucket(40, 1, 7, 7, 7), bucket(50, 1, 5, 5, 5), bucket(90, 1, 8, 8, 8)})
	for batch, err := merged(); !errors.Is(err, io.EOF); batch, err = merged() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, batch...)
	}
	both := bucket(40, 1, 7, 7, 7)
	both.Failed, both.Fault = 2, wire.Timeout
	want := []wire.Bucket{bucket(0, 1, 9, 9, 9), bucket(10, 1, 1, 1, 1), bucket(30, 4, 0, 5, 9), both, bucket(50, 1, 5, 5, 5), bucket(60, 5, 1, 2, 3), bucket(90, 1, 8, 8, 8)}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
