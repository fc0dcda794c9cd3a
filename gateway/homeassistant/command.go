package homeassistant

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sensorgateway/wire"
)

// Limits of commands.
const (
	// lease is how long a motor that Home Assistant started still runs after this program
	// has stopped renewing the lease, which it does every second.
	lease = 5 * time.Second
	// maxCommands is how many starts and sets are carried out in a second: as many as
	// messages of a WebSocket client. Stops have no limit.
	maxCommands = 20
	// warnPeriod is how long no other refused command is logged after one.
	warnPeriod = 10 * time.Second
)

// receive carries out the command in a message on topic, if it is one.
func (b *Bridge) receive(topic string, payload []byte, retained bool) {
	target, what, ok := b.topics.parse(topic)
	if !ok || b.opts.MaxRun == 0 {
		return
	}
	err := b.command(target, what, string(payload), retained)
	b.poke() // also after a refusal, to show that nothing has changed
	if err == nil {
		return
	}
	b.mu.Lock()
	quiet := time.Since(b.warned) < warnPeriod
	if !quiet {
		b.warned = time.Now()
	}
	b.mu.Unlock()
	if !quiet {
		b.opts.Log.Warn("a command of home assistant was refused", "topic", topic, "err", err)
	}
}

func (b *Bridge) command(target, what, payload string, retained bool) error {
	if retained { // it may be old
		return errors.New("the message is retained; fix: publish commands without retain, and remove this one")
	}
	cmd, err := b.parse(target, what, payload)
	if err != nil || cmd == nil {
		return err
	}
	if cmd.Action != wire.Stop {
		if err := b.admit(); err != nil {
			return err
		}
	}
	return b.opts.Command(*cmd)
}

// parse returns the command in a payload, nil if nothing is to be carried out now: the
// direction of a motor that is off is kept for its next start.
func (b *Bridge) parse(target, what, payload string) (*wire.Command, error) {
	motors := b.opts.Motors()
	i := slices.IndexFunc(motors, func(m wire.MotorState) bool { return m.Target == target })
	if i < 0 {
		return nil, fmt.Errorf("no motor is named %q", shorten(target))
	}
	if what == direction {
		return b.parseDirection(motors[i], payload)
	}
	speed, err := parseSpeed(what, payload)
	if err != nil {
		return nil, err
	}
	if speed != nil && *speed == 0 || what == onOff && payload == "OFF" {
		return &wire.Command{Action: wire.Stop, Target: target}, nil
	}
	run, leaseMS := b.opts.MaxRun.Milliseconds(), lease.Milliseconds()
	cmd := &wire.Command{Action: wire.Start, Target: target, Speed: speed, RunMS: &run, LeaseMS: &leaseMS}
	if !motors[i].Running {
		b.mu.Lock()
		cmd.Direction = b.directions[target]
		b.mu.Unlock()
	}
	return cmd, nil
}

func (b *Bridge) parseDirection(m wire.MotorState, payload string) (*wire.Command, error) {
	switch {
	case !m.Reversible:
		return nil, fmt.Errorf("%s turns one way only", m.Target)
	case payload != wire.Forward && payload != wire.Reverse:
		return nil, fmt.Errorf("direction %q is neither %s nor %s", shorten(payload), wire.Forward, wire.Reverse)
	case m.Running:
		return &wire.Command{Action: wire.Set, Target: m.Target, Direction: payload}, nil
	}
	b.mu.Lock()
	b.directions[m.Target] = payload
	b.mu.Unlock()
	return nil, nil
}

// parseSpeed returns the speed that a payload asks for, nil if it is to stay as it is.
func parseSpeed(what, payload string) (*float64, error) {
	if what == onOff {
		if payload != "ON" && payload != "OFF" {
			return nil, fmt.Errorf("%q is neither ON nor OFF", shorten(payload))
		}
		return nil, nil
	}
	percent, err := strconv.ParseUint(strings.TrimSpace(payload), 10, 8)
	if err != nil || percent > 100 {
		return nil, fmt.Errorf("speed %q is not a whole number from 0 to 100", shorten(payload))
	}
	speed := float64(percent) / 100
	return &speed, nil
}

// admit returns why no motor may be started now, else notes that one is started.
func (b *Bridge) admit() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.offline {
		return errors.New("home assistant is offline, so nobody could stop what is started")
	}
	if now := time.Now(); now.Sub(b.second) >= time.Second {
		b.second, b.commands = now, 0
	}
	if b.commands++; b.commands > maxCommands {
		return fmt.Errorf("more than %d commands in a second", maxCommands)
	}
	b.started = true
	return nil
}

// keepalive renews the lease of what Home Assistant started, if it runs.
func (b *Bridge) keepalive() {
	holds := func(m wire.MotorState) bool { return m.Holder == Operator }
	if !slices.ContainsFunc(b.opts.Motors(), holds) {
		return
	}
	b.mu.Lock()
	started := b.started
	b.mu.Unlock()
	if started { // else it was lost, and the lease ends
		_ = b.opts.Command(wire.Command{Action: wire.Keepalive, Target: wire.All}) // it fails when all has just stopped
	}
}

// shorten shortens a received text for an error message.
func shorten(text string) string {
	const limit = 60
	if len(text) > limit {
		return text[:limit] + "…"
	}
	return text
}
