package logging

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// gate is an output that takes lines while it is open.
type gate struct {
	lineBuffer
	open   chan struct{} // a value for each line; closed: for all
	fails  error         // instead of taking one
	closed bool
}

func (g *gate) Write(line []byte) (int, error) {
	<-g.open
	if g.fails != nil {
		return 0, g.fails
	}
	return g.lineBuffer.Write(line)
}

func (g *gate) Close() error {
	g.closed = true
	return nil
}

// line returns the one that a logger for journald writes of a message.
func line(message string) string { return "<6>msg=" + message }

// TestQueueNeverWaits holds that whoever logs does not wait for an output that takes nothing,
// that lines stay in their order, and that a line says how many found no room, where they
// would be.
func TestQueueNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &gate{open: make(chan struct{})}
		log, q := New(out, "journal", environment(), false)
		log.Info("first")
		synctest.Wait() // it is being written
		long := strings.Repeat("x", 1000)
		room := queueSize / len(line("1000"+long)+"\n")
		var want []string
		for i := range room {
			message := fmt.Sprint(1000+i, long)
			log.Info(message)
			want = append(want, line(message))
		}
		if n := q.Lost(); n != 0 {
			t.Errorf("%d lines are lost, and there is room", n)
		}
		for i := range 7 {
			log.Error(fmt.Sprint(2000+i, long))
		}
		log.Info("short") // there is room for it, but not in its order
		if n := q.Lost(); n != 8 {
			t.Errorf("%d lines are lost, want 8", n)
		}

		out.open <- struct{}{}
		synctest.Wait()
		log.Warn("later")
		close(out.open)
		synctest.Wait()
		log.Info("last")
		q.End()
		want = slices.Concat([]string{line("first")}, want, []string{`<4>msg="log lines are missing here" count=8 err="` + errSlow.Error() + `"`, "<4>msg=later", line("last")})
		if got := out.take(); !slices.Equal(got, want) {
			t.Errorf("%d lines, want %d; the last are %.200q", len(got), len(want), got[max(len(got)-4, 0):])
		}
		if n := q.Lost(); n != 8 {
			t.Errorf("%d lines are lost in all, want 8", n)
		}
	})
}

// TestQueueOfLongLines holds that a line longer than the whole queue is written.
func TestQueueOfLongLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &gate{open: make(chan struct{})}
		close(out.open)
		log, q := New(out, "text", environment(), false)
		long := strings.Repeat("x", 2*queueSize)
		log.Info(long)
		q.End()
		if lines := out.take(); len(lines) != 1 || !strings.HasSuffix(lines[0], long) || q.Lost() != 0 {
			t.Errorf("%d lines, %d lost", len(lines), q.Lost())
		}
	})
}

// TestQueueOfFailingOutput holds that lines that an output refuses are counted, and that the
// next one that it takes says so, in the log's format.
func TestQueueOfFailingOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &gate{open: make(chan struct{}), fails: errors.New("no space left")}
		close(out.open)
		log, q := New(out, "json", environment(), false)
		for _, message := range []string{"a", "b"} {
			log.Info(message)
			synctest.Wait()
		}
		out.fails = nil
		log.Info("c")
		q.End()
		lines := out.take()
		if len(lines) != 2 || !strings.HasSuffix(lines[0], `"level":"WARN","msg":"log lines are missing here","count":2,"err":"no space left"}`) || !strings.HasSuffix(lines[1], `"msg":"c"}`) {
			t.Errorf("%q", lines)
		}
		if n := q.Lost(); n != 2 {
			t.Errorf("%d lines are lost, want 2", n)
		}
	})
}

// TestQueueEnds holds that the end waits for what is queued, and no more than a second for an
// output that takes nothing.
func TestQueueEnds(t *testing.T) {
	for _, blocked := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			out, want := &gate{open: make(chan struct{})}, []string{line("one"), line("two")}
			log, q := New(out, "journal", environment(), false)
			log.Info("one")
			synctest.Wait()
			log.Info("two")
			opens := 900 * time.Millisecond
			if blocked {
				opens, want = time.Hour, nil
			}
			time.AfterFunc(opens, func() { close(out.open) })
			begin := time.Now()
			q.End()
			if took := time.Since(begin); took != min(opens, time.Second) {
				t.Errorf("blocked %v: the end took %v", blocked, took)
			}
			if got := out.take(); !slices.Equal(got, want) || out.closed != blocked {
				t.Errorf("blocked %v: %q, want %q; the output is closed: %v", blocked, got, want, out.closed)
			}
			if _, err := q.Write([]byte("after\n")); !errors.Is(err, os.ErrClosed) {
				t.Errorf("a line after the end: %v", err)
			}
			q.End()               // of a second crash
			time.Sleep(2 * opens) // the goroutine ends, too
		})
	}
}
