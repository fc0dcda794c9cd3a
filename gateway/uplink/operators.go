package uplink

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// Limits of operators.
const (
	// maxPerHub is how many clients of one hub can command at the same time.
	maxPerHub = fleet.MaxClients
	lostCheck = time.Second
)

// operators are the clients of hubs who have commanded and are connected.
type operators struct {
	lost    func(id string)
	stopped atomic.Int64 // stops that came

	mu    sync.Mutex
	byHub map[string]map[string]*operator // by hub and client
}

// operator is one of them.
type operator struct {
	id       string
	until    time.Time // it is lost then, unless its hub names it or it commands before
	second   time.Time // the begin of the second in which commands are counted
	commands int
}

func newOperators(lost func(string)) *operators {
	return &operators{lost: lost, byHub: map[string]map[string]*operator{}}
}

// idOf returns the ID of a hub's client, which no client of another hub has.
func idOf(hub, client string) string { return hub + "/" + client }

// Stopped notes a stop that did not come from a hub. It overtakes the orders that wait, as hubs' stops do.
func (u *Uplink) Stopped() { u.operators.stopped.Add(1) }

// commands notes that a client commands, and returns why it may not now.
func (o *operators) commands(hub, client string, now time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.byHub[hub]
	if all == nil {
		all = map[string]*operator{}
		o.byHub[hub] = all
	}
	op := all[client]
	if op == nil {
		if len(all) == maxPerHub {
			return wire.Errorf(503, "%d clients of the hub %s command already", maxPerHub, hub)
		}
		op = &operator{id: idOf(hub, client)}
		all[client] = op
	}
	op.until = now.Add(fleet.ClientsTime)
	if now.Sub(op.second) >= time.Second {
		op.second, op.commands = now, 0
	}
	if op.commands++; op.commands > fleet.MaxCommands {
		return wire.Errorf(429, "more than %d commands in a second", fleet.MaxCommands)
	}
	return nil
}

// connected returns whether a client has commanded and was not lost since.
func (o *operators) connected(hub, client string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.byHub[hub][client] != nil
}

// named notes which clients of a hub are connected; the others are lost.
func (o *operators) named(hub string, clients []string, now time.Time) {
	named := map[string]bool{}
	for _, c := range clients {
		named[c] = true
	}
	o.end(func(h, client string, op *operator) bool {
		if h == hub && named[client] {
			op.until = now.Add(fleet.ClientsTime)
		}
		return h == hub && !named[client]
	})
}

// all ends all operators, because the connection is lost.
func (o *operators) all() { o.end(func(string, string, *operator) bool { return true }) }

// end ends the operators for which lost returns true.
func (o *operators) end(lost func(hub, client string, op *operator) bool) {
	var ended []string
	o.mu.Lock()
	for hub, all := range o.byHub {
		for client, op := range all {
			if lost(hub, client, op) {
				delete(all, client)
				ended = append(ended, op.id)
			}
		}
		if len(all) == 0 {
			delete(o.byHub, hub)
		}
	}
	o.mu.Unlock()
	for _, id := range ended { // without the lock: it stops motors
		o.lost(id)
	}
}

// run ends operators of which nothing was heard for too long, until ctx ends.
func (o *operators) run(ctx context.Context) error {
	tick := time.NewTicker(lostCheck)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			o.end(func(_, _ string, op *operator) bool { return now.After(op.until) })
		case <-ctx.Done():
			return nil
		}
	}
}

// bucket lets bucketSize through in a second, and as many at once.
type bucket struct {
	mu   sync.Mutex
	left float64
	at   time.Time
}

const bucketSize = 20

func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at.IsZero() {
		b.left = bucketSize
	} else {
		b.left = min(b.left+bucketSize*now.Sub(b.at).Seconds(), bucketSize)
	}
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
