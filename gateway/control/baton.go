// Package control decides who has control of a motor: a client requests it, the client
// that has it grants or denies the request, and one that nobody answers ends by itself.
// A [Baton] is the control of one motor.
//
// It refuses to know what control is good for, motors, leases and sockets. Its callers
// say who holds the motor without control, which client's connection has ended and what
// the time is; it has no lock and no goroutine.
package control

import (
	"slices"
	"time"

	"sensorgateway/wire"
)

// DefaultTimeout is how long a request waits for its answer if it does not say how long.
const DefaultTimeout = 10 * time.Second

// Client is the sender of a message.
type Client struct {
	ID    string // of the connection; unique
	Token string // the ID of its token; "" if it has none, and is known by its connection only
	Name  string // for people
}

// None returns whether the client is nobody.
func (c Client) None() bool { return c == Client{} }

// Same returns whether two clients are the same person or program: connections with the
// same token are.
func (c Client) Same(d Client) bool {
	return !c.None() && (c.ID == d.ID || c.Token != "" && c.Token == d.Token)
}

// Baton is the control of one motor. All connections with the same token share control,
// but it ends with the connection that requested it. While nobody has control, a request
// is for the client that holds the motor by a lease.
//
// Its methods return the event of what they changed, nil if it does not concern others.
type Baton struct {
	Motor string

	has   Client // who has control
	since time.Time
	allow bool // its choice: a request that it does not answer is granted

	asks      Client // who has requested control and waits
	asksAllow bool   // its value of allow once it has control
	ends      time.Time
}

// Act carries out a control message. holder is the client that holds the motor by a lease.
func (b *Baton) Act(cmd wire.Command, cl, holder Client, now time.Time) (*wire.Event, error) {
	owner := b.asked(holder)
	switch cmd.Action {
	case wire.RequestControl:
		return b.request(cmd, cl, owner, now)
	case wire.ReleaseControl:
		return b.release(cl, owner, now)
	}
	switch {
	case b.asks.None():
		return nil, wire.Errorf(409, "nobody requests control of %s", b.Motor)
	case !owner.Same(cl):
		return nil, wire.Errorf(409, "%s requests control of %s from %s, and not from you", b.asks.Name, b.Motor, owner.Name)
	case cmd.Action == wire.GrantControl:
		return b.pass(b.asks, b.asksAllow, owner, owner.Name, wire.ReasonCommand, now), nil
	}
	return b.withdraw(wire.DenyControl, owner, owner.Name, wire.ReasonCommand, now), nil
}

// Repeats returns whether the client already has what it requests, or waits for it.
func (b *Baton) Repeats(cmd wire.Command, cl Client) bool {
	return cmd.Action == wire.RequestControl && (b.asks.Same(cl) || b.has == cl && b.allow == allows(cmd))
}

func allows(cmd wire.Command) bool { return cmd.AllowTakeover != nil && *cmd.AllowTakeover }

// asked returns the client that has to answer a request.
func (b *Baton) asked(holder Client) Client {
	if b.has.None() {
		return holder
	}
	return b.has
}

func (b *Baton) request(cmd wire.Command, cl, owner Client, now time.Time) (*wire.Event, error) {
	allow := allows(cmd)
	switch {
	case b.Repeats(cmd, cl):
		return nil, nil
	case b.has == cl:
		b.allow = allow
		return nil, nil
	case owner.None(), owner.Same(cl):
		return b.pass(cl, allow, b.has, cl.Name, wire.ReasonCommand, now), nil
	case !b.asks.None():
		return nil, wire.Errorf(409, "%s requests control of %s already: try again in %v", b.asks.Name, b.Motor, b.left(now).Round(time.Millisecond))
	}
	timeout := DefaultTimeout
	if cmd.TimeoutMS != nil {
		timeout = time.Duration(*cmd.TimeoutMS) * time.Millisecond
	}
	b.asks, b.asksAllow, b.ends = cl, allow, now.Add(timeout)
	e := b.event(wire.RequestControl, owner, now)
	e.By, e.TimeoutMS = cl.Name, timeout.Milliseconds()
	return e, nil
}

// release gives control back, or withdraws the request for it.
func (b *Baton) release(cl, owner Client, now time.Time) (*wire.Event, error) {
	switch {
	case b.asks.Same(cl):
		return b.withdraw(wire.ReleaseControl, owner, cl.Name, wire.ReasonCommand, now), nil
	case b.has.Same(cl):
		return b.leave(wire.ReasonCommand, now), nil
	case b.has.None():
		return nil, wire.Errorf(409, "nobody has control of %s", b.Motor)
	}
	return nil, wire.Errorf(409, "%s has control of %s, and not you", b.has.Name, b.Motor)
}

