package motor

import (
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/gateway/condition"
	"sensorgateway/gateway/control"
	"sensorgateway/wire"
)

// Output drives a motor. One goroutine at a time calls it. A method that does
// not return stops the timing of all motors, which the watchdog notices.
type Output interface {
	// Drive sets the signed speed, −1…1; 0 is off and safe. It returns after
	// the pin was driven.
	Drive(speed float64) error
	// State reads back what the pins are driven with, without disturbing them.
	State() (speed float64, err error)
	// Close drives the output off and releases its pins.
	Close() error
}

// Config is one motor. A duration of zero sets no limit.
type Config struct {
	Name         string // a command's target
	Output       Output
	Reversible   bool                  // can turn both ways
	Proportional bool                  // has speeds between 0 and 1, and ramps; else it is on or off
	Ramp         time.Duration         // from speed 0 to 1, and from 1 to 0; a stop is never ramped
	Dwell        time.Duration         // at 0 before the other direction
	MinPause     time.Duration         // off at least so long before it is on again, also after the program's start
	MaxRun       time.Duration         // on at most so long
	KeepOnLoss   bool                  // stays on when its operator's connection ends; a lease still ends it
	Interlocks   []condition.Condition // it runs only while all of them hold
}

// Client is the sender of a command. Its name is shown as "by" and "holder" in a state.
type Client = control.Client

// Controller carries out commands, and stops motors when something ends what
// keeps them running. Its methods may be called from any goroutine.
type Controller struct {
	publisher  *publisher
	interlocks *interlocks
	beats      atomic.Int64
	ready      chan struct{}
	wake       chan struct{} // Run has new deadlines; size 1: one wake-up stands for all
	input      func() (pressed bool, err error)
	stored     Latch       // nil: the latch is not stored
	synced     func() bool // whether the system clock is synchronised; nil: always

	// A call that drives a motor off waits for the present write to a pin, but for no
	// other command: commands wait in queue for mu, and the first one there gives way
	// while an urgent call waits.
	queue  sync.Mutex
	urgent atomic.Int32 // how many urgent calls wait for mu

	mu sync.Mutex // guards all below; held over a decision and its writes to pins

	motors  []*motor
	byName  map[string]*motor
	phase   phase
	estop   bool   // latched
	estopBy string // by whom
	doubt   bool   // it is latched because it is not known yet whether it was before the restart
	pressed bool   // the e-stop input, as last polled
	repeats repeats
}

// phase is where a controller is in its life.
type phase int

const (
	starting phase = iota // outputs not yet driven off
	serving
	ended // outputs off; nothing drives them again
)

// New returns a controller. It owns the outputs: [Controller.Run] closes them.
// Until Run has begun it refuses every command.
//
// notify is called with every change of a motor, in order, on a goroutine of
// Run's and without locks, so it may call the controller. It should not block:
// when 256 changes wait, a motor's newer change replaces its oldest.
func New(motors []Config, notify func(wire.MotorState), log *slog.Logger) *Controller {
	c := &Controller{
		publisher: newPublisher(len(motors), notify, log), wake: make(chan struct{}, 1),
		ready: make(chan struct{}), byName: map[string]*motor{}, repeats: repeats{},
	}
	var byMotor [][]*interlock
	for i, cfg := range motors {
		m := newMotor(i, cfg)
		c.motors = append(c.motors, m)
		c.byName[cfg.Name] = m
		byMotor = append(byMotor, interlocksOf(cfg.Interlocks))
	}
	c.interlocks = newInterlocks(byMotor)
	for _, m := range c.motors {
		m.change(wire.ReasonBoot, "", time.Now())
		c.show(m)
	}
	return c
}

// SetClockSynced sets, before Run, the function that returns whether the system
// clock is synchronised: while it is not, an expires of a command may be wrong.
func (c *Controller) SetClockSynced(synced func() bool) { c.synced = synced }

// Lost stops the motors that a client has started or holds, and ends its control. It is
// called when the client's connection has ended and its last Command has returned. A motor
// with KeepOnLoss is not stopped if the reason is [wire.ReasonDisconnect].
func (c *Controller) Lost(clientID, reason string) {
	defer c.poke()
	defer c.lock(true)()
	delete(c.repeats, clientID)
	now := time.Now()
	for _, m := range c.motors {
		if by, is := m.operator(clientID); is && !(m.cfg.KeepOnLoss && reason == wire.ReasonDisconnect) {
			_ = c.off(m, reason, by, now) // a failure is the motor's fault
		}
		c.passed(m, m.baton.Lost(clientID, m.holder, reason, now))
	}
}

// Running returns whether the client started or holds a motor that runs, or has
// control of a motor while another client requests it. It never waits for a pin.
func (c *Controller) Running(clientID string) bool { return c.publisher.operates(clientID) }

// States returns the motors' states in the order of the configuration, with their
// interlocks as of now. It never waits for a pin.
func (c *Controller) States() []wire.MotorState {
	states := c.publisher.list()
	now := time.Now()
	for i := range states {
		states[i].Interlocks = c.interlocks.states(i, now)
	}
	return states
}

// Observe evaluates the interlocks with the records of a tick. It neither blocks
// nor allocates.
func (c *Controller) Observe(records []wire.Record) {
	if c.interlocks.observe(records, time.Now()) {
		c.poke()
	}
}

// Beats returns how often Run has woken. Each call wakes Run, so the number has grown by
// the next call unless Run hangs: Run need not wake by itself for a watchdog.
func (c *Controller) Beats() int64 {
	defer c.poke()
	return c.beats.Load()
}

// lock locks mu; urgent calls come before the queue.
func (c *Controller) lock(urgent bool) (unlock func()) {
	if urgent {
		c.urgent.Add(1)
		c.mu.Lock()
		c.urgent.Add(-1)
		return c.mu.Unlock
	}
	c.queue.Lock()
	for c.mu.Lock(); c.urgent.Load() > 0; c.mu.Lock() {
		c.mu.Unlock()
		runtime.Gosched()
	}
	return func() { c.mu.Unlock(); c.queue.Unlock() }
}

// poke wakes Run, which then determines its next deadline anew.
func (c *Controller) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// notify publishes the motor's state and notifies the listener of the change; show
// only publishes the state.
func (c *Controller) notify(m *motor) {
	c.publisher.publish(m.index, change{MotorState: c.state(m)}, m.operators())
}
func (c *Controller) show(m *motor) { c.publisher.show(m.index, c.state(m), m.operators()) }

func (c *Controller) state(m *motor) wire.MotorState {
	s := m.state(c.estop)
	s.Interlocks = c.interlocks.states(m.index, time.Now())
	return s
}
