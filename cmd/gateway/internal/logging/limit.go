package logging

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Of records with the same level and message, whatever their attributes, so
// many pass in a period; the others are counted, and when the period is over a
// line says how many they were. A fault that repeats itself with every tick
// would fill the memory card otherwise.
const (
	repeatLimit  = 10
	repeatPeriod = time.Minute
	// So many different messages are limited one by one; all others are limited as
	// one, so messages with text from clients get through no faster.
	repeatKinds = 256
)

// limitRepeats returns a handler that passes to next what is not repetition.
func limitRepeats(next slog.Handler) slog.Handler {
	return &limitHandler{next, &limiter{next: next, seen: map[recordKind]*repeats{}}}
}

// limitHandler consults a limiter that it shares with the handlers derived from it.
type limitHandler struct {
	slog.Handler
	limiter *limiter
}

func (h *limitHandler) Handle(ctx context.Context, r slog.Record) error {
	if !h.limiter.pass(recordKind{r.Level, r.Message}) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h *limitHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &limitHandler{h.Handler.WithAttrs(attrs), h.limiter}
}

func (h *limitHandler) WithGroup(name string) slog.Handler {
	return &limitHandler{h.Handler.WithGroup(name), h.limiter}
}

// recordKind is what makes two records repetitions.
type recordKind struct {
	level   slog.Level
	message string
}

// repeats counts the records of one kind in the period that began with the first.
type repeats struct {
	began  time.Time
	passed int
	held   int
}

// limiter counts repetitions. It has no goroutine: a timer runs only while
// something is held back, and ends with the period.
type limiter struct {
	next slog.Handler

	mu   sync.Mutex
	seen map[recordKind]*repeats
}

// pass reports whether a record of this kind may be written now.
func (l *limiter) pass(kind recordKind) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	entry := l.seen[kind]
	if entry == nil && len(l.seen) >= repeatKinds {
		l.forget(now)
		if len(l.seen) >= repeatKinds {
			kind = recordKind{kind.level, "other messages"}
			entry = l.seen[kind]
		}
	}
	if entry == nil || entry.held == 0 && now.Sub(entry.began) >= repeatPeriod {
		entry = &repeats{began: now}
		l.seen[kind] = entry
	}
	if entry.passed < repeatLimit {
		entry.passed++
		return true
	}
	if entry.held == 0 {
		time.AfterFunc(repeatPeriod-now.Sub(entry.began), func() { l.report(kind) })
	}
	entry.held++
	return false
}

// forget drops the messages whose period is over.
func (l *limiter) forget(now time.Time) {
	for kind, entry := range l.seen {
		if entry.held == 0 && now.Sub(entry.began) >= repeatPeriod {
			delete(l.seen, kind)
		}
	}
}

// report writes how many records of this kind were held back, and starts counting
// again.
func (l *limiter) report(kind recordKind) {
	l.mu.Lock()
	held := l.seen[kind].held
	delete(l.seen, kind)
	l.mu.Unlock()

	r := slog.NewRecord(time.Now(), kind.level, "repeated messages held back", 0)
	r.AddAttrs(slog.String("message", kind.message), slog.Int("count", held))
	// An error of the log cannot be logged.
	_ = l.next.Handle(context.Background(), r)
}
