package hub

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

const (
	attendEvery = 250 * time.Millisecond
	// attending is how many gateways orders are sent to at the same time, unasked.
	attending = 64
	// lingering is how long ticks are watched after the last one has ended to listen: a page
	// that is loaded again need not end what it begins anew.
	lingering  = 5 * time.Second
	retryAfter = 2 * time.Second // what the broker did not take
	// settling is how long after a command its client may have something that the gateway's
	// news do not show yet.
	settling = 10 * time.Second
)

// attendTo has the registry send what the gateway is to be sent unasked, soon.
func (g *Registry) attendTo(r *Remote) {
	g.mu.Lock()
	g.attended[r] = struct{}{}
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default: // it wakes already
	}
}

// attendAll sends to gateways what is due, until ctx ends.
func (g *Registry) attendAll(ctx context.Context) error {
	var senders errgroup.Group
	senders.SetLimit(attending)
	tick := time.NewTicker(attendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return senders.Wait()
		case <-tick.C:
		case <-g.wake:
		}
		now := g.o.Now()
		for _, r := range g.toAttend() {
			if due := r.due(now); len(due) > 0 {
				senders.Go(func() error { r.sendDue(ctx, due); return nil })
			}
		}
	}
}

// toAttend returns the gateways that are sent something unasked, and forgets the others.
func (g *Registry) toAttend() (all []*Remote) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for r := range g.attended {
		if r.wanted() {
			all = append(all, r)
		} else {
			delete(g.attended, r) // attendTo comes after what makes it wanted
		}
	}
	return all
}

// wanted returns whether somebody watches the gateway, or has commanded it.
func (r *Remote) wanted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.watchers() > 0 || r.watched || len(r.clients) > 0 || r.clientsNow
}

// due returns what is to be sent to the gateway now. It is being sent until sendDue ends.
// Before the hello of its newest connection nothing is: one that has just started refuses
// what was made for its start before.
func (r *Remote) due(now time.Time) (due []fleet.Order) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sending || r.presence.State != Here || r.hello == nil || r.hello.Connection != r.connection || now.Before(r.failed.Add(retryAfter)) {
		return nil
	}
	if r.clientsNow || len(r.clients) > 0 && !now.Before(r.clientsDue) && r.mayKeep(now) {
		r.clientsNow, r.clientsDue = false, now.Add(fleet.ClientsRepeat)
		due = append(due, fleet.Order{Kind: fleet.Cmd, Body: wire.JSON(wire.Envelope{Type: fleet.TypeClients, Payload: fleet.Connected{Clients: r.names()}})})
	}
	switch {
	case r.watchers() > 0:
		r.unwatched = time.Time{}
		if !now.Before(r.watchDue) {
			r.watchDue, r.watched = now.Add(fleet.WatchRepeat), true
			due = append(due, watch(fleet.RateOf(r.hello.Sensors)))
		}
	case r.watched && r.unwatched.IsZero():
		r.unwatched = now
	case r.watched && now.Sub(r.unwatched) >= lingering:
		r.watched, r.watchDue = false, time.Time{}
		due = append(due, watch(0))
	}
	r.sending = len(due) > 0
	return due
}

// mayKeep returns whether a client may keep something running, or have control. r.mu is held.
func (r *Remote) mayKeep(now time.Time) bool {
	if now.Sub(r.commanded) < settling {
		return true
	}
	for _, m := range r.motors {
		if m.Running || m.Control != nil || m.ControlRequest != nil {
			return true
		}
	}
	return false
}

// watchers returns how many listen to records. r.mu is held.
func (r *Remote) watchers() (n int) {
	for _, l := range r.listeners {
		if l.Records != nil {
			n++
		}
	}
	return n
}

func watch(hz float64) fleet.Order {
	return fleet.Order{Kind: fleet.Watch, Body: wire.JSON(fleet.View{Hz: hz})}
}

// sendDue sends what is due. If that fails, all is due again after a pause.
func (r *Remote) sendDue(ctx context.Context, due []fleet.Order) {
	var err error
	for _, o := range due {
		sending, cancel := context.WithTimeout(ctx, fleet.CmdExpiry)
		err = errors.Join(err, r.sendInTurn(sending, o, nil, nil))
		cancel()
	}
	r.mu.Lock()
	again := !r.failed.IsZero()
	r.sending, r.failed = false, time.Time{}
	if err != nil {
		r.failed = r.registry.o.Now()
		r.again()
	}
	r.mu.Unlock()
	if err != nil && !again && ctx.Err() == nil { // once: it is so for all while there is no broker
		r.registry.o.Log.Info("a gateway was not sent who watches and commands it; it is tried again", "gateway", r.name, "err", err)
	}
}

// again has all that a gateway forgets with its connection sent again. r.mu is held.
func (r *Remote) again() {
	r.watchDue = time.Time{}
	r.clientsNow = r.clientsNow || len(r.clients) > 0
}
