package motor

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

func TestEStop(t *testing.T) {
	bubble(t, append(m1(nil), Config{Name: "m2"}, Config{Name: "m3"}), func(r *rig) {
		r.do(anna, "start")
		r.try(anna, "", `start "target":"m2"`)
		r.do(ben, "estop")
		r.do(anna, "estop")
		for i, s := range r.States() {
			if s.Running || s.Speed != 0 || !s.Latched || s.Reason != "estop" || s.By != ben || r.out(i).now() != 0 {
				t.Errorf("%+v", s)
			}
		}
		r.refused(anna, "start", 409, "e-stop by ben: reset it first")
		r.refused(anna, `start "target":"m3"`, 409, "e-stop by ben: reset it first")
		r.do(anna, "reset")
		r.do(anna, "reset")
		r.pass(time.Hour)
		for i, s := range r.States() {
			if s.Running || s.Latched || s.By != anna || r.out(i).now() != 0 {
				t.Errorf("after the reset: %+v", s)
			}
		}
		if got := fmt.Sprint(r.estops); got != "[true ben false anna]" {
			t.Errorf("notified of %v", got)
		}
		if len(r.notified()) != 2+3+3 { // starts, e-stop, reset
			t.Errorf("notified of %d changes: %+v", len(r.notified()), r.notified())
		}
		r.do(anna, "start")
		r.do(ben, "reset") // of nothing: a motor that runs is left alone
		r.runs(1)
	})
}

// fakeLatch notes what it is told to store.
type fakeLatch struct {
	set    []string
	stored bool
	during func() // while somebody waits for it
}

func (l *fakeLatch) Set(latched bool, by string, _ time.Time) {
	l.set = append(l.set, fmt.Sprint(latched, " ", by))
}

func (l *fakeLatch) Kept() bool {
	if l.during != nil {
		l.during()
	}
	return l.stored
}

// TestEStopIsStored: an e-stop and a reset are given to the store once each, in
// their order; the answer says if they are not stored, and only the answer waits
// for that.
func TestEStopIsStored(t *testing.T) {
	latch := &fakeLatch{stored: true}
	bubbleWith(t, m1(nil), func(c *Controller) { c.SetLatch(latch) }, func(r *rig) {
		latch.during = func() {
			if now := r.out(0).now(); now != 0 {
				t.Errorf("driven with %v while the e-stop is stored", now)
			}
			r.do(ben, "stop")
		}
		press := func(who, action string, kept bool) {
			t.Helper()
			ack, err := r.try(who, "", action)
			if err != nil || (ack.Kept == nil) != kept || ack.Kept != nil && *ack.Kept {
				t.Errorf("%s by %s: %+v, %v", action, who, ack, err)
			}
		}
		r.do(anna, "start")
		press(ben, "estop", true)
		press(anna, "estop", true)
		latch.stored = false
		press(anna, "estop", false)
		press(anna, "reset", false)
		press(ben, "estop", false)
		latch.stored = true
		press(ben, "estop", true)
		press(ben, "reset", true)
		r.EStop("the input")
		if want := "[true ben false anna true ben false ben true the input]"; fmt.Sprint(latch.set) != want {
			t.Errorf("stored %v, want %v", latch.set, want)
		}
	})
}

// An e-stop is stored also while the program shuts down: the next start begins with it.
func TestEStopInShutdown(t *testing.T) {
	latch := &fakeLatch{stored: true}
	bubbleWith(t, m1(nil), func(c *Controller) { c.SetLatch(latch) }, func(r *rig) {
		r.cancel()
		if err := <-r.ended; err != nil {
			t.Error(err)
		}
		r.ended <- nil // for the rig
		ack, err := r.try(ben, "", "estop")
		if err != nil || ack.Status != "ok" || ack.Kept != nil {
			t.Errorf("%+v, %v", ack, err)
		}
		if want := "[true ben]"; fmt.Sprint(latch.set) != want {
			t.Errorf("stored %v, want %v", latch.set, want)
		}
		r.refused(ben, "stop", 503, "shutting down: all motors are off")
	})
}

