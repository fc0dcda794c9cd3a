package motor

import (
	"log/slog"
	"testing"

	"sensorgateway/wire"
)

// TestBoardIsBounded: a listener that is away for long misses changes of who
// changes much, but the last of nobody.
func TestBoardIsBounded(t *testing.T) {
	var told []wire.MotorState
	b := newBoard(2, func(s wire.MotorState) { told = append(told, s) }, slog.New(slog.DiscardHandler))
	b.put(0, wire.MotorState{Target: "m1"}, [2]string{}, true)
	for i := range 10 * maxUntold {
		b.put(1, wire.MotorState{Target: "m2", TS: float64(i)}, [2]string{}, true)
	}
	b.put(0, wire.MotorState{Target: "m1", TS: 1}, [2]string{}, true)
	b.tellAll()
	if len(told) != maxUntold {
		t.Fatalf("told %d", len(told))
	}
	if s := told[len(told)-1]; s.Target != "m1" || s.TS != 1 {
		t.Errorf("last of m1: %+v", s)
	}
	for i, s := range told[1:] {
		if s.TS < told[i].TS && s.Target == told[i].Target {
			t.Errorf("out of order: %+v after %+v", s, told[i])
		}
	}
	if s := told[len(told)-2]; s.TS != 10*maxUntold-1 {
		t.Errorf("last of m2: %+v", s)
	}
}

// TestListenerMayCommand: whoever is told of a change may act on it.
func TestListenerMayCommand(t *testing.T) {
	var react func(wire.MotorState)
	bubbleWith(t, m1(nil), func(c *Controller) {
		notify := c.board.notify
		c.board.notify = func(s wire.MotorState) { notify(s); react(s) }
	}, func(r *rig) {
		react = func(s wire.MotorState) {
			if s.Running {
				r.do(ben, "stop")
			}
		}
		r.do(anna, "start")
		r.stopped("command", ben)
	})
}
