package serving

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"sensorgateway/gateway"
	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/limit"
	"sensorgateway/wire"
)

// clients are those clients of a server that have sent commands. The gateway carries the
// commands out, by its own rules.
type clients struct {
	s *served

	mu         sync.Mutex
	all        map[string]*commander // by the client
	unanswered int                   // commands that wait for the gateway's answer
}

// commander is one of them.
type commander struct {
	name    string
	started map[string]bool // the motors that it has started or set, with the gateway's name
	revoked bool            // its token was, so its connection has ended
	running bool            // if a motor runs, it may be this client's
	rate    limit.Rate
}

// nameOf is the name of a client of the server for the gateway.
func (c *clients) nameOf(client string) string {
	return fmt.Sprintf("%s.%d.%s", c.s.name, c.s.number, client)
}

// States returns the motors as the gateway has said.
func (c *clients) States() []wire.MotorState {
	if all := c.s.remote.Motors(); all != nil {
		return all
	}
	return []wire.MotorState{}
}

// Running returns whether a client may have a motor running.
func (c *clients) Running(client string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[client] != nil && c.all[client].running &&
		slices.ContainsFunc(c.s.remote.Motors(), func(m wire.MotorState) bool { return m.Running })
}

// Lost notifies the gateway that the connection of a client has ended. If that was because its
// token was revoked, its motors are stopped, also those which the gateway lets run on when their
// operator is lost: the gateway does not know the tokens of a hub.
func (c *clients) Lost(client, reason string) {
	c.mu.Lock()
	by := c.all[client]
	delete(c.all, client)
	var started []string
	if by != nil && reason == wire.ReasonRevoked {
		by.revoked, started = true, slices.Collect(maps.Keys(by.started))
	}
	c.mu.Unlock()
	c.s.remote.Lost(c.nameOf(client))
	for _, motor := range started {
		go c.stopRevoked(by.name, motor)
	}
}

// started notes that a client has had a motor driven, and stops that if it was revoked meanwhile.
// A name that is no motor's is not noted: a client can send any number of them.
func (c *clients) started(by *commander, motor string) {
	if !slices.ContainsFunc(c.targets(), func(m wire.MotorState) bool { return m.Target == motor }) {
		return
	}
	c.mu.Lock()
	by.started[motor] = true
	revoked := by.revoked
	c.mu.Unlock()
	if revoked {
		c.stopRevoked(by.name, motor)
	}
}

// stopRevoked stops a motor, unless it is known that somebody else has it running.
func (c *clients) stopRevoked(name, motor string) {
	for _, m := range c.targets() {
		if m.Target == motor && m.Running && m.By != fleet.Printable(name) {
			return
		}
	}
	if _, err := c.command(context.Background(), gateway.Client{Name: name + " (revoked)"}, wire.Command{Action: wire.Stop, Target: motor}); err != nil {
		c.s.g.o.Log.Error("a motor was not stopped when the token of its operator was revoked; fix: stop it", "motor", motor, "operator", name, "err", err)
	}
}

// handlers are those of all actions.
func (c *clients) handlers() map[string]gateway.Handler {
	all := map[string]gateway.Handler{}
	carryOut := c.s.g.o.Recorded(c.command, c.targets)
	handle := func(ctx context.Context, from gateway.Client, cmd wire.Command) (any, error) {
		return carryOut(ctx, from, c.qualified(cmd))
	}
	for _, action := range wire.Actions() {
		all[action] = handle
	}
	return all
}

// qualified puts the gateway's name before the motors', for the records of the hub.
func (c *clients) qualified(cmd wire.Command) wire.Command {
	if cmd.Target != "" {
		cmd.Target = c.s.name + "/" + cmd.Target
	}
	cmd.Targets = slices.Clone(cmd.Targets)
	for i, target := range cmd.Targets {
		cmd.Targets[i] = c.s.name + "/" + target
	}
	if cmd.Target == "" && cmd.Targets == nil {
		cmd.Target = c.s.name
	}
	return cmd
}

// targets returns the motors, with the gateway's name before theirs.
func (c *clients) targets() []wire.MotorState {
	all := c.States()
	for i := range all {
		all[i].Target = c.s.name + "/" + all[i].Target
	}
	return all
}

