package hub

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

const (
	attendEvery = 250 * time.Millisecond
	// attending is to how many gateways watches and lists of clients are sent at the same time.
	attending = 64
	// lingering is how long the hub still watches after the last listener has gone: so a page
	// that is reloaded does not end the watch and begin another.
	lingering  = 5 * time.Second
	retryAfter = 2 * time.Second // until what the broker did not take is sent again
	// settling is how long after a command the gateway's news may not show yet that its client
	// keeps something running or has control.
	settling = 10 * time.Second
	// silence is after how long without a message a gateway that seems to be here is sent an order.
	// A gateway at work sends its readings each minute, so this costs its line nothing.
	silence = 15 * time.Minute
)

// attendTo makes the registry soon send the gateway the watches and lists of clients it needs.
func (g *Registry) attendTo(r *Remote) {
	g.mu.Lock()
	g.attended[r] = struct{}{}
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default: // it is woken already
	}
}

// attendAll sends to gateways what is due, until ctx ends.
func (g *Registry) attendAll(ctx context.Context) error {
	var senders errgroup.Group
	senders.SetLimit(attending)
	tick, silent := time.NewTicker(attendEvery), time.NewTicker(silence)
	defer tick.Stop()
	defer silent.Stop()
	for {
		select {
		case <-ctx.Done():
			return senders.Wait()
		case <-tick.C:
		case <-g.wake:
		case <-silent.C:
			g.attendSilent()
		}
		now := g.o.Now()
		for _, r := range g.toAttend() {
			if due := r.due(now); len(due) > 0 {
				senders.Go(func() error { r.sendDue(ctx, due); return nil })
			}
		}
	}
}

// attendSilent has the end of a watch, which has no effect, sent to each gateway that seems to be
// here and has sent nothing since the last call. If it is gone, the broker answers so. Otherwise
// nobody would find out if the broker had lost the will, as in a power cut of both.
func (g *Registry) attendSilent() {
	connected := map[string]bool{}
	for _, s := range g.Sites() {
		connected[s.Name] = s.Connected
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.remotes {
		r.mu.Lock()
		if !r.heard && r.presence.State == Here && connected[r.site] {
			r.watched = true
			g.attended[r] = struct{}{}
		}
		r.heard = false
		r.mu.Unlock()
	}
}

// toAttend returns the gateways that need watches or lists of clients, and forgets the others.
func (g *Registry) toAttend() (all []*Remote) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for r := range g.attended {
		if r.wanted() {
			all = append(all, r)
		} else {
			delete(g.attended, r) // whatever makes it wanted again calls attendTo afterwards
		}
	}
	return all
}

// wanted returns whether somebody watches the gateway, or has commanded it.
func (r *Remote) wanted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wantsRecords() || r.watched || len(r.clients) > 0 || r.clientsNow
}

// due returns the orders to send to the gateway now, which count as being sent until sendDue
// ends. There are none before the hello of the newest connection: a gateway that has just
// started refuses orders that were made for its previous start.
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
	case r.wantsRecords():
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

// wantsRecords returns whether a listener does. r.mu is held.
func (r *Remote) wantsRecords() bool {
	return slices.ContainsFunc(r.listeners, func(l *Listener) bool { return l.Records != nil })
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
	said := !r.failed.IsZero() || r.presence.State != Here // one that is away is sent it when it is back
	r.sending, r.failed = false, time.Time{}
	if err != nil {
		r.failed = r.registry.o.Now()
		r.again()
	}
	r.mu.Unlock()
	if err != nil && !said && ctx.Err() == nil { // once: without a broker it fails for all gateways, again and again
		r.registry.o.Log.Info("a watch or list of clients could not be sent to a gateway; it is tried again", "gateway", r.name, "err", err)
	}
}

// again makes everything due that a gateway forgets with its connection. r.mu is held.
func (r *Remote) again() {
	r.watchDue = time.Time{}
	r.clientsNow = r.clientsNow || len(r.clients) > 0
}
