package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Names of the chains.
const (
	Done    = "done"    // what was carried out
	Counted = "counted" // what was refused or moved nothing, counted together
)

// chains are both, with how many files each keeps: of fileSize, so 8 MiB and 1 MiB.
var chains = []struct {
	name  string
	files int
}{{Done, 32}, {Counted, 4}}

// fileSize is when a file is full, in bytes.
const fileSize = 256 << 10

// version of the format of files and of the anchor.
const version = 1

const fileSuffix = ".jsonl"

// header is the first line of a file. It is sealed with the code before the file's
// first record, so that a file in a wrong place is found.
type header struct {
	Version int    `json:"audit"`
	Chain   string `json:"chain"`
	First   uint64 `json:"first"`  // number of the first record
	Before  string `json:"before"` // code of the record before it; of the first one ever, zeros
}

func fileName(chain string, first uint64) string {
	return fmt.Sprintf("%s-%020d%s", chain, first, fileSuffix)
}

// files returns a chain's files, the oldest first. Others in the directory are
// ignored.
func files(dir, chain string) (paths []string, firsts []uint64, err error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	for _, e := range entries {
		digits, found := strings.CutPrefix(strings.TrimSuffix(e.Name(), fileSuffix), chain+"-")
		first, err := strconv.ParseUint(digits, 10, 64)
		if found && err == nil && e.Type().IsRegular() && e.Name() == fileName(chain, first) {
			paths, firsts = append(paths, filepath.Join(dir, e.Name())), append(firsts, first)
		}
	}
	return paths, firsts, nil
}

// A scan is what reading a file found.
type scan struct {
	header  header
	records int
	last    uint64 // number of the last record that is as it was written; header.First-1 without one
	code    code   // of that record
	whole   int64  // bytes to the end of that record
	bad     error  // of the line behind it, nil if there is none
	torn    bool   // the line behind it has no end: it was being written
}

// maxFile bounds what is read of a file: one record may exceed fileSize.
const maxFile = fileSize + 2*maxLine

// readFile checks each line of a file and calls see with its record and its code, until
// a line is bad.
func readFile(path, chain string, key []byte, see func(Record, code)) (s scan, err error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("%s has %d bytes, and no file of this log has more than %d", path, info.Size(), maxFile)
	}
	if err != nil {
		return s, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	line, rest, ended := bytes.Cut(content, []byte("\n"))
	if !ended {
		s.torn, s.bad = true, errors.New("its first line is cut short")
		return s, nil
	}
	if s.header, s.code, err = openHeader(key, chain, line); err != nil {
		s.bad = fmt.Errorf("its first line: %w", err)
		return s, nil
	}
	s.last, s.whole = s.header.First-1, int64(len(content)-len(rest))
	for len(rest) > 0 {
		line, rest, ended = bytes.Cut(rest, []byte("\n"))
		if !ended {
			s.torn, s.bad = true, errors.New("it is cut short")
			return s, nil
		}
		r, c, err := open(key, s.code, line)
		switch {
		case err != nil:
			s.bad = err
		case r.Chain != chain:
			s.bad = fmt.Errorf("it is of the chain %q", r.Chain)
		case r.N <= s.last:
			s.bad = fmt.Errorf("it has the number %d", r.N)
		}
		if s.bad != nil {
			return s, nil
		}
		s.records, s.last, s.code, s.whole = s.records+1, r.N, c, int64(len(content)-len(rest))
		if see != nil {
			see(r, c)
		}
	}
	return s, nil
}

func sealHeader(key []byte, h header, before code) []byte {
	h.Version, h.Before = version, before.String()
	text, _ := json.Marshal(h) // of strings and numbers: it cannot fail
	line, _ := seal(key, before, text)
	return line
}

// openHeader returns a header and the code before the first record.
func openHeader(key []byte, chain string, line []byte) (h header, before code, err error) {
	body, _, _ := cutLast(line, macStart)
	if err := json.Unmarshal(append(slices.Clone(body), '}'), &h); err != nil {
		return h, before, err
	}
	switch {
	case h.Version > version:
		return h, before, fmt.Errorf("it is of version %d, which a newer gateway wrote", h.Version)
	case h.Chain != chain || h.First == 0:
		return h, before, errors.New("it is of another file")
	}
	if before, err = parseCode(h.Before); err != nil {
		return h, before, err
	}
	if want, _ := seal(key, before, append(slices.Clone(body), '}')); !bytes.Equal(bytes.TrimSuffix(want, []byte("\n")), line) {
		return h, before, errForged
	}
	return h, before, nil
}
