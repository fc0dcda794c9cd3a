//go:build linux

package swarm

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

func TestFrame(t *testing.T) {
	long := append([]byte{0x82, 126, 1, 0}, make([]byte, 256)...)
	huge := append([]byte{0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}, make([]byte, 1<<16)...)
	for _, tt := range []struct {
		name          string
		b             []byte
		op            byte
		payload, size int
	}{
		{"empty", nil, 0, 0, 0},
		{"half a header", []byte{0x82}, 0, 0, 0},
		{"no payload", []byte{0x89, 0}, opPing, 0, 2},
		{"and more behind it", []byte{0x82, 1, 7, 0x82}, opBinary, 1, 3},
		{"half a payload", []byte{0x82, 2, 7}, 0, 0, 0},
		{"16-bit length", long, opBinary, 256, 260},
		{"half a 16-bit length", long[:3], 0, 0, 0},
		{"64-bit length", huge, opText, 1 << 16, 10 + 1<<16},
		{"half a 64-bit length", huge[:9], 0, 0, 0},
		{"absurd length", []byte{0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255, 0}, 0, 0, 0},
	} {
		if op, payload, size := frame(tt.b); op != tt.op || len(payload) != tt.payload || size != tt.size {
			t.Errorf("%s: opcode %d, %d bytes in a frame of %d, want %d, %d, %d", tt.name, op, len(payload), size, tt.op, tt.payload, tt.size)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{0x82, 1, 7, 0x82})
	f.Add([]byte{0x82, 126, 0, 1, 7})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, payload, size := frame(b); size > len(b) || len(payload) > size {
			t.Errorf("%d bytes in a frame of %d of %d", len(payload), size, len(b))
		}
	})
}

func TestMasked(t *testing.T) {
	for _, tt := range []struct {
		n    int
		head []byte
	}{
		{0, []byte{0x8A, 0x80, 0, 0, 0, 0}},
		{125, []byte{0x8A, 0x80 | 125, 0, 0, 0, 0}},
		{4000, []byte{0x8A, 0x80 | 126, 0x0F, 0xA0, 0, 0, 0, 0}},
	} {
		payload := bytes.Repeat([]byte{7}, tt.n)
		if got := masked(opPong, payload); !bytes.Equal(got, append(tt.head, payload...)) {
			t.Errorf("%d bytes: % x…", tt.n, got[:len(tt.head)])
		}
	}
}

// record returns a readings.v2 record.
func record(flags byte, stamp int64) []byte {
	b := []byte{0, 1, flags, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0}
	return binary.BigEndian.AppendUint64(b, uint64(stamp))
}

func TestStampOf(t *testing.T) {
	for _, tt := range []struct {
		name     string
		message  []byte
		readings int
		stamp    int64
		err      string
	}{
		{"a reading", record(0, 42)[8:], 1, 42, ""},
		{"a record", record(1, 42), 1, 42, ""},
		{"two records", append(record(1, 42), record(1, 42)...), 2, 42, ""},
		{"one of two", record(0, 42), 2, 0, "want 2 readings"},
		{"of two ticks", append(record(0, 42), record(0, 43)...), 2, 0, "readings of 42 and of 43"},
		{"conflated", record(conflated, 42), 1, 0, "stands for several"},
		{"empty", nil, 1, 0, "want 1 readings"},
	} {
		stamp, err := stampOf(tt.message, tt.readings)
		if stamp != tt.stamp || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %d, %v, want %d, %q", tt.name, stamp, err, tt.stamp, tt.err)
		}
	}
}
