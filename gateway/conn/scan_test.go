package conn

import (
	"bytes"
	"testing"
)

// However the bytes are cut into reads, the offence is found where it is.
func TestScanner(t *testing.T) {
	long := append([]byte{0x82, 0xFE, 0x01, 0x00, 1, 2, 3, 4}, make([]byte, 256)...)
	huge := append([]byte{0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4}, make([]byte, 1<<16)...)
	fine := bytes.Join([][]byte{masked(0x81, "x"), masked(0x88&0x89, ""), long, masked(0x89, "p"), huge, masked(0x88, "\x03\xe8"), masked(0x88, "")}, nil)
	bad := append(bytes.Clone(fine), masked(0x88, "x")...)
	for _, step := range []int{1, 2, 3, 7, 512, 1 << 20} {
		for _, tt := range []struct {
			stream []byte
			want   int
			err    error
		}{{fine, len(fine), nil}, {bad, len(fine) + 1, ErrCloseLength}} {
			var s scanner
			total := 0
			var err error
			for rest := tt.stream; len(rest) > 0 && err == nil; {
				p := rest[:min(step, len(rest))]
				var n int
				n, err = s.scan(p)
				total += n
				rest = rest[len(p):]
			}
			if total != tt.want || err != tt.err {
				t.Errorf("in steps of %d: %d bytes and %v, want %d and %v", step, total, err, tt.want, tt.err)
			}
		}
	}
}

func TestPongs(t *testing.T) {
	for _, tt := range []struct {
		name string
		b    string
		want bool
	}{
		{"the end", "", false},
		{"one", "\x8a\x80mask", true},
		{"two", "\x8a\x80mask\x8a\x80mask", true},
		{"half a one", "\x8a\x80mas", false},
		{"one and a half", "\x8a\x80mask\x8a", false},
		{"with a payload", "\x8a\x86maskpayload"[:12], false},
		{"without a mask", "\x8a\x00mask", false},
		{"a ping", "\x89\x80mask", false},
	} {
		if got := pongs([]byte(tt.b)); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// However a stream is cut into reads, the scanner finds the same.
func FuzzScanner(f *testing.F) {
	f.Add(append(masked(0x81, "text"), masked(0x88, "x")...), uint8(3))
	f.Add([]byte{0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 0x88, 0x81}, uint8(1))
	f.Add([]byte{0x88, 0xFE, 0, 1, 0, 0, 0, 0, 0}, uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, step uint8) {
		var whole, cut scanner
		want, wantErr := whole.scan(stream)
		if want > len(stream) || wantErr == nil && want != len(stream) {
			t.Fatalf("%d of %d bytes, %v", want, len(stream), wantErr)
		}
		total := 0
		for rest := stream; len(rest) > 0; {
			p := rest[:min(int(step)+1, len(rest))]
			n, err := cut.scan(p)
			if total += n; err != nil {
				if total != want || err != wantErr {
					t.Fatalf("in pieces: %d bytes, %v; whole: %d, %v", total, err, want, wantErr)
				}
				return
			}
			rest = rest[len(p):]
		}
		if total != want || wantErr != nil {
			t.Fatalf("in pieces: %d bytes; whole: %d, %v", total, want, wantErr)
		}
	})
}
