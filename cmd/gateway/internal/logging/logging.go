// Package logging writes the program's log lines: for terminals, for journald,
// as key=value or JSON. It limits how often a message repeats itself, lets nobody who
// logs wait for whoever reads the lines, and refuses to know what they are about.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"slices"

	"sensorgateway/cmd/gateway/internal/phrase"
)

// Formats are the values of log_format and --log-format:
//
//	auto     for people on a terminal, else journal under systemd, else text
//	text     key=value, with the time
//	journal  key=value, without the time, with the priority as <6> (sd-daemon(3))
//	json     one object a line
var Formats = []string{"auto", "text", "journal", "json"}

// CheckFormat returns an error unless format is one of [Formats].
func CheckFormat(format string) error {
	if !slices.Contains(Formats, format) {
		return fmt.Errorf("unknown log format %s (write %s)", phrase.Quote(format), phrase.OneOf(Formats))
	}
	return nil
}

// New returns the logger of a program that runs for years, and the queue for w through
// which its lines go, which is to be ended when the program ends. format is one of
// [Formats]; env looks up the environment; isTerminal says whether w is one.
func New(w io.Writer, format string, env func(string) string, isTerminal bool) (*slog.Logger, *Queue) {
	q := newQueue(w, newLogHandler(w, format, env, isTerminal))
	return newLogger(q, format, env, isTerminal), q
}

// newLogger returns a logger that writes to w a line a record, whatever the record
// holds, and limits how often it repeats itself (see [limiter]).
func newLogger(w io.Writer, format string, env func(string) string, isTerminal bool) *slog.Logger {
	return slog.New(limitRepeats(newLogHandler(w, format, env, isTerminal)))
}

// escapingWriter escapes in JSON the characters that a terminal would obey.
type escapingWriter struct{ w io.Writer }

func (e escapingWriter) Write(line []byte) (int, error) {
	if _, err := e.w.Write(phrase.EscapeJSON(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

func newLogHandler(w io.Writer, format string, env func(string) string, isTerminal bool) slog.Handler {
	// A shell started by a service inherits its JOURNAL_STREAM, so the terminal decides first.
	switch {
	case format == "json":
		return slog.NewJSONHandler(escapingWriter{w}, nil)
	case format == "journal", format == "auto" && !isTerminal && env("JOURNAL_STREAM") != "":
		return newLineHandler(w, journalHead)
	case format == "auto" && isTerminal:
		if env("NO_COLOR") != "" || env("TERM") == "dumb" {
			return newLineHandler(w, plainHead)
		}
		return newLineHandler(w, colourHead)
	}
	return slog.NewTextHandler(w, nil)
}
