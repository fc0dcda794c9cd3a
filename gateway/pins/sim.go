package pins

import (
	"fmt"
	"io/fs"
	"sync"
	"syscall"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// Edge is a change of an emulated pin.
type Edge struct {
	Time  time.Time
	Pin   string  // GPIO17, gpiochip2/17 or pwmchip0/0
	Value float64 // a line's voltage, 0 low or 1 high; a channel's duty
}

// keptEdges is how many edges a [Sim] remembers.
const keptEdges = 4096

// Sim is emulated hardware, with every line and PWM channel that is claimed. As
// on a Raspberry Pi, a line keeps its level when it is released, and a channel
// its duty when its process dies. Any number of goroutines may use it.
type Sim struct {
	onChange func(pin string, duty float64)

	mu    sync.Mutex
	pins  map[string]*simPin
	edges []Edge // a ring, once it is full
	next  int    // in edges, when the ring is full
}

// NewSim returns hardware with all lines low. onChange is called whenever a
// pin changes, in order and not by several goroutines at once: duty is the
// share of the time for which the pin is active from now on, for a line 0 or 1
// (software PWM is many calls). It must not call the Sim; nil is allowed.
func NewSim(onChange func(pin string, duty float64)) *Sim {
	return &Sim{onChange: onChange, pins: map[string]*simPin{}}
}

// simPin is the state of a pin; the lock of its Sim guards it.
type simPin struct {
	name      string
	value     float64 // as in Edge, as driven by whoever drives it
	activeLow bool    // as it was last claimed
	outside   bool    // driven by SetInput
	owner     *simClaim
	broken    error
	stuck     *float64
}

// seen returns the value that the pin carries.
func (p *simPin) seen() float64 {
	if p.stuck != nil {
		return *p.stuck
	}
	return p.value
}

// active turns the pin's value into an active share of the time, and back.
func (p *simPin) active(value float64) float64 {
	if p.activeLow {
		return 1 - value
	}
	return value
}

// Line claims an output line.
func (s *Sim) Line(name string, activeLow bool) (Line, error) {
	if _, err := parseLine(name); err != nil {
		return nil, err
	}
	return orNone[Line](s.claim(name, func(p *simPin) { p.activeLow, p.value = activeLow, levelNumber(gpio.Level(activeLow)) }))
}

// Input claims an input line, which its pull drives until SetInput does.
func (s *Sim) Input(name string, pull gpio.Pull) (Input, error) {
	if _, err := parseLine(name); err != nil {
		return nil, err
	}
	return orNone[Input](s.claim(name, func(p *simPin) {
		p.activeLow = false
		if !p.outside {
			p.value = levelNumber(pull == gpio.PullUp)
		}
	}))
}

// PWM claims a channel.
func (s *Sim) PWM(name string, _ int) (PWM, error) {
	if _, err := parseChannel(name); err != nil {
		return nil, err
	}
	return orNone[PWM](s.claim(name, func(p *simPin) { p.activeLow, p.value = false, 0 }))
}

// SetInput drives an input line from outside.
func (s *Sim) SetInput(name string, level gpio.Level) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pin(name)
	s.change(p, func() { p.outside, p.value = true, levelNumber(level) })
}

// Value returns what a pin carries, as in an [Edge].
func (s *Sim) Value(name string) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pin(name).seen()
}

// Edges returns the last 4096 changes, the oldest first.
func (s *Sim) Edges() []Edge {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(append([]Edge(nil), s.edges[s.next:]...), s.edges[:s.next]...)
}

// Break makes claiming, driving and reading a pin fail with err, until Repair.
func (s *Sim) Break(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pin(name).broken = err
}

// Stick makes a pin carry value, as in an [Edge], whatever it is driven with,
// until Repair.
func (s *Sim) Stick(name string, value float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pin(name)
	s.change(p, func() { p.stuck = &value })
}

// Repair ends the effect of Break and Stick.
func (s *Sim) Repair(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pin(name)
	s.change(p, func() { p.broken, p.stuck = nil, nil })
}

// Kill emulates the death of the process that has claimed pins: it cannot drive them
// any more, they can be claimed again, and they keep their levels and duties.
func (s *Sim) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pins {
		p.owner = nil
	}
}

// pin returns the pin of that name, in any of its forms.
func (s *Sim) pin(name string) *simPin {
	if c, err := Canonical(name); err == nil {
		name = c
	}
	p := s.pins[name]
	if p == nil {
		p = &simPin{name: name}
		s.pins[name] = p
	}
	return p
}

// claim claims a pin; initial sets it up.
func (s *Sim) claim(name string, initial func(*simPin)) (*simClaim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pin(name)
	switch {
	case p.broken != nil:
		return nil, fmt.Errorf("claim %s: %w", name, p.broken)
	case p.owner != nil:
		return nil, fmt.Errorf("claim %s: %w: held by %q", name, syscall.EBUSY, consumer)
	}
	p.owner = &simClaim{sim: s, pin: p}
	s.change(p, func() { initial(p) })
	return p.owner, nil
}

// change calls f, and records the edge if f changes what the pin carries.
func (s *Sim) change(p *simPin, f func()) {
	was := p.seen()
	f()
	now := p.seen()
	if now == was {
		return
	}
	e := Edge{time.Now(), p.name, now}
	if len(s.edges) < keptEdges {
		s.edges = append(s.edges, e)
	} else {
		s.edges[s.next] = e
		s.next = (s.next + 1) % keptEdges
	}
	if s.onChange != nil {
		s.onChange(p.name, p.active(now))
	}
}

// simClaim is a claimed pin: a line or a channel.
type simClaim struct {
	sim *Sim
	pin *simPin
}

func (c *simClaim) String() string { return c.pin.name + " (emulated)" }

// Set drives the pin.
func (c *simClaim) Set(duty float64) error {
	if err := checkDuty(duty); err != nil {
		return fmt.Errorf("%v: %w", c, err)
	}
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	if err := c.usable(); err != nil {
		return fmt.Errorf("%v: set %v: %w", c, duty, err)
	}
	c.sim.change(c.pin, func() { c.pin.value = c.pin.active(duty) })
	return nil
}

// Get reads what the pin carries.
func (c *simClaim) Get() (float64, error) {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	if err := c.usable(); err != nil {
		return 0, fmt.Errorf("%v: read: %w", c, err)
	}
	return c.pin.active(c.pin.seen()), nil
}

// Out drives the line.
func (c *simClaim) Out(level gpio.Level) error { return c.Set(levelNumber(level)) }

// Level reads what the line carries.
func (c *simClaim) Level() (gpio.Level, error) {
	v, err := c.Get()
	return v == 1, err
}

// Close releases the pin, which keeps what it carries.
func (c *simClaim) Close() error {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	if c.pin.owner == c {
		c.pin.owner = nil
	}
	return nil
}

func (c *simClaim) usable() error {
	if c.pin.owner != c {
		return fs.ErrClosed
	}
	return c.pin.broken
}
