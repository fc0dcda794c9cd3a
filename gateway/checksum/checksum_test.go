package checksum

import (
	"bytes"
	"errors"
	"testing"
)

// The bytes of a file; the check value of CRC-32C is that of RFC 3720's polynomial for these digits.
func TestGolden(t *testing.T) {
	if got, want := string(Append([]byte("123456789"))), "123456789\ne3069283\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// What was changed, cut or made longer anywhere is found.
func TestDamaged(t *testing.T) {
	whole := Append([]byte("123456789"))
	if line, err := Cut(whole); err != nil || string(line) != "123456789" {
		t.Errorf("%q, %v", line, err)
	}
	for i := range whole {
		changed := bytes.Clone(whole)
		changed[i] ^= 0x10
		for _, bad := range [][]byte{changed, whole[:i], append(bytes.Clone(whole), whole[i])} {
			if line, err := Cut(bad); !errors.Is(err, ErrDamaged) {
				t.Errorf("%q is taken for %q: %v", bad, line, err)
			}
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if line, err := Cut(data); err == nil && !bytes.Equal(Append(bytes.Clone(line)), data) {
			t.Errorf("%q is taken for %q", data, line)
		}
	})
}
