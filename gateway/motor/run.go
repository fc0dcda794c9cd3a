package motor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sensorgateway/wire"
)

// maxIdle is how long the loop sleeps when nothing is due and nobody wakes it.
const maxIdle = time.Hour

// Run drives all outputs off; then, until ctx ends, it stops motors and changes
// their speeds, each at its deadline; then it drives all off, closes the outputs,
// and returns the errors of that. It is called once.
func (c *Controller) Run(ctx context.Context) error {
	notified, quit := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(notified)
		defer c.Off() // if a listener panics
		c.publisher.run(quit)
	}()
	defer func() { close(quit); <-notified }()
	defer c.Off() // if what follows panics

	c.begin()
	timer := time.NewTimer(0)
	defer timer.Stop()
	nextPoll := time.Now()
	for {
		select {
		case <-timer.C:
		case <-c.wake:
		case <-ctx.Done():
			return c.end()
		}
		now := time.Now()
		next := now.Add(maxIdle)
		if c.input != nil {
			if !now.Before(nextPoll) {
				c.poll()
				nextPoll = now.Add(inputEvery)
			}
			next = earlier(next, nextPoll)
		}
		for _, m := range c.motors {
			next = earlier(next, c.tend(m))
		}
		c.beats.Add(1)
		timer.Reset(time.Until(next))
	}
}

// Ready is closed when Run has driven all outputs off. No client should be served
// before.
func (c *Controller) Ready() <-chan struct{} { return c.ready }

func (c *Controller) begin() {
	defer close(c.ready)
	if c.input != nil {
		c.poll()
	}
	defer c.lock(true)()
	if c.phase != starting {
		return
	}
	now := time.Now()
	for _, m := range c.motors {
		_ = c.off(m, wire.ReasonBoot, "", now) // a failure is the motor's fault
	}
	c.phase = serving
}

func (c *Controller) end() error {
	defer c.lock(true)()
	err := c.allOff()
	for _, m := range c.motors {
		if failed := m.cfg.Output.Close(); failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: close: %w", m.cfg.Name, failed))
		}
	}
	c.motors = c.motors[:0:0] // nothing drives them again
	return err
}

// Off drives all motors off; no command is accepted afterwards. It is for a
// program that is about to crash.
func (c *Controller) Off() {
	defer c.lock(true)()
	_ = c.allOff() // a failure is the motor's fault
}

func (c *Controller) allOff() (err error) {
	c.phase = ended
	now := time.Now()
	for _, m := range c.motors {
		err = errors.Join(err, c.off(m, wire.ReasonShutdown, "", now))
	}
	return err
}

// tend advances one motor. It locks for one motor at a time, so that a stop waits
// for one at most.
func (c *Controller) tend(m *motor) (next time.Time) {
	defer c.lock(true)()
	return c.due(m, time.Now())
}

// due does what is due for a motor and its control, and returns when something is
// due again; zero is never.
func (c *Controller) due(m *motor, now time.Time) (next time.Time) {
	next = c.advance(m, now) // it may end the lease of the client that is asked for control
	event, ends := m.baton.Due(m.holder, now)
	c.passed(m, event)
	return earlier(next, ends)
}

// advance does what is due for a motor: it ends its order, or drives it along its
// profile. It returns when something is due again; zero is never.
func (c *Controller) advance(m *motor, now time.Time) (next time.Time) {
	switch {
	case m.stuck():
		if !now.Before(m.retry) {
			_ = c.off(m, wire.ReasonFault, "", now) // a failure is the motor's fault
		}
		return m.retry
	case !m.running:
		return time.Time{}
	}
	reason, ends := m.expired(now)
	if reason == "" {
		i, until := c.interlocks.violated(m.index, now)
		if i != nil {
			reason = wire.ReasonInterlock + ":" + i.Text
		}
		ends = earlier(ends, until)
	}
	if reason != "" {
		_ = c.off(m, reason, "", now) // a failure is the motor's fault
		return m.retry
	}
	next, err := c.drive(m, now, false)
	if err == nil && now.Sub(m.checked) >= checkEvery {
		m.checked = now
		if err = m.check(m.speed); err != nil {
			c.fail(m, err, now)
		}
	}
	if err != nil {
		return m.retry
	}
	ends = earlier(ends, m.checked.Add(checkEvery))
	if m.moving && m.speed == m.goal {
		m.moving = false
		m.change(m.reason, m.by, now)
		c.notify(m)
	}
	return earlier(ends, next)
}
