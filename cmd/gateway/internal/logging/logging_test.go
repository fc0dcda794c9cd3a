package logging

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// environment looks a variable up in pairs such as NO_COLOR=1.
func environment(pairs ...string) func(string) string {
	return func(key string) string {
		for _, pair := range pairs {
			if value, ok := strings.CutPrefix(pair, key+"="); ok {
				return value
			}
		}
		return ""
	}
}

// logSome writes a record of each kind that matters.
func logSome(log *slog.Logger) {
	log.Debug("not written")
	log.Info("ready")
	log.Info("listening", "address", "localhost:8765", "ms", 12, "took", 1500*time.Millisecond)
	log.Warn("sensor lost", "sensor", "indoor", "err", errors.New("read: remote I/O error"))
	log.With("bus", 1).WithGroup("chip").Error("bus\ndown", "text", "a\nb\x1b[31m", "level", 3, "msg", "x")
	log.Info("", slog.Group("empty"))
	log.Info("nick\u202e", "from", "\u009b31m")
}

func TestLogFormats(t *testing.T) {
	const journal = `<6>msg=ready
<6>msg=listening address=localhost:8765 ms=12 took=1.5s
<4>msg="sensor lost" sensor=indoor err="read: remote I/O error"
<3>msg="bus\ndown" bus=1 chip.text="a\nb\x1b[31m" chip.level=3 chip.msg=x
<6>msg=""
<6>msg="nick\u202e" from="\u009b31m"
`
	const people = `HH:MM:SS ready
HH:MM:SS listening address=localhost:8765 ms=12 took=1.5s
HH:MM:SS WARN sensor lost sensor=indoor err="read: remote I/O error"
HH:MM:SS ERROR "bus\ndown" bus=1 chip.text="a\nb\x1b[31m" chip.level=3 chip.msg=x
HH:MM:SS 
HH:MM:SS "nick\u202e" from="\u009b31m"
`
	const text = `time=TIME level=INFO msg=ready
time=TIME level=INFO msg=listening address=localhost:8765 ms=12 took=1.5s
time=TIME level=WARN msg="sensor lost" sensor=indoor err="read: remote I/O error"
time=TIME level=ERROR msg="bus\ndown" bus=1 chip.text="a\nb\x1b[31m" chip.level=3 chip.msg=x
time=TIME level=INFO msg=""
time=TIME level=INFO msg="nick\u202e" from="\u009b31m"
`
	const json = `{"time":"TIME","level":"INFO","msg":"ready"}
{"time":"TIME","level":"INFO","msg":"listening","address":"localhost:8765","ms":12,"took":1500000000}
{"time":"TIME","level":"WARN","msg":"sensor lost","sensor":"indoor","err":"read: remote I/O error"}
{"time":"TIME","level":"ERROR","msg":"bus\ndown","bus":1,"chip":{"text":"a\nb\u001b[31m","level":3,"msg":"x"}}
{"time":"TIME","level":"INFO","msg":""}
{"time":"TIME","level":"INFO","msg":"nick\u202e","from":"\u009b31m"}
`
	coloured := strings.NewReplacer("WARN", "\x1b[33mWARN\x1b[0m", "ERROR", "\x1b[31mERROR\x1b[0m").Replace(people)
	none, underSystemd := environment(), environment("JOURNAL_STREAM=8:1234")
	for _, test := range []struct {
		name, format string
		env          func(string) string
		terminal     bool
		want         string
	}{
		{"auto into a file", "auto", none, false, text},
		{"auto under systemd", "auto", underSystemd, false, journal},
		{"auto on a terminal", "auto", none, true, coloured},
		{"auto on a terminal, started by a service", "auto", underSystemd, true, coloured},
		{"auto without colour", "auto", environment("NO_COLOR=1"), true, people},
		{"auto with an empty NO_COLOR", "auto", environment("NO_COLOR="), true, coloured},
		{"auto on a dumb terminal", "auto", environment("TERM=dumb"), true, people},
		{"text", "text", underSystemd, true, text},
		{"journal", "journal", none, true, journal},
		{"json", "json", underSystemd, true, json},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b bytes.Buffer
			logSome(newLogger(&b, test.format, test.env, test.terminal))
			got := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d`).ReplaceAllString(b.String(), "HH:MM:SS")
			got = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)`).ReplaceAllString(got, "TIME")
			if got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestLogPriority(t *testing.T) {
	for level, want := range map[slog.Level]byte{
		slog.LevelDebug: '7', slog.LevelInfo: '6', slog.LevelInfo + 1: '6', slog.LevelWarn: '4', slog.LevelError: '3', slog.LevelError + 4: '3',
	} {
		if got := priority(level); got != want {
			t.Errorf("%v: %c, want %c", level, got, want)
		}
	}
}

func TestCheckLogFormat(t *testing.T) {
	for _, format := range Formats {
		if err := CheckFormat(format); err != nil {
			t.Error(err)
		}
	}
	err := CheckFormat("Text")
	if want := `unknown log format "Text" (write auto, text, journal or json)`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Lines of many goroutines must not mix.
func TestLogConcurrently(t *testing.T) {
	var b bytes.Buffer
	log := newLogger(&b, "journal", environment(), false)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 8 {
				log.With("i", i).Info(fmt.Sprintf("message-%d-%d", i, j), "j", j)
			}
		})
	}
	wg.Wait()
	line := regexp.MustCompile(`^<6>msg=message-(\d)-(\d) i=(\d) j=(\d)$`)
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 64 {
		t.Errorf("%d lines, want 64", len(lines))
	}
	for _, l := range lines {
		if m := line.FindStringSubmatch(l); m == nil || m[1] != m[3] || m[2] != m[4] {
			t.Errorf("mixed up: %q", l)
		}
	}
}

