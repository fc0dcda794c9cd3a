package audit

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Report is what [Verify] found in one chain.
type Report struct {
	Chain        string `json:"chain"`
	Records      int    `json:"records"` // that are as they were written
	First        uint64 `json:"first"`   // number of the first one, 0 without any
	Last         uint64 `json:"last"`
	Bad          string `json:"bad,omitempty"`     // the first one that is not, and why; "" if all are
	BadN         uint64 `json:"bad_n,omitempty"`   // its number
	Anchored     bool   `json:"anchored"`          // there is an anchor
	Beyond       uint64 `json:"beyond"`            // records beyond the anchor: they are whole, but whether some behind them were removed is unknown
	BeingWritten bool   `json:"written,omitempty"` // the last line has no end
}

// Outside is an anchor that was kept elsewhere, such as in another machine's log.
type Outside struct {
	N    uint64
	Code string
}

// Verify checks the files in a directory, of a gateway that may be running, against
// the key and the anchor. It changes nothing. The error is of reading; what is wrong
// with the log is in the reports.
func Verify(dir, keyPath, anchorPath string, outside *Outside) ([]Report, error) {
	key, err := readKey(keyPath, false)
	if err != nil {
		return nil, fmt.Errorf("the audit log's key: %w", err)
	}
	// The anchor is read first: the log may grow meanwhile, and must not be behind it.
	marks, anchorErr := readAnchor(anchorPath, key)
	var reports []Report
	for _, c := range chains {
		m, anchored := marks[c.name]
		v := verifier{key: key, mark: m, Report: Report{Chain: c.name, Anchored: anchored}}
		if outside != nil && c.name == Done {
			v.outside = *outside
		}
		if err := v.run(dir); err != nil {
			return nil, err
		}
		if anchorErr != nil && v.Bad == "" {
			v.Bad = anchorErr.Error()
		}
		reports = append(reports, v.Report)
	}
	return reports, nil
}

type verifier struct {
	Report
	key     []byte
	mark    mark
	outside Outside
	code    code
}

func (v *verifier) bad(n uint64, format string, args ...any) {
	if v.Bad == "" {
		v.Bad, v.BadN = fmt.Sprintf(format, args...), n
	}
}

func (v *verifier) run(dir string) error {
	paths, firsts, err := files(dir, v.Chain)
	if err != nil {
		return err
	}
	for i, path := range paths {
		if err := v.file(path, firsts[i], i == 0, i == len(paths)-1); err != nil {
			return err
		}
		if v.Bad != "" {
			return nil
		}
	}
	if v.Last < v.mark.Newest {
		v.bad(v.Last+1, "records %d to %d are missing: the anchor has them", v.Last+1, v.mark.Newest)
	}
	v.Beyond = v.Last - min(v.Last, v.mark.Newest)
	if v.outside.N > v.Last {
		v.bad(v.Last+1, "records %d to %d are missing: the anchor that was given has them", v.Last+1, v.outside.N)
	}
	return nil
}

func (v *verifier) file(path string, first uint64, oldest, newest bool) error {
	before := v.code
	expected := v.Last + 1
	s, err := readFile(path, v.Chain, v.key, func(r Record, c code) { v.see(path, r, c, &expected) })
	if err != nil {
		return err
	}
	// The records of a file are good only if the file is in its place.
	switch {
	case s.bad != nil && s.whole == 0:
	case s.header.First != first:
		v.bad(first, "%s: it is the file of record %d", path, s.header.First)
	case oldest && v.mark.Oldest != 0 && first > v.mark.Oldest:
		v.bad(v.mark.Oldest, "records %d to %d are missing: the anchor has them", v.mark.Oldest, first-1)
	case !oldest && s.header.Before != before.String():
		v.bad(v.Last+1, "%s: what was before record %d was changed, moved or dropped", path, first)
	}
	if v.Bad != "" {
		return nil
	}
	if s.torn && newest {
		v.BeingWritten = true
	} else if s.bad != nil {
		v.bad(max(s.last+1, first), "%s, record %d: %v", path, max(s.last+1, first), s.bad)
	}
	v.code = s.code
	return nil
}

// see counts a record. Behind missing records, it expects the number after that of the next one.
func (v *verifier) see(path string, r Record, c code, expected *uint64) {
	if v.First == 0 {
		v.First, *expected = r.N, r.N
	}
	if r.N != *expected && v.Bad == "" {
		v.bad(*expected, "%s: records %d to %d are missing", path, *expected, r.N-1)
	}
	for n, want := range map[uint64]string{v.mark.Newest: v.mark.Code, v.outside.N: v.outside.Code} {
		if n == r.N && c.String() != want {
			v.bad(n, "%s: record %d is another one than the anchor has", path, n)
		}
	}
	if v.Bad == "" {
		v.Records, v.Last = v.Records+1, r.N
	}
	*expected = r.N + 1
}

// Query selects records.
type Query struct {
	Since int64 // Unix ms; 0: all
	Limit int   // of the newest ones; 0: all
}

// Read returns records of both chains, of a gateway that may be running: those of a chain
// as they were written, whatever the clock said, and the two chains by time. It reads each
// file up to the first line that was changed: [Verify] says where that is.
func Read(dir, keyPath string, q Query) (records []Record, err error) {
	key, err := readKey(keyPath, false)
	if err != nil {
		return nil, fmt.Errorf("the audit log's key: %w", err)
	}
	var left [2][]dated // of the chains, the newest first
	for i, c := range chains {
		if left[i], err = newest(dir, c.name, key, q); err != nil {
			return nil, err
		}
	}
	for len(left[0])+len(left[1]) > 0 && (q.Limit == 0 || len(records) < q.Limit) {
		i := 0
		if len(left[0]) == 0 || len(left[1]) > 0 && left[1][0].later(left[0][0]) {
			i = 1
		}
		records, left[i] = append(records, left[i][0].Record), left[i][1:]
	}
	slices.Reverse(records)
	return records, nil
}

// dated is a record and when it was made at the latest, Unix ms: while the clock is not
// synchronised, At may be any time, and the next record of a synchronised clock came after it.
type dated struct {
	Record
	by int64
}

func (d dated) later(x dated) bool {
	return cmp.Or(cmp.Compare(d.by, x.by), cmp.Compare(d.At, x.At)) > 0
}

// newest returns the records of a chain that a query selects, the newest first.
func newest(dir, chain string, key []byte, q Query) (selected []dated, err error) {
	paths, _, err := files(dir, chain)
	by := int64(math.MaxInt64)
	for _, path := range slices.Backward(paths) {
		var records []Record
		if _, err := readFile(path, chain, key, func(r Record, _ code) { records = append(records, r) }); err != nil {
			return nil, err
		}
		for _, r := range slices.Backward(records) {
			if !r.Unsynced {
				by = r.At
			}
			if by >= q.Since {
				selected = append(selected, dated{r, by})
			}
		}
		if q.Limit > 0 && len(selected) >= q.Limit {
			break
		}
	}
	return selected, err
}
