package phrase

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"":                      `""`,
		"a \"b\"\n\x1b[31m":     `"a \"b\"\n\x1b[31m"`,
		strings.Repeat("ü", 60): `"` + strings.Repeat("ü", 60) + `"`,
		strings.Repeat("ü", 61): `"` + strings.Repeat("ü", 60) + `…"`,
	} {
		if got := Quote(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestBrief(t *testing.T) {
	long := strings.Repeat("é", 201)
	if got := Brief(errors.New(long)); got != long[:2*200]+"…" {
		t.Errorf("got %s", got)
	}
	if got := Brief(errors.New("short")); got != "short" {
		t.Errorf("got %s", got)
	}
}

func TestOneOf(t *testing.T) {
	for in, want := range map[string]string{
		"":                  "",
		"a":                 "a",
		"a b":               "a or b",
		"a b c":             "a, b or c",
		"a b c d e f g h":   "a, b, c, d, e, f, g or h",
		"a b c d e f g h i": "a, b, c, d, e, f, g, h, …",
	} {
		if got := OneOf(strings.Fields(in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"7d": 7 * 24 * time.Hour, "-99999d": -99999 * 24 * time.Hour, "36h": 36 * time.Hour, "-90m": -90 * time.Minute,
	} {
		if got, err := ParseDuration(in); got != want || err != nil {
			t.Errorf("%q: got %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "d", "7", "7 d", "1.5d", "100000d", "7d1h", "yesterday"} {
		if got, err := ParseDuration(in); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
}
