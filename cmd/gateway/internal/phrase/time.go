package phrase

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// The times that RFC 3339 can say, from 1970 on, as Unix ms.
const (
	FirstTime = int64(0)
	EndTime   = int64(253402300800000) // the year 10000
)

var wholeNumber = regexp.MustCompile(`^[0-9]+$`)

// ParseTime reads a moment as people write it, as Unix ms.
func ParseTime(text string, now time.Time) (ms int64, err error) {
	if wholeNumber.MatchString(text) {
		ms, err = strconv.ParseInt(text, 10, 64)
	} else if d, notOne := ParseDuration(text); notOne == nil {
		if d > 0 {
			return 0, fmt.Errorf("%s is not back from now (write -%s)", Quote(text), text)
		}
		ms = now.Add(d).UnixMilli()
	} else {
		var at time.Time
		at, err = time.Parse(time.RFC3339, text)
		ms = at.UnixMilli()
	}
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && (ms < FirstTime || ms > EndTime):
		return 0, fmt.Errorf("%s is not between 1970 and the year 10000", Quote(text))
	case err != nil:
		return 0, fmt.Errorf("%s is no time (write 2026-03-01T06:00:00Z, Unix milliseconds, or -90m for ninety minutes ago)", Quote(text))
	}
	return ms, nil
}

// FormatTime is a moment, Unix ms, as [ParseTime] reads it, in whole seconds.
func FormatTime(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// ParseExpiry reads a future moment as people write it: 90d is ninety days from now.
func ParseExpiry(text string, now time.Time) (time.Time, error) {
	var at time.Time
	if d, err := ParseDuration(text); err == nil {
		at = now.Add(d)
	} else if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms <= EndTime {
		at = time.UnixMilli(ms)
	} else if at, err = time.Parse(time.RFC3339, text); err != nil {
		return time.Time{}, fmt.Errorf("%s is no time to come (write 90d or 12h for so long from now, 2026-03-01T06:00:00Z, or Unix milliseconds)", Quote(text))
	}
	if at = at.UTC().Truncate(time.Second); !at.After(now) {
		return time.Time{}, fmt.Errorf("%s is past", Quote(text))
	}
	return at, nil
}