// leave ends control, or passes it to the client that waits for it.
func (b *Baton) leave(reason string, now time.Time) *wire.Event {
	was := b.has
	if !b.asks.None() {
		return b.pass(b.asks, b.asksAllow, was, was.Name, reason, now)
	}
	b.has, b.allow, b.since = Client{}, false, time.Time{}
	e := b.event(wire.ReleaseControl, Client{}, now, was)
	e.By, e.From, e.Reason = was.Name, was.Name, reason
	return e
}

// pass gives control to a client, and ends its request if it had one.
func (b *Baton) pass(to Client, allow bool, from Client, by, reason string, now time.Time) *wire.Event {
	if !b.has.Same(to) {
		b.since = now
	}
	b.has, b.allow = to, allow
	if b.asks.Same(to) {
		b.asks, b.asksAllow, b.ends = Client{}, false, time.Time{}
	}
	e := b.event(wire.GrantControl, to, now, from)
	e.By, e.From, e.To, e.Reason = by, from.Name, to.Name, reason
	return e
}

// withdraw ends the request without granting it.
func (b *Baton) withdraw(action string, owner Client, by, reason string, now time.Time) *wire.Event {
	asked := b.asks
	b.asks, b.asksAllow, b.ends = Client{}, false, time.Time{}
	e := b.event(action, owner, now, asked)
	e.By, e.Reason = by, reason
	if action == wire.DenyControl {
		e.To = asked.Name
	}
	return e
}

// Lost ends the control or the request of a client whose connection has ended.
func (b *Baton) Lost(id string, holder Client, reason string, now time.Time) *wire.Event {
	switch id {
	case b.asks.ID:
		return b.withdraw(wire.ReleaseControl, b.asked(holder), b.asks.Name, reason, now)
	case b.has.ID:
		return b.leave(reason, now)
	}
	return nil
}

// Due does what is due by now, and returns when something will be; zero is never. A
// request is granted when nobody holds the motor any more. When its time is up, it is
// granted if the client with control allowed that, else denied.
func (b *Baton) Due(holder Client, now time.Time) (e *wire.Event, next time.Time) {
	owner := b.asked(holder)
	switch {
	case b.asks.None():
		return nil, time.Time{}
	case owner.None():
		return b.pass(b.asks, b.asksAllow, Client{}, "", wire.ReasonFree, now), time.Time{}
	case now.Before(b.ends):
		return nil, b.ends
	case b.has.None() || !b.allow:
		return b.withdraw(wire.DenyControl, owner, "", wire.ReasonTimeout, now), time.Time{}
	}
	return b.pass(b.asks, b.asksAllow, owner, "", wire.ReasonTimeout, now), time.Time{}
}

// left returns how long the request still waits.
func (b *Baton) left(now time.Time) time.Duration { return max(b.ends.Sub(now), 0) }

// event returns an event for all; the clients that it concerns get it without subscribing.
func (b *Baton) event(action string, owner Client, now time.Time, others ...Client) *wire.Event {
	e := &wire.Event{Kind: wire.EventControl, Action: action, Target: b.Motor, Holder: owner.Name, TS: wire.Seconds(now.UnixMilli())}
	for _, c := range append(others, owner, b.asks) {
		if !c.None() && !slices.Contains(e.Clients, c.ID) {
			e.Clients = append(e.Clients, c.ID)
		}
	}
	return e
}

// Has returns whether the client, or another connection with its token, has control.
func (b *Baton) Has(cl Client) bool { return b.has.Same(cl) }

// Refusal returns why the client may not move the motor: another has control.
func (b *Baton) Refusal(cl Client) error {
	if b.has.None() || b.Has(cl) {
		return nil
	}
	return wire.Errorf(409, "%s is under the control of %s: ask for it with a control message, action %q", b.Motor, b.has.Name, wire.RequestControl)
}

// Waits returns whether the client's request waits for its answer.
func (b *Baton) Waits(cl Client) bool { return b.asks.Same(cl) }

// Asked returns the ID of the client that has control while another waits for it, else "":
// a lost connection of that client has to be noticed soon.
func (b *Baton) Asked() string {
	if b.asks.None() {
		return ""
	}
	return b.has.ID
}

// Show adds to a state who has control and who requests it.
func (b *Baton) Show(s *wire.MotorState) {
	if !b.has.None() {
		s.Control = &wire.Control{By: b.has.Name, Since: wire.Seconds(b.since.UnixMilli()), AllowTakeover: b.allow}
	}
	if !b.asks.None() {
		s.ControlRequest = &wire.ControlRequest{By: b.asks.Name, Until: wire.Seconds(b.ends.UnixMilli())}
	}
}
