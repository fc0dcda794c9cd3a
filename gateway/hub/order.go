package hub

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// Command has the gateway carry out an envelope of a client, as on the WebSocket, and
// returns its answer, an envelope of type ack or error. by says who commands, for people;
// client names a connection, and is not used again after [Remote.Lost]. An error is a
// [*wire.Error] of the hub itself: the gateway is away, or did not answer in time.
//
// A stop is sent even to a gateway that seems to be away, and does not wait its turn.
func (r *Remote) Command(ctx context.Context, by, client string, body []byte) (answer []byte, err error) {
	stop, stops := wire.ParseStop(body)
	if stops && !json.Valid(body) { // only JSON can be signed, and an odd message must not prevent a stop
		body = fleet.StopBody(stop)
	}
	if !stops {
		if err := r.reachable(); err != nil {
			return nil, err
		}
		if err := r.connect(client); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, fleet.CmdExpiry)
	defer cancel()
	o := fleet.Order{Kind: fleet.Cmd, By: fleet.Printable(by), Client: r.registry.clientName(client), Body: body}
	e := r.registry.expect(r.name, false)
	defer r.registry.forget(e)
	if stops {
		err = r.send(ctx, o, e.number)
	} else {
		err = r.sendInTurn(ctx, o, e, func() error { return r.stillConnected(ctx, client) })
	}
	if err != nil {
		return nil, err
	}
	r.registry.attendTo(r) // the gateway needs lists of clients from now on
	until, _ := ctx.Deadline()
	select {
	case answer = <-e.answer:
		r.registry.counts.Answer(answer)
		return answer, nil
	case <-time.After(time.Until(until)): // not when ctx is cancelled: the gateway has the order, and answers it
		r.registry.counts.Silent.Add(1)
		return nil, r.unanswered()
	}
}

// clientName returns the name of a client in orders, which no other ever has, also after a restart of the hub.
func (g *Registry) clientName(client string) string {
	if client == "" {
		return ""
	}
	return strconv.FormatInt(g.started, 36) + "-" + fleet.Printable(client)
}

// reachable returns why the gateway cannot be given orders, nil if it seems that it can.
func (r *Remote) reachable() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.hello == nil:
		return wire.Errorf(503, "nothing has come from %s yet; this hub asks it when it connects", r.name)
	case r.presence.State != Here:
		return wire.Errorf(503, "%s cannot be reached: it is away since %s: it has no connection to the broker", r.name, time.UnixMilli(r.presence.Since).UTC().Format(time.RFC3339))
	case !r.knowsHub():
		return wire.Errorf(503, "%s does not know the key of this hub, and accepts no order from it; fix: make the key %s known by another hub: gateway hub key add", r.name, r.registry.own)
	}
	return nil
}

// unanswered returns the error of an order that was sent, and not answered in time.
func (r *Remote) unanswered() error {
	if err := r.reachable(); err != nil {
		return err
	}
	return wire.Errorf(408, "%s did not answer within %v: whether it has done this is not known; its state says so, or repeat it", r.name, fleet.CmdExpiry)
}

// sendInTurn sends an order after those that are being sent: a gateway refuses one whose number is not larger than
// the one before. ready, if not nil, may refuse it when its turn has come; e, if not nil, expects the answer.
func (r *Remote) sendInTurn(ctx context.Context, o fleet.Order, e *expected, ready func() error) error {
	select {
	case r.ordering <- struct{}{}:
		defer func() { <-r.ordering }()
	case <-ctx.Done():
		return r.unsent(ctx, "other orders wait for the broker")
	}
	if err := r.greeted(ctx); err != nil {
		return err
	}
	n := r.registry.renumber(e) // so a stop of which ready does not know has a larger number, and the gateway refuses this order after it
	if ready != nil {
		if err := ready(); err != nil {
			return err
		}
	}
	until, _ := ctx.Deadline() // each has one; a stop no longer ends it, because it would not be known whether it was sent
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), until)
	defer cancel()
	return r.send(ctx, o, n)
}

// unsent returns the error of an order that was given up: by a stop, or because it has waited for too long.
func (r *Remote) unsent(ctx context.Context, why string) error {
	if stopped, is := errors.AsType[*wire.Error](context.Cause(ctx)); is {
		return stopped
	}
	return wire.Errorf(408, "the order could not be sent to %s in time: %s", r.name, why)
}

// greeted waits for the hello of the newest connection: a gateway that has restarted refuses orders for its previous start.
func (r *Remote) greeted(ctx context.Context) error {
	heard := make(chan struct{}, 1)
	defer r.Listen(Listener{Hello: func(fleet.Hello) {
		select {
		case heard <- struct{}{}:
		default: // the last one was not looked at yet
		}
	}})()
	for !r.greets() {
		select {
		case <-heard:
		case <-ctx.Done():
			return r.unsent(ctx, "it has connected, and its hello has not come yet")
		}
	}
	return nil
}

// greets returns whether the newest hello is that of the newest connection.
func (r *Remote) greets() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hello != nil && r.hello.Connection == r.connection
}

// validOf returns how long an order is valid: a watch, which is repeated, for less than is accepted, because clocks may be behind.
func validOf(k fleet.Kind) time.Duration {
	if k == fleet.Watch {
		return fleet.WatchRepeat
	}
	return k.Expiry()
}

