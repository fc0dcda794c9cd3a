package access

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Each refusal is counted. For each reason, one line a minute is logged, which says how
// many there were since the last one.
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		r := NewRefusals(slog.New(slog.NewTextHandler(&log, nil)), ReasonHost, "limit")
		line := func(n int, want string) {
			t.Helper()
			lines := slices.Collect(strings.Lines(log.String()))
			log.Reset()
			if len(lines) != n || n > 0 && !strings.Contains(lines[n-1], want) {
				t.Errorf("logged %q, want %d lines with %q", lines, n, want)
			}
		}
		for range 1000 {
			r.Refused(ReasonHost, "192.0.2.7:5000", "host \"x\" is not one of ours")
		}
		line(1, `reason=host client=192.0.2.7:5000 why="host \"x\" is not one of ours" refused_since_last_line=1`)
		r.Refused(ReasonOrigin, "192.0.2.8:5000", "origin")
		line(1, "reason=origin")
		time.Sleep(refusalPeriod - 1)
		r.Refused(ReasonHost, "192.0.2.7:5000", "again")
		line(0, "")
		time.Sleep(time.Nanosecond)
		r.Refused(ReasonHost, "192.0.2.7:5000", "again")
		line(1, "refused_since_last_line=1001")
		want := map[string]uint64{ReasonHost: 1002, ReasonOrigin: 1, "limit": 0}
		if got := r.Counts(); !maps.Equal(got, want) {
			t.Errorf("counted %v, want %v", got, want)
		}
	})
}