// own takes the gateway's name away again.
func (c *clients) own(target string) string {
	return strings.TrimPrefix(strings.TrimPrefix(target, c.s.name), "/")
}

// command has the gateway carry a command out.
func (c *clients) command(ctx context.Context, from gateway.Client, cmd wire.Command) (any, error) {
	if !cmd.Stops() {
		by, err := c.take(from, cmd.Action, time.Now())
		if err != nil {
			return nil, err
		}
		defer c.answered()
		if cmd.Action == wire.Start || cmd.Action == wire.Set { // also one whose answer does not come
			defer c.started(by, cmd.Target)
		}
	}
	answer, err := c.s.remote.Command(ctx, from.Name, c.nameOf(from.ID), wire.JSON(c.envelope(cmd)))
	if err != nil {
		return nil, err
	}
	reply, err := wire.ParseRequest(answer)
	if err != nil {
		return nil, wire.Errorf(http.StatusBadGateway, "%s has sent an answer that cannot be read: %v", c.s.name, err)
	}
	switch reply.Type {
	case wire.TypeAck:
		var ack wire.Ack
		if err := json.Unmarshal(reply.Payload, &ack); err != nil {
			return nil, wire.Errorf(http.StatusBadGateway, "%s has sent an answer that cannot be read: %v", c.s.name, err)
		}
		ack.Warning = strings.Join(slices.DeleteFunc([]string{cmd.Warning, ack.Warning}, func(s string) bool { return s == "" }), "; ")
		return ack, nil
	case wire.TypeError:
		refused := &wire.Error{}
		if err := json.Unmarshal(reply.Payload, refused); err != nil || refused.Code == 0 {
			return nil, wire.Errorf(http.StatusBadGateway, "%s has refused it without a reason", c.s.name)
		}
		return nil, refused
	}
	return nil, wire.Errorf(http.StatusBadGateway, "%s has answered with %q", c.s.name, reply.Type)
}

// take notes that a client commands something that is no stop, or returns why it may not
// now: what is too much for the gateway is refused here, where it is known at once.
func (c *clients) take(from gateway.Client, action string, now time.Time) (*commander, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unanswered >= fleet.MaxUnanswered {
		return nil, wire.Errorf(http.StatusTooManyRequests, "%d commands wait for the answer of %s already; a stop does not wait", c.unanswered, c.s.name)
	}
	if c.all == nil {
		c.all = map[string]*commander{}
	}
	by := c.all[from.ID]
	if by == nil {
		by = &commander{name: from.Name, started: map[string]bool{}}
		c.all[from.ID] = by
	}
	if !by.rate.Take(now) {
		return nil, wire.Errorf(http.StatusTooManyRequests, "more than %d commands in a second", limit.PerSecond)
	}
	c.unanswered++
	by.running = by.running || action == wire.Start || action == wire.Set || action == wire.Keepalive
	return by, nil
}

// answered notes that a command that was taken was answered, or will not be.
func (c *clients) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unanswered--
}

// envelope returns a command as it is sent.
func (c *clients) envelope(cmd wire.Command) wire.Envelope {
	payload := map[string]any{"action": cmd.Action}
	switch target := c.own(cmd.Target); {
	case cmd.Targets != nil:
		names := []string{}
		for _, name := range cmd.Targets {
			names = append(names, c.own(name))
		}
		payload["target"] = names
	case target != "":
		payload["target"] = target
	}
	if cmd.Direction != "" {
		payload["direction"] = cmd.Direction
	}
	maps.Copy(payload, given("speed", cmd.Speed))
	maps.Copy(payload, given("run_ms", cmd.RunMS))
	maps.Copy(payload, given("lease_ms", cmd.LeaseMS))
	maps.Copy(payload, given("expires", cmd.Expires))
	maps.Copy(payload, given("timeout_ms", cmd.TimeoutMS))
	maps.Copy(payload, given("allow_takeover", cmd.AllowTakeover))
	e := wire.Envelope{Type: wire.TypeCommand, Payload: payload}
	if cmd.Control() {
		e.Type = wire.TypeControl
	}
	if json.Valid([]byte(cmd.ID)) {
		e.ID = json.RawMessage(cmd.ID)
	}
	return e
}

// given returns a parameter, if it was given.
func given[T any](name string, value *T) map[string]any {
	if value == nil {
		return nil
	}
	return map[string]any{name: *value}
}
