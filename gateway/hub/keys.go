package hub

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

const (
	keySenders = 16               // gateways whose keys are changed at the same time
	keyRetry   = 10 * time.Second // what was not answered is sent again, while the gateway is here
)

// SetKeys has all gateways know these keys, as far as they know that of this hub: those
// that are connected now, and the others when they are.
func (g *Registry) SetKeys(k fleet.HubKeys) {
	g.keys.Store(&k)
	g.mu.Lock()
	all := slices.Collect(maps.Values(g.remotes))
	g.mu.Unlock()
	for _, r := range all {
		r.mu.Lock()
		r.keysTried = nil
		r.mu.Unlock()
		g.compareKeys(r)
	}
}

// compareKeys has the gateway sent what its keys differ by, soon.
func (g *Registry) compareKeys(r *Remote) {
	if len(r.keyChanges()) == 0 {
		return
	}
	g.mu.Lock()
	g.unlike[r] = struct{}{}
	g.mu.Unlock()
	select {
	case g.unlikeWake <- struct{}{}:
	default: // it wakes already
	}
}

// sendKeys changes the keys of gateways until ctx ends.
func (g *Registry) sendKeys(ctx context.Context) error {
	var senders errgroup.Group
	senders.SetLimit(keySenders)
	retry := time.NewTicker(keyRetry)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return senders.Wait()
		case <-retry.C:
		case <-g.unlikeWake:
		}
		g.mu.Lock()
		due := g.unlike
		g.unlike = map[*Remote]struct{}{}
		g.mu.Unlock()
		for r := range due {
			if r.takeKeys() {
				senders.Go(func() error { r.sendKeys(ctx); return nil })
			}
		}
	}
}

// knowsHub returns whether the gateway knows the key of this hub, as far as it says so.
// r.mu is held.
func (r *Remote) knowsHub() bool {
	return r.hello == nil || r.hello.HubKeys == nil || slices.Contains(r.hello.HubKeys, r.registry.own)
}

// keyChanges returns what the gateway's keys differ by. Each change is sent once for each
// of its connections: hubs that do not agree must not change it to and fro for ever.
func (r *Remote) keyChanges() []fleet.KeyChange {
	keys := r.registry.keys.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	if keys == nil || r.hello == nil || r.hello.HubKeys == nil || !r.knowsHub() || r.presence.State != Here || r.hello.Connection != r.connection {
		return nil
	}
	if r.keysConnection != r.connection {
		r.keysConnection, r.keysTried = r.connection, nil
	}
	return slices.DeleteFunc(keys.Changes(r.hello.HubKeys, r.registry.own), func(c fleet.KeyChange) bool {
		_, tried := r.keysTried[c]
		return tried
	})
}

// takeKeys returns whether nobody else changes the gateway's keys at this moment; then the
// caller does, until sendKeys ends.
func (r *Remote) takeKeys() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.keysSending
	r.keysSending = true
	return !taken
}

// sendKeys changes what the gateway's keys differ by. What was not answered is sent again.
func (r *Remote) sendKeys(ctx context.Context) {
	g := r.registry
	again := false
	defer func() {
		r.mu.Lock()
		r.keysSending = false
		r.mu.Unlock()
		if !again {
			g.compareKeys(r) // what has changed meanwhile
		}
	}()
	if g.o.Check(r.gateway()) != nil {
		again = true // if it is let in again, it connects anew
		return
	}
	for _, c := range r.keyChanges() {
		log := g.o.Log.With("gateway", r.name, "add", c.Add, "remove", c.Remove)
		refused, err := r.changeKey(ctx, c)
		if code := wire.AsError(refused).Code; refused != nil && (code == 408 || code == 409) {
			err = refused // hello was old: it comes again
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Info("a gateway was not told of a hub's key; it is tried again", "err", err)
			g.mu.Lock()
			g.unlike[r] = struct{}{}
			g.mu.Unlock()
			again = true
			return
		case refused != nil:
			log.Warn("a gateway does not change a hub's key", "err", refused)
		default:
			log.Info("a gateway has changed a hub's key")
		}
		r.mu.Lock()
		if r.keysTried == nil {
			r.keysTried = map[fleet.KeyChange]struct{}{}
		}
		r.keysTried[c] = struct{}{}
		r.mu.Unlock()
	}
}

// changeKey sends one change, and returns why the gateway refuses it. An error says that
// it has not answered.
func (r *Remote) changeKey(ctx context.Context, c fleet.KeyChange) (refused, err error) {
	ctx, cancel := context.WithTimeout(ctx, fleet.CmdExpiry)
	defer cancel()
	e := r.registry.expect(r.name, false)
	defer r.registry.forget(e)
	if err := r.sendInTurn(ctx, fleet.Order{Kind: fleet.Keys, Body: wire.JSON(c)}, e, nil); err != nil {
		return nil, err
	}
	select {
	case answer := <-e.answer:
		_, refused = fleet.ParseAnswer(answer, wire.TypeAck)
		return refused, nil
	case <-ctx.Done():
		return nil, r.unanswered(ctx)
	}
}

// checkHub warns once for each connection of a gateway that does not know this hub's key.
func (r *Remote) checkHub() {
	r.mu.Lock()
	warn := !r.knowsHub() && r.keysWarned != r.hello.Connection
	if warn {
		r.keysWarned = r.hello.Connection
	}
	r.mu.Unlock()
	if warn {
		r.registry.o.Log.Warn("a gateway does not know this hub's key, and takes no order of it; fix: make the key known by another hub, gateway hub key add there, or enroll the gateway again: gateway hub code --gateway NAME", "gateway", r.name, "key", r.registry.own)
	}
}

// HubKeysOf returns the fingerprints of the keys that a gateway has said to know, by its
// file in dir; nil: it has not.
func HubKeysOf(dir, gateway string) ([]string, error) {
	k, err := readKnown(filepath.Join(dir, gateway, file))
	if err != nil || k.Hello == nil {
		return nil, err
	}
	return k.Hello.HubKeys, nil
}