func TestEStopInput(t *testing.T) {
	var pressed atomic.Bool
	var broken atomic.Pointer[error]
	input := func(c *Controller) {
		c.SetEStopInput(func() (bool, error) {
			if err := broken.Load(); err != nil {
				return false, *err
			}
			return pressed.Load(), nil
		})
	}
	const refusal = "the e-stop input is pressed, open or unreadable: release it first"
	unreadable := errors.New("input/output error")
	tests := []struct {
		name  string
		press func(bool)
		by    string
	}{
		{"open", func(on bool) { pressed.Store(on) }, "e-stop input"},
		{"unreadable", func(on bool) {
			broken.Store(nil)
			if on {
				broken.Store(&unreadable)
			}
		}, "e-stop input (input/output error)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubbleWith(t, m1(nil), input, func(r *rig) {
				r.do(anna, "start")
				r.pass(time.Second)
				r.runs(1)
				r.pass(ms)
				test.press(true)
				r.pass(inputEvery)
				r.stopped("estop", test.by)
				writes := len(r.drives())
				r.pass(time.Second)
				if n := len(r.drives()); n != writes {
					t.Errorf("driven %d times while it is pressed", n-writes)
				}
				r.refused(anna, "reset", 409, refusal)
				r.refused(anna, "start", 409, "e-stop by "+test.by+": reset it first")
				test.press(false)
				r.pass(time.Second)
				r.refused(anna, "start", 409, "e-stop by "+test.by+": reset it first") // it latches
				r.do(anna, "reset")
				r.do(anna, "start")
				r.pass(time.Second)
				r.runs(1)
			})
			test.press(true)
			bubbleWith(t, m1(nil), input, func(r *rig) { // from the start
				r.refused(anna, "start", 409, "e-stop by "+test.by+": reset it first")
				r.stopped("estop", test.by)
			})
			test.press(false)
		})
	}
}

// TestEStopBeforeRun: it latches whatever state the controller is in.
func TestEStopBeforeRun(t *testing.T) {
	bubbleWith(t, m1(nil), func(c *Controller) { c.EStop("the door") }, func(r *rig) {
		r.refused(anna, "start", 409, "e-stop by the door: reset it first")
	})
}

// TestEStopInDoubt: the e-stop is latched until it is known whether it was before the
// restart; a press or a reset since the start takes precedence.
func TestEStopInDoubt(t *testing.T) {
	press := time.UnixMilli(946684000123) // before the bubble's time
	for name, test := range map[string]struct {
		meanwhile string
		by        string // before the restart
		latchedBy string
		stored    string
	}{
		"it was not":      {"", "", "", "[]"},
		"it was":          {"", "zeynep", "zeynep", "[]"},
		"it was, pressed": {"estop", "zeynep", anna, "[true anna]"},
		"was not, presse": {"estop", "", anna, "[true anna]"},
		"it was, reset":   {"reset", "zeynep", "", "[false anna]"},
	} {
		latch := &fakeLatch{stored: true}
		prepare := func(c *Controller) {
			c.DoubtEStop()
			c.SetLatch(latch)
		}
		bubbleWith(t, m1(nil), prepare, func(r *rig) {
			r.refused(anna, "start", 409, "e-stop by "+doubtName+": reset it first")
			if s := r.States()[0]; !s.Latched || s.Reason != "estop" || s.By != doubtName {
				t.Errorf("%s: in doubt: %+v", name, s)
			}
			if test.meanwhile != "" {
				r.do(anna, test.meanwhile)
			}
			r.RestoreEStop(test.by, press)
			r.RestoreEStop("a second time", press)
			s := r.States()[0]
			if s.Latched != (test.latchedBy != "") || s.By != test.latchedBy && s.Latched {
				t.Errorf("%s: %+v", name, s)
			}
			if test.by != "" && s.By == test.by && s.TS != 946684000.123 {
				t.Errorf("%s: pressed at %v", name, s.TS)
			}
			if s.Latched {
				latch.stored = false // of an e-stop that was found latched, too
				if ack, err := r.try(anna, "", "estop"); err != nil || ack.Kept == nil || *ack.Kept {
					t.Errorf("%s: pressed again: %+v, %v", name, ack, err)
				}
				latch.stored = true
				r.refused(anna, "start", 409, "e-stop by "+test.latchedBy+": reset it first")
				r.do(anna, "reset")
			}
			set := latch.set
			if got := fmt.Sprint(set[:min(len(set), 1)]); len(set) > 0 && test.meanwhile != "" && got != test.stored {
				t.Errorf("%s: stored %v, want %v", name, got, test.stored)
			}
			r.do(anna, "start")
			r.pass(time.Second)
			r.runs(1)
		})
	}
}