// lineBuffer collects lines, also those that a timer writes.
type lineBuffer struct {
	mu    sync.Mutex
	lines []string
}

func (b *lineBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// take returns the lines since the last time.
func (b *lineBuffer) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := b.lines
	b.lines = nil
	return lines
}

func TestLogLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b lineBuffer
		log := newLogger(&b, "journal", environment(), false)
		written := func() []string {
			synctest.Wait()
			return b.take()
		}

		// Attributes make no difference, the level does.
		for i := range 30 {
			log.With("i", i).Warn("read failed", "sensor", i)
			time.Sleep(time.Second)
		}
		log.Error("read failed")
		if lines := written(); len(lines) != 11 || lines[9] != `<4>msg="read failed" i=9 sensor=9` || lines[10] != `<3>msg="read failed"` {
			t.Errorf("after 30 in half a minute: %q", lines)
		}

		// The minute counts from the first, to the second.
		time.Sleep(30*time.Second - 1)
		if lines := written(); lines != nil {
			t.Errorf("within the minute: %q", lines)
		}
		time.Sleep(time.Nanosecond)
		if lines := written(); len(lines) != 1 || lines[0] != `<4>msg="repeated messages held back" message="read failed" count=20` {
			t.Errorf("after the minute: %q", lines)
		}

		// Then it starts over, and ends without a line when nothing was held back.
		for range 10 {
			log.Warn("read failed")
		}
		if lines := written(); len(lines) != 10 {
			t.Errorf("in the next minute: %q", lines)
		}
		time.Sleep(time.Hour)
		if lines := written(); lines != nil {
			t.Errorf("nothing was held back: %q", lines)
		}

		// What is rare is never held back.
		for range 30 {
			log.Warn("read failed")
			time.Sleep(7 * time.Second)
		}
		if lines := written(); len(lines) != 30 {
			t.Errorf("every 7 s: %d lines, want 30", len(lines))
		}
	})
}

// Ever new messages are held back as one, and use bounded memory.
func TestLogLimitOfDifferentMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b lineBuffer
		log := newLogger(&b, "journal", environment(), false)
		for i := range 1000 {
			log.Info(fmt.Sprintf("message %d", i))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		lines := b.take()
		if want := repeatKinds + repeatLimit + 1; len(lines) != want {
			t.Errorf("%d lines, want %d", len(lines), want)
		}
		last, want := lines[len(lines)-1], fmt.Sprintf(`<6>msg="repeated messages held back" message="other messages" count=%d`, 1000-repeatKinds-repeatLimit)
		if last != want {
			t.Errorf("last line %q, want %q", last, want)
		}

		// A minute later they are forgotten, and new ones are told apart again.
		for range 5 {
			log.Info("a new one")
		}
		if lines := b.take(); len(lines) != 5 {
			t.Errorf("%d lines, want 5", len(lines))
		}
	})
}
