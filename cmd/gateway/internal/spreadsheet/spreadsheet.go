// Package spreadsheet rewrites the lines of CSV that the gateway makes into those
// that a spreadsheet reads where it is used: with a decimal comma, and local times.
//
// It refuses to know what is in the columns beyond the first two, which are the time
// in RFC 3339 and in Unix milliseconds: no text of the others has a comma or a point.
package spreadsheet

import (
	"strconv"
	"strings"
	"time"
)

// Form is how a place writes numbers and times. The zero value leaves all as it is.
type Form struct {
	Comma bool           // a decimal comma; columns are separated by semicolons then
	Zone  *time.Location // of the times; nil: UTC, as RFC 3339 has it
}

// Header returns the line with the names of the columns.
func (f Form) Header(line string) string {
	if f.Comma {
		return strings.ReplaceAll(line, ",", ";")
	}
	return line
}

// Line rewrites the line that b ends with and that begins at start.
func (f Form) Line(b []byte, start int) []byte {
	line := string(b[start:])
	if at, rest, ok := strings.Cut(line, ","); ok && f.Zone != nil {
		ms, _, _ := strings.Cut(rest, ",")
		if n, err := strconv.ParseInt(ms, 10, 64); err == nil {
			at = time.UnixMilli(n).In(f.Zone).Format("2006-01-02 15:04:05.000") // as spreadsheets read it
		}
		line = at + "," + rest
	}
	if f.Comma {
		line = strings.NewReplacer(",", ";", ".", ",").Replace(line)
	}
	return append(b[:start], line...)
}
