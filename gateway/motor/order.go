package motor

import (
	"math"
	"time"

	"sensorgateway/gateway/control"
	"sensorgateway/wire"
)

// motor is a motor with its order: what an operator wants of it, and until when.
// The controller's lock guards it.
type motor struct {
	cfg   Config
	index int
	profile
	baton control.Baton

	running   bool    // it has an order, which is all below up to maxEnds
	magnitude float64 // of the speed wanted
	reverse   bool
	startedBy Client
	holder    Client // whose lease runs; zero: nobody's
	lease     time.Duration
	leaseEnds time.Time // this and the next two: zero is never
	runEnds   time.Time
	maxEnds   time.Time

	read    float64   // what the output last read back
	moving  bool      // not yet at the goal
	checked time.Time // when it was last read back
	retry   time.Time // when an output that could not be driven off is tried again; else zero

	fault     string // latched; "" is none
	unclaimed bool   // the fault is that the output has no pins yet
	reason    string // of the last change
	by        string
	changed   time.Time
}

func newMotor(index int, cfg Config) *motor {
	m := &motor{cfg: cfg, index: index, baton: control.Baton{Motor: cfg.Name}}
	m.profile = profile{dwell: cfg.Dwell, pause: cfg.MinPause}
	if cfg.Proportional {
		m.ramp = cfg.Ramp
	}
	return m
}

// accept makes a command the motor's order. A start of a motor that runs changes only
// the parameters in it, as a set does; its sender then counts as who started the motor.
func (m *motor) accept(cl Client, cmd wire.Command, now time.Time) {
	if m.held() && m.holder.ID != cl.ID { // the client with control takes over from the holder
		m.startedBy, m.holder, m.lease, m.leaseEnds = cl, Client{}, 0, time.Time{}
	}
	if cmd.Action == wire.Start {
		if !m.running {
			m.running, m.magnitude, m.reverse = true, 1, false
			m.driven = now
			if m.cfg.MaxRun > 0 {
				m.maxEnds = now.Add(m.cfg.MaxRun)
			}
		}
		m.startedBy = cl
	}
	if cmd.Speed != nil {
		m.magnitude = *cmd.Speed
	}
	if cmd.Direction != "" {
		m.reverse = cmd.Direction == wire.Reverse
	}
	if cmd.RunMS != nil {
		m.runEnds = now.Add(time.Duration(*cmd.RunMS) * time.Millisecond)
	}
	if cmd.LeaseMS != nil {
		m.holder, m.lease = cl, time.Duration(*cmd.LeaseMS)*time.Millisecond
		m.renew(cl, now)
	}
	m.goal = m.magnitude
	if m.reverse && m.magnitude != 0 {
		m.goal = -m.magnitude
	}
}

// renew restarts the client's lease, if it has one.
func (m *motor) renew(cl Client, now time.Time) {
	if m.holder.ID == cl.ID && m.held() {
		m.leaseEnds = now.Add(m.lease)
	}
}

func (m *motor) held() bool { return !m.holder.None() }

// release ends the order. The direction stays, for the state.
func (m *motor) release() {
	m.running, m.moving = false, false
	m.magnitude, m.goal = 0, 0
	m.startedBy, m.holder, m.lease = Client{}, Client{}, 0
	m.leaseEnds, m.runEnds, m.maxEnds = time.Time{}, time.Time{}, time.Time{}
}

// expired returns the reason if the order's time is up, else "" and when it will be;
// zero is never.
func (m *motor) expired(now time.Time) (reason string, ends time.Time) {
	for _, limit := range []struct {
		reason string
		ends   time.Time
	}{{wire.ReasonLease, m.leaseEnds}, {wire.ReasonRunMS, m.runEnds}, {wire.ReasonMaxRun, m.maxEnds}} {
		if !limit.ends.IsZero() && !now.Before(limit.ends) {
			return limit.reason, time.Time{}
		}
		ends = earlier(ends, limit.ends)
	}
	return "", ends
}

// operator returns whether the client has started the running motor or holds it,
// and its name.
func (m *motor) operator(clientID string) (name string, is bool) {
	for _, cl := range []Client{m.startedBy, m.holder} {
		if m.running && cl.ID == clientID {
			return cl.Name, true
		}
	}
	return "", false
}

// operators returns the IDs of the clients that started and that hold the running
// motor, and of the client that has control while another requests it.
func (m *motor) operators() (ids [3]string) {
	if m.running {
		ids = [3]string{m.startedBy.ID, m.holder.ID}
	}
	ids[2] = m.baton.Asked()
	return ids
}

// stuck returns whether the output could not be driven off.
func (m *motor) stuck() bool { return !m.retry.IsZero() }

// change notes the reason of a change.
func (m *motor) change(reason, by string, now time.Time) {
	m.reason, m.by, m.changed = reason, by, now
}

// state returns the motor's state without its interlocks.
func (m *motor) state(estop bool) wire.MotorState {
	s := wire.MotorState{
		Target: m.cfg.Name, Running: m.running, Speed: math.Abs(m.read), Direction: wire.Forward,
		Reason: m.reason, By: m.by, TS: wire.Seconds(m.changed.UnixMilli()),
		Holder: m.holder.Name, Latched: estop || m.fault != "", Fault: m.fault,
		Reversible: m.cfg.Reversible, Proportional: m.cfg.Proportional,
	}
	if m.read < 0 || m.read == 0 && m.reverse {
		s.Direction = wire.Reverse
	}
	if m.stuck() {
		s.Fault += "; it cannot be driven off"
	}
	m.baton.Show(&s)
	return s
}

// earlier returns the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
