package motor

import (
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/wire"
)

// Output is what a motor hangs on. It is called by one goroutine at a time. A
// method that does not return stops all motors' timing, which the watchdog sees.
type Output interface {
	// Drive sets the signed speed, −1…1; 0 is off and safe. It returns after
	// the pin was driven.
	Drive(speed float64) error
	// State reads back what the pins are driven with, without disturbing them.
	State() (speed float64, err error)
	// Close drives the output off and lets go of it.
	Close() error
}

// Config is one motor. Its zero durations ask for nothing.
type Config struct {
	Name         string // a command's target
	Output       Output
	Reversible   bool          // can turn both ways
	Proportional bool          // knows speeds between 0 and 1, and ramps; else it is on or off
	Ramp         time.Duration // from speed 0 to 1, and from 1 to 0; a stop is never ramped
	Dwell        time.Duration // at 0 before it turns the other way
	MinPause     time.Duration // off at least so long before it is on again, counted from the start of the program too
	MaxRun       time.Duration // runs at most so long
	KeepOnLoss   bool          // goes on when its operator's connection ends; a lease still ends it
	Interlocks   []Condition   // it runs only while all of them hold
}

// Client is who sends a command.
type Client struct {
	ID   string // of the connection, never used twice
	Name string // what others are told: "by", "holder"
}

// Controller carries out commands and ends what has to end. Its methods may be
// called from any goroutine.
type Controller struct {
	board      *board
	interlocks *interlocks
	beats      atomic.Int64
	ready      chan struct{}
	wake       chan struct{} // for Run, which has new deadlines to look at; size 1: one wake-up stands for all
	input      func() (pressed bool, err error)

	// Whatever drives off waits for the write that is under way and for no
	// command in a queue: those take turns, and give way while it waits.
	turn   sync.Mutex
	urgent atomic.Int32 // how many such wait for mu

	mu sync.Mutex // of all below; held for a decision and its writes to pins

	motors  []*motor
	byName  map[string]*motor
	phase   phase
	estop   bool   // latched
	estopBy string // by whom
	pressed bool   // the e-stop input, as last polled
	repeats repeats
}

// phase is where a controller is in its life.
type phase int

const (
	starting phase = iota // outputs not yet driven off
	serving
	ended // outputs off for good
)

// New returns a controller, which takes the outputs over: [Controller.Run]
// closes them. Until Run has begun it refuses every command.
//
// notify is told every change of a motor, in order, on a goroutine of Run's and
// without locks, so it may call the controller. It should not block: of the
// changes that wait beyond 256, a motor's newer ones displace its oldest.
func New(motors []Config, notify func(wire.MotorState), log *slog.Logger) *Controller {
	c := &Controller{
		board: newBoard(len(motors), notify, log), wake: make(chan struct{}, 1),
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
		m.change("boot", "", time.Now())
		c.show(m)
	}
	return c
}

// Lost says that a client's connection has ended, and its last Command has
// returned: what it started or holds stops, unless configured to go on.
func (c *Controller) Lost(clientID string) {
	defer c.poke()
	defer c.lock(true)()
	delete(c.repeats, clientID)
	now := time.Now()
	for _, m := range c.motors {
		if by, is := m.operator(clientID); is && !m.cfg.KeepOnLoss {
			c.off(m, "disconnect", by, now) // an error is told as the motor's fault
		}
	}
}

// Running tells whether the client has a motor running: it started it, or holds
// it. It never waits for a pin.
func (c *Controller) Running(clientID string) bool { return c.board.operates(clientID) }

// States returns the motors as they are, in the order of the configuration, and
// their interlocks as they are now. It never waits for a pin.
func (c *Controller) States() []wire.MotorState {
	states := c.board.list()
	now := time.Now()
	for i := range states {
		states[i].Interlocks = c.interlocks.states(i, now)
	}
	return states
}

// Observe takes the records of a tick, for the interlocks. It neither blocks
// nor allocates.
func (c *Controller) Observe(records []wire.Record) {
	if c.interlocks.observe(records, time.Now()) {
		c.poke()
	}
}

// Beats grows at least once a second while Run's goroutine advances.
func (c *Controller) Beats() int64 { return c.beats.Load() }

// lock takes mu, before all that is not urgent.
func (c *Controller) lock(urgent bool) (unlock func()) {
	if urgent {
		c.urgent.Add(1)
		c.mu.Lock()
		c.urgent.Add(-1)
		return c.mu.Unlock
	}
	c.turn.Lock()
	for c.mu.Lock(); c.urgent.Load() > 0; c.mu.Lock() {
		c.mu.Unlock()
		runtime.Gosched()
	}
	return func() { c.mu.Unlock(); c.turn.Unlock() }
}

func (c *Controller) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// notify publishes a change of the motor and has the listeners notified; show
// publishes only.
func (c *Controller) notify(m *motor) { c.board.put(m.index, c.state(m), m.operators(), true) }
func (c *Controller) show(m *motor)   { c.board.put(m.index, c.state(m), m.operators(), false) }

func (c *Controller) state(m *motor) wire.MotorState {
	s := m.state(c.estop)
	s.Interlocks = c.interlocks.states(m.index, time.Now())
	return s
}
