package frame

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// TestFormat holds the bytes of a frame, which another version of the program reads.
func TestFormat(t *testing.T) {
	got, at := Format("pi-1", [][]byte{[]byte("one"), []byte("two")})
	if want := "7367776941cf86ae00000017" + hex.EncodeToString([]byte("\x04pi-1onetwo")); hex.EncodeToString(got) != want || at != 17 {
		t.Errorf("%x, blocks at %d; want %s", got, at, want)
	}
}

// TestSkip holds that damage costs the frame that it is in, also one that reaches over what
// follows.
func TestSkip(t *testing.T) {
	whole, _ := Format("pi-1", nil)
	long := bytes.Clone(whole)
	long[10] = 0xff // of its length
	type skipped struct {
		at, size int64
		last     bool
	}
	for name, tt := range map[string]struct {
		file []byte
		want []skipped
	}{
		"nothing":     {nil, nil},
		"whole":       {bytes.Repeat(whole, 3), nil},
		"cut off":     {append(bytes.Clone(whole), whole[:9]...), []skipped{{int64(len(whole)), 9, true}}},
		"too long":    {append(long, whole...), []skipped{{0, int64(len(long)), false}}},
		"zeros":       {append(make([]byte, 2*Max), whole...), []skipped{{0, 2 * Max, false}}},
		"zeros after": {append(bytes.Clone(whole), make([]byte, 100)...), []skipped{{int64(len(whole)), 100, true}}},
	} {
		var got []skipped
		err := Read(bytes.NewReader(tt.file), func(string, int64, int) { t.Errorf("%s: a block", name) }, func(at, size int64, last bool) { got = append(got, skipped{at, size, last}) })
		if err != nil || len(got) != len(tt.want) || len(got) > 0 && got[0] != tt.want[0] {
			t.Errorf("%s: %v, skipped %+v, want %+v", name, err, got, tt.want)
		}
	}
}

// FuzzFrame holds that whatever a crash has left is a frame or none.
func FuzzFrame(f *testing.F) {
	whole, _ := Format("pi-1", [][]byte{[]byte("blocks")})
	f.Add(whole)
	f.Add([]byte("sgwi"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, at, size := cut(data)
		if size < 0 || size > len(data) || at > size {
			t.Errorf("%d, %d of %d", at, size, len(data))
		}
	})
}