// send signs an order, sends it to the broker and returns when the broker has it.
func (r *Remote) send(ctx context.Context, o fleet.Order, number uint64) (err error) {
	g := r.registry
	defer func() { g.counts.Order(o.Kind, err) }()
	r.mu.Lock()
	at, hello, received, connection, heard := fleet.Gateway{Site: r.site, Name: r.name}, r.hello, r.received, r.connection, r.heard
	r.mu.Unlock()
	o.Site, o.Gateway, o.Hub, o.Counter = at.Site, at.Name, g.o.Hub, number
	if hello != nil {
		o.Nonce = hello.Nonce
	}
	o.Until(hello, received, g.o.Now(), validOf(o.Kind))
	payload, err := fleet.Sign(g.o.Key, o)
	if err != nil {
		return wire.Errorf(422, "%v", err)
	}
	reason, err := g.publish(ctx, at, o.Kind, payload, number)
	switch {
	case err != nil:
		return wire.Errorf(503, "the order could not be sent to %s: %v", r.name, err)
	case reason == noSubscribers:
		if !heard { // a gateway that is here has subscribed, but a node of a cluster may not know of that yet
			r.here(fleet.Presence{Connection: connection})
		}
		return wire.Errorf(503, "the order could not be sent to %s: it has no connection to the broker", r.name)
	}
	return nil
}

// expected is an order whose answer is expected.
type expected struct {
	gateway  string
	number   uint64 // of the order, which is the correlation data of its answer
	readings bool
	answer   chan []byte   // size 1: one envelope
	stored   chan struct{} // size 1: readings have come and are stored, the answer not yet
}

// expect returns an expectation, to which an answer of the gateway is passed until forget.
func (g *Registry) expect(gateway string, readings bool) *expected {
	e := &expected{gateway: gateway, readings: readings, answer: make(chan []byte, 1), stored: make(chan struct{}, 1)}
	g.mu.Lock()
	defer g.mu.Unlock()
	e.number = g.numbers.Next()
	g.expected[e.number] = e
	return e
}

// renumber returns the number of the next order and, if e is not nil, gives it to e.
func (g *Registry) renumber(e *expected) uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.numbers.Next()
	if e != nil {
		delete(g.expected, e.number)
		e.number = n
		g.expected[n] = e
	}
	return n
}

func (g *Registry) forget(e *expected) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.expected, e.number)
}

// correlation returns the correlation data of an order's answer.
func correlation(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }

// expecting returns who expects an answer of the gateway with such correlation data, nil if
// nobody does (any more).
func (g *Registry) expecting(gateway string, correlation []byte) *expected {
	if len(correlation) != 8 {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.expected[binary.BigEndian.Uint64(correlation)]
	if e == nil || e.gateway != gateway {
		return nil
	}
	return e
}

// Lost says that a client's connection has ended: what it keeps running on the gateway stops,
// as if it had been connected there.
func (r *Remote) Lost(client string) {
	r.mu.Lock()
	_, was := r.clients[client]
	delete(r.clients, client)
	r.clientsNow = r.clientsNow || was
	r.mu.Unlock()
	if was {
		r.registry.attendTo(r)
	}
}

// connect notes that a client commands the gateway.
func (r *Remote) connect(client string) error {
	if client == "" {
		return nil
	}
	now := r.registry.o.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, is := r.clients[client]; !is && len(r.clients) >= fleet.MaxClients {
		return wire.Errorf(503, "%d clients command %s at the same time: there is no room for another", len(r.clients), r.name)
	}
	if len(r.clients) == 0 {
		r.clientsDue = now.Add(fleet.ClientsRepeat)
	}
	r.clients[client] = struct{}{}
	r.commanded = now
	return nil
}

// stillConnected returns an error if the client was lost meanwhile, or its command given up.
func (r *Remote) stillConnected(ctx context.Context, client string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		return r.unsent(ctx, "its turn came too late")
	}
	if _, is := r.clients[client]; !is && client != "" {
		return wire.Errorf(409, "the client is connected no longer")
	}
	return nil
}

// AskReadings asks the gateway for the readings with the numbers after since up to until,
// and returns when those that it has are stored.
func (r *Remote) AskReadings(ctx context.Context, sensor, epoch string, since, until uint32) error {
	_, err := r.ask(ctx, fleet.Question{Ask: fleet.AskReadings, Sensor: sensor, Epoch: epoch, Since: since, Until: until}, fleet.TypeReadings)
	return err
}

// AskMachine asks the gateway for the numbers of its machine, which are JSON.
func (r *Remote) AskMachine(ctx context.Context) ([]byte, error) {
	return r.ask(ctx, fleet.Question{Ask: fleet.AskMachine}, fleet.TypeMachine)
}

// ask asks the gateway, and returns the payload of the answer that ends it, of the type last.
func (r *Remote) ask(ctx context.Context, q fleet.Question, last string) (payload []byte, err error) {
	if err := r.reachable(); err != nil {
		return nil, err
	}
	e := r.registry.expect(r.name, q.Ask == fleet.AskReadings)
	defer r.registry.forget(e)
	sending, cancel := context.WithTimeout(ctx, fleet.AskExpiry)
	err = r.sendInTurn(sending, fleet.Order{Kind: fleet.Ask, Body: wire.JSON(q)}, e, nil)
	cancel()
	if err != nil {
		return nil, err
	}
	for {
		select {
		case answer := <-e.answer:
			return fleet.ParseAnswer(answer, last)
		case <-e.stored: // more may follow, over a slow line
		case <-time.After(fleet.AskExpiry):
			return nil, wire.Errorf(408, "%s has not answered for %v", r.name, fleet.AskExpiry)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// names returns the clients as orders name them, sorted. r.mu is held.
func (r *Remote) names() []string {
	names := make([]string, 0, len(r.clients))
	for c := range r.clients {
		names = append(names, r.registry.clientName(c))
	}
	slices.Sort(names)
	return names
}
