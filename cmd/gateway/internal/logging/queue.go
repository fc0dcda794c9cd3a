package logging

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// queueSize is how many bytes of lines can wait, besides as many that are being written.
	queueSize = 128 << 10
	// endTime is how long the end of the program waits for an output that takes nothing.
	endTime = time.Second
)

// errSlow is why lines are lost for which there is no room.
var errSlow = errors.New("whatever reads the log took nothing for too long; fix: see whether a terminal or a pager is paused, or the disk of the log is slow or full")

// Queue is an output for whose reader nobody waits: lines are logged between a sensor and
// the clients, and with locks held. A terminal after Ctrl-S, a pipe that nobody reads and a
// journald on a dying disk take no line, and would stop all of that. One goroutine
// writes the lines, in their order. Those for which there is no room are dropped, and a line
// in their place says how many they were.
type Queue struct {
	out  io.Writer
	log  slog.Handler  // writes to out
	lost atomic.Int64  // lines, since the start
	wake chan struct{} // 1: there is something to do
	done chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	lines   []byte // they wait
	dropped int    // lines that came after them
	ended   bool

	// Of the goroutine alone: how many lines are missing before the next, and why.
	missing int
	why     error
}

// newQueue returns a queue for out, to which log writes as well.
func newQueue(out io.Writer, log slog.Handler) *Queue {
	q := &Queue{out: out, log: log, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go q.run()
	return q
}

// Write queues a line, which is copied. It waits for nobody.
func (q *Queue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.ended:
		return 0, os.ErrClosed
	case q.dropped > 0 || len(q.lines) > 0 && len(q.lines)+len(line) > queueSize:
		q.dropped++
		q.lost.Add(1)
	default:
		q.lines = append(q.lines, line...)
	}
	q.signal()
	return len(line), nil
}

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run writes what is queued until the queue has ended.
func (q *Queue) run() {
	defer close(q.done)
	for ended := false; !ended; {
		<-q.wake
		var lines []byte
		var dropped int
		lines, dropped, ended = q.take()
		for line := range bytes.Lines(lines) {
			q.tell()
			if _, err := q.out.Write(line); err != nil {
				q.missing, q.why = q.missing+1, err
				q.lost.Add(1)
			}
		}
		if dropped > 0 {
			q.missing, q.why = q.missing+dropped, errSlow
		}
		q.tell()
	}
}

// take takes the lines that wait, and the number of those that were dropped after them.
func (q *Queue) take() (lines []byte, dropped int, ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lines, dropped = q.lines, q.dropped
	q.lines, q.dropped = nil, 0
	return lines, dropped, q.ended
}

// tell writes how many lines are missing before the next.
func (q *Queue) tell() {
	if q.missing == 0 {
		return
	}
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines are missing here", 0)
	r.AddAttrs(slog.Int("count", q.missing), slog.Any("err", q.why))
	if q.log.Handle(context.Background(), r) == nil {
		q.missing = 0
	}
}

// Lost returns how many lines were lost since the start.
func (q *Queue) Lost() int64 { return q.lost.Load() }

// End writes what waits, and ends the queue. If that takes longer than a second, the output
// is closed: the program is about to end, and its last error must not wait for a reader
// either. A panic still does: the runtime writes its trace by itself.
func (q *Queue) End() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	q.signal()
	select {
	case <-q.done:
	case <-time.After(endTime):
		if out, ok := q.out.(io.Closer); ok {
			_ = out.Close()
		}
	}
}
