package motor

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"sensorgateway/wire"
)

// maxUntold is how many changes may wait to be told. Beyond it, a motor's newer
// one displaces its oldest, so the last of each is always told.
const maxUntold = 256

// board is what the outside sees of the motors: their states, and their
// changes. Its lock is never held over a write to a pin nor over a call to the
// outside, so who looks waits for no hardware, and a slow listener delays no
// motor.
type board struct {
	notify  func(wire.MotorState)
	onEStop func(latched bool, by string) // nil: nobody listens
	log     *slog.Logger
	wake    chan struct{} // size 1: one wake-up stands for all

	mu        sync.Mutex
	states    []wire.MotorState
	operators [][2]string       // IDs of clients, by motor
	untold    []wire.MotorState // changes; one without a target is the e-stop's
}

func newBoard(motors int, notify func(wire.MotorState), log *slog.Logger) *board {
	return &board{
		notify: notify, log: log, wake: make(chan struct{}, 1),
		states: make([]wire.MotorState, motors), operators: make([][2]string, motors),
	}
}

// put shows how a motor is, and has it told if it is a change.
func (b *board) put(motor int, s wire.MotorState, operators [2]string, change bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.states[motor], b.operators[motor] = s, operators
	if change {
		b.add(s)
	}
}

func (b *board) estop(latched bool, by string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(wire.MotorState{Latched: latched, By: by})
}

func (b *board) add(s wire.MotorState) {
	if len(b.untold) >= maxUntold {
		same := func(old wire.MotorState) bool { return old.Target == s.Target }
		if i := slices.IndexFunc(b.untold, same); i >= 0 {
			b.untold = slices.Delete(b.untold, i, i+1)
		}
	}
	b.untold = append(b.untold, s)
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *board) list() []wire.MotorState {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.states)
}

func (b *board) operates(clientID string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.operators, func(ids [2]string) bool {
		return ids[0] == clientID || ids[1] == clientID
	})
}

// run tells changes until quit, and then those that are left.
func (b *board) run(quit <-chan struct{}) {
	for {
		select {
		case <-b.wake:
			b.tellAll()
		case <-quit:
			b.tellAll()
			return
		}
	}
}

func (b *board) tellAll() {
	b.mu.Lock()
	untold := b.untold
	b.untold = nil
	b.mu.Unlock()
	for _, s := range untold {
		if s.Target == "" {
			b.tellEStop(s.Latched, s.By)
			continue
		}
		b.log.Log(context.Background(), level(s), "motor "+s.Target, "running", s.Running, "speed", s.Speed,
			"direction", s.Direction, "reason", s.Reason, "by", s.By, "fault", s.Fault)
		b.notify(s)
	}
}

func (b *board) tellEStop(latched bool, by string) {
	if latched {
		b.log.Warn("e-stop: all motors are off until a reset", "by", by)
	} else {
		b.log.Info("e-stop reset", "by", by)
	}
	if b.onEStop != nil {
		b.onEStop(latched, by)
	}
}

// level is how much a change matters to whoever reads the log.
func level(s wire.MotorState) slog.Level {
	switch {
	case s.Reason == "fault":
		return slog.LevelError
	case s.Reason == "lease", s.Reason == "max_run", s.Reason == "disconnect", s.Reason == "estop",
		strings.HasPrefix(s.Reason, "interlock:"):
		return slog.LevelWarn
	}
	return slog.LevelInfo
}
