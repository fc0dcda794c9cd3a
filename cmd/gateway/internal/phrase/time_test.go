package phrase

import (
	"strings"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	now := time.UnixMilli(1712345678901)
	for text, want := range map[string]int64{
		"0": 0, "1712345678901": 1712345678901, "2024-04-05T19:34:38Z": 1712345678000, "2024-04-05T21:34:38.5+02:00": 1712345678500,
		"-1h": 1712345678901 - 3600_000, "-7d": 1712345678901 - 7*86400_000, "-0s": 1712345678901, "0s": 1712345678901,
	} {
		if got, err := ParseTime(text, now); got != want || err != nil {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "now", "-1", "5d", "1969-12-31T23:59:59Z", "253402300800001", "-99999d", "2024-04-05", "١"} {
		if got, err := ParseTime(text, now); err == nil {
			t.Errorf("%q: %d, want an error", text, got)
		}
	}
}

// Whatever is written as a time is refused or is one, and a time that is printed
// is read back.
func FuzzParseTime(f *testing.F) {
	for _, text := range []string{"0", "1712345678901", "2024-04-05T19:34:38Z", "-1h30m", "-7d", "1h", "-99999d", "٣", "-9223372036854775808ns"} {
		f.Add(text)
	}
	now := time.UnixMilli(1712345678901)
	f.Fuzz(func(t *testing.T, text string) {
		ms, err := ParseTime(text, now)
		if err != nil {
			return
		}
		if ms < FirstTime || ms > EndTime {
			t.Fatalf("%q is %d", text, ms)
		}
		if ms == EndTime {
			return // the first moment that RFC 3339 cannot say
		}
		if back, err := ParseTime(FormatTime(ms), now); err != nil || back != ms-ms%1000 {
			t.Errorf("%q is %d, %v after printing %s", text, back, err, FormatTime(ms))
		}
	})
}

func TestParseExpiry(t *testing.T) {
	now := time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Time{
		"90d": now.AddDate(0, 0, 90), "12h": now.Add(12 * time.Hour), "1500ms": now.Add(time.Second),
		"2026-03-01T08:00:00+01:00": now.Add(time.Hour), "1772348400000": now.Add(time.Hour),
	} {
		if got, err := ParseExpiry(in, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v, want %v", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"": "write 90d", "soon": "write 90d", "true": "write 90d", "1e15": "write 90d", "9223372036854775807": "write 90d", "10000-01-01T00:00:00Z": "write 90d",
		"0": "is past", "-90d": "is past", "1": "is past", "999ms": "is past", "2026-03-01T06:00:00Z": "is past",
	} {
		if got, err := ParseExpiry(in, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v, want an error with %q", in, got, err, want)
		}
	}
}
