package logging

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
)

// lineHandler writes each record as a head of its own and then the attributes
// as [slog.TextHandler] writes them, which quotes whatever would break a line.
type lineHandler struct {
	head  func(b *bytes.Buffer, r slog.Record)
	attrs slog.Handler // appends the attributes and a newline to out.line
	out   *lineOutput
}

// lineOutput is what a handler shares with those derived from it.
type lineOutput struct {
	mu   sync.Mutex
	w    io.Writer
	line bytes.Buffer
}

func newLineHandler(w io.Writer, head func(*bytes.Buffer, slog.Record)) *lineHandler {
	out := &lineOutput{w: w}
	options := &slog.HandlerOptions{ReplaceAttr: withoutHead}
	return &lineHandler{head: head, attrs: slog.NewTextHandler(&out.line, options), out: out}
}

// withoutHead removes what TextHandler itself puts before the attributes. The
// record it gets has no time and no message; an attribute of the same name has
// another value, and stays.
func withoutHead(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.LevelKey:
		if _, ok := a.Value.Any().(slog.Level); ok {
			return slog.Attr{}
		}
	case slog.MessageKey:
		if a.Value.Equal(slog.StringValue("")) {
			return slog.Attr{}
		}
	}
	return a
}

func (h *lineHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.attrs.Enabled(ctx, level)
}

func (h *lineHandler) Handle(ctx context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	line := &h.out.line
	line.Reset()
	h.head(line, r)
	line.WriteByte(' ')
	attrs := slog.NewRecord(time.Time{}, r.Level, "", 0)
	r.Attrs(func(a slog.Attr) bool {
		attrs.AddAttrs(a)
		return true
	})
	if err := h.attrs.Handle(ctx, attrs); err != nil {
		return err
	}
	if bytes.HasSuffix(line.Bytes(), []byte(" \n")) { // no attributes
		line.Truncate(line.Len() - 2)
		line.WriteByte('\n')
	}
	_, err := h.out.w.Write(line.Bytes())
	return err
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &lineHandler{h.head, h.attrs.WithAttrs(attrs), h.out}
}

func (h *lineHandler) WithGroup(name string) slog.Handler {
	return &lineHandler{h.head, h.attrs.WithGroup(name), h.out}
}

// journalHead writes `<6>msg="sensor lost"`. journald has a clock of its own.
func journalHead(b *bytes.Buffer, r slog.Record) {
	b.WriteByte('<')
	b.WriteByte(priority(r.Level))
	b.WriteString(">msg=")
	b.WriteString(oneWord(r.Message))
}

// priority returns the syslog priority of level (RFC 5424, section 6.2.1).
func priority(level slog.Level) byte {
	switch {
	case level >= slog.LevelError:
		return '3'
	case level >= slog.LevelWarn:
		return '4'
	case level >= slog.LevelInfo:
		return '6'
	}
	return '7'
}

// plainHead writes `15:04:05 WARN sensor lost`, the level only where it is news.
func plainHead(b *bytes.Buffer, r slog.Record) { peopleHead(b, r, "", "") }

// colourHead is plainHead with the level in colour.
func colourHead(b *bytes.Buffer, r slog.Record) {
	const red, yellow, grey, normal = "\x1b[31m", "\x1b[33m", "\x1b[90m", "\x1b[0m"
	switch {
	case r.Level >= slog.LevelError:
		peopleHead(b, r, red, normal)
	case r.Level >= slog.LevelWarn:
		peopleHead(b, r, yellow, normal)
	default:
		peopleHead(b, r, grey, normal)
	}
}

func peopleHead(b *bytes.Buffer, r slog.Record, before, after string) {
	b.WriteString(r.Time.Format(time.TimeOnly))
	b.WriteByte(' ')
	if r.Level != slog.LevelInfo {
		b.WriteString(before + r.Level.String() + after)
		b.WriteByte(' ')
	}
	b.WriteString(oneLine(r.Message))
}

// oneLine returns s, quoted if it would end the line or steer the terminal.
func oneLine(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// oneWord returns s, quoted unless it is plainly one word of key=value.
func oneWord(s string) string {
	if s == "" || strings.ContainsAny(s, " =\"") {
		return strconv.Quote(s)
	}
	return oneLine(s)
}
