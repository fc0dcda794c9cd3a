package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// code is the HMAC-SHA256 of a line and of the code before it.
type code [sha256.Size]byte

func (c code) String() string { return hex.EncodeToString(c[:]) }

func parseCode(s string) (c code, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(c) {
		return c, fmt.Errorf("%.80q is no code of %d hexadecimal digits", s, 2*len(c))
	}
	copy(c[:], b)
	return c, nil
}

// next returns the code of a line that follows the one with the code before.
func next(key []byte, before code, line []byte) (c code) {
	h := hmac.New(sha256.New, key)
	h.Write(before[:])
	h.Write(line)
	h.Sum(c[:0])
	return c
}

// A line of a file is the JSON of a record with one more member, the code, at its
// end: the code covers all before it.
const macStart = `,"mac":"`

// macLen is the length of a code in its line, with the line's end.
const macLen = len(macStart) + 2*sha256.Size + len("\"}\n")

// seal returns the whole line of a record, and its code.
func seal(key []byte, before code, record []byte) ([]byte, code) {
	body := record[:len(record)-1] // without the last brace
	c := next(key, before, body)
	line := append(make([]byte, 0, len(body)+macLen), body...)
	line = append(line, macStart...)
	line = hex.AppendEncode(line, c[:])
	return append(line, "\"}\n"...), c
}

var errForged = errors.New("it was changed, or what was before it was changed, moved or dropped")

// open checks a line without its end against the code before it.
func open(key []byte, before code, line []byte) (r Record, c code, err error) {
	body, rest, found := cutLast(line, macStart)
	digits, ended := bytes.CutSuffix(rest, []byte(`"}`))
	if !found || !ended {
		return r, c, errors.New("it is no whole line")
	}
	if c, err = parseCode(string(digits)); err != nil {
		return r, c, err
	}
	if want := next(key, before, body); !hmac.Equal(want[:], c[:]) {
		return r, c, errForged
	}
	if err := json.Unmarshal(append(bytes.Clone(body), '}'), &r); err != nil {
		return r, c, err
	}
	return r, c, nil
}

func cutLast(line []byte, sep string) (before, after []byte, found bool) {
	i := bytes.LastIndex(line, []byte(sep))
	if i < 0 {
		return line, nil, false
	}
	return line[:i], line[i+len(sep):], true
}
