package motor

import (
	"log/slog"
	"testing"

	"sensorgateway/wire"
)

// TestPendingIsBounded: a slow listener misses old changes of a motor that changes
// often, but no motor's last change.
func TestPendingIsBounded(t *testing.T) {
	var notified []wire.MotorState
	p := newPublisher(2, func(s wire.MotorState) { notified = append(notified, s) }, slog.New(slog.DiscardHandler))
	p.publish(0, change{MotorState: wire.MotorState{Target: "m1"}}, [3]string{})
	for i := range 10 * maxPending {
		p.publish(1, change{MotorState: wire.MotorState{Target: "m2", TS: float64(i)}}, [3]string{})
	}
	p.publish(0, change{MotorState: wire.MotorState{Target: "m1", TS: 1}}, [3]string{})
	p.notifyPending()
	if len(notified) != maxPending {
		t.Fatalf("notified %d", len(notified))
	}
	if s := notified[len(notified)-1]; s.Target != "m1" || s.TS != 1 {
		t.Errorf("last of m1: %+v", s)
	}
	for i, s := range notified[1:] {
		if s.TS < notified[i].TS && s.Target == notified[i].Target {
			t.Errorf("out of order: %+v after %+v", s, notified[i])
		}
	}
	if s := notified[len(notified)-2]; s.TS != 10*maxPending-1 {
		t.Errorf("last of m2: %+v", s)
	}
}

// TestListenerMayCommand: a listener may send a command when it is notified.
func TestListenerMayCommand(t *testing.T) {
	var react func(wire.MotorState)
	bubbleWith(t, m1(nil), func(c *Controller) {
		notify := c.publisher.notify
		c.publisher.notify = func(s wire.MotorState) { notify(s); react(s) }
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
