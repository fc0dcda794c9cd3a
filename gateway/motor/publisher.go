package motor

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"sensorgateway/wire"
)

// maxPending is how many changes may wait for the listener. When it is reached,
// a motor's newer change replaces its oldest, so the last change of each motor
// always arrives.
const maxPending = 256

// publisher has the motors' states for everybody who reads them, and notifies
// the listener of changes. Its lock is held neither over a write to a pin nor
// over a call of the listener: a reader waits for no hardware, and a slow
// listener delays no motor.
type publisher struct {
	notify    func(wire.MotorState)
	onEStop   func(latched bool, by string) // nil: nobody listens
	onControl func(wire.Event)              // nil: nobody listens
	log       *slog.Logger
	wake      chan struct{} // size 1: one wake-up stands for all

	mu        sync.Mutex
	states    []wire.MotorState
	operators [][3]string // IDs of clients, by motor
	pending   []change
}

// change is a motor's new state; one without a target is the e-stop's.
type change struct {
	wire.MotorState
	control *wire.Event // nil: its control has not changed
}

func newPublisher(motors int, notify func(wire.MotorState), log *slog.Logger) *publisher {
	return &publisher{
		notify: notify, log: log, wake: make(chan struct{}, 1),
		states: make([]wire.MotorState, motors), operators: make([][3]string, motors),
	}
}

// show makes s the motor's state.
func (p *publisher) show(motor int, s wire.MotorState, operators [3]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.states[motor], p.operators[motor] = s, operators
}

// publish shows a change and queues it for the listener.
func (p *publisher) publish(motor int, s change, operators [3]string) {
	p.show(motor, s.MotorState, operators)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(s)
}

func (p *publisher) estop(latched bool, by string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(change{MotorState: wire.MotorState{Latched: latched, By: by}})
}

func (p *publisher) add(s change) {
	if len(p.pending) >= maxPending {
		same := func(old change) bool { return old.Target == s.Target && (old.control == nil) == (s.control == nil) }
		if i := slices.IndexFunc(p.pending, same); i >= 0 {
			p.pending = slices.Delete(p.pending, i, i+1)
		}
	}
	p.pending = append(p.pending, s)
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *publisher) list() []wire.MotorState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.states)
}

// operates returns whether the client is the operator of any motor.
func (p *publisher) operates(clientID string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.operators, func(ids [3]string) bool { return slices.Contains(ids[:], clientID) })
}

// run notifies the listener of changes until quit is closed, and then of those that are pending.
func (p *publisher) run(quit <-chan struct{}) {
	for {
		select {
		case <-p.wake:
			p.notifyPending()
		case <-quit:
			p.notifyPending()
			return
		}
	}
}

func (p *publisher) notifyPending() {
	p.mu.Lock()
	pending := p.pending
	p.pending = nil
	p.mu.Unlock()
	for _, s := range pending {
		switch {
		case s.Target == "":
			p.notifyEStop(s.Latched, s.By)
		case s.control != nil:
			p.notifyControl(*s.control)
			p.notify(s.MotorState)
		default:
			p.log.Log(context.Background(), level(s.MotorState), "motor "+s.Target, "running", s.Running, "speed", s.Speed,
				"direction", s.Direction, "reason", s.Reason, "by", s.By, "fault", s.Fault)
			p.notify(s.MotorState)
		}
	}
}

func (p *publisher) notifyControl(e wire.Event) {
	p.log.Info("control of motor "+e.Target, "action", e.Action, "by", e.By, "from", e.From, "to", e.To, "holder", e.Holder, "reason", e.Reason)
	if p.onControl != nil {
		p.onControl(e)
	}
}

func (p *publisher) notifyEStop(latched bool, by string) {
	if latched {
		p.log.Warn("e-stop: all motors are off until a reset", "by", by)
	} else {
		p.log.Info("e-stop reset", "by", by)
	}
	if p.onEStop != nil {
		p.onEStop(latched, by)
	}
}

// level is the log level of a change.
func level(s wire.MotorState) slog.Level {
	switch {
	case s.Reason == wire.ReasonFault:
		return slog.LevelError
	case s.Reason == wire.ReasonLease, s.Reason == wire.ReasonMaxRun, s.Reason == wire.ReasonDisconnect, s.Reason == wire.ReasonEStop,
		strings.HasPrefix(s.Reason, wire.ReasonInterlock+":"):
		return slog.LevelWarn
	}
	return slog.LevelInfo
}
