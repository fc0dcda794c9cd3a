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
	keyRetry   = 10 * time.Second // until an unanswered change is sent again, while the gateway is here
)

// SetKeys makes these keys known to all gateways that know the key of this hub: to connected
// ones now, to the others when they connect.
func (g *Registry) SetKeys(k fleet.HubKeys) {
	g.keys.Store(&k)
	g.mu.Lock()
	all := slices.Collect(maps.Values(g.remotes))
	g.mu.Unlock()
	for _, r := range all {
		r.mu.Lock()
		clear(r.keysTried)
		r.mu.Unlock()
		g.compareKeys(r)
	}
}

// compareKeys has the gateway soon sent the changes that its keys need, if any.
func (g *Registry) compareKeys(r *Remote) {
	if len(r.keyChanges()) == 0 {
		return
	}
	g.mu.Lock()
	g.unlike[r] = struct{}{}
	g.mu.Unlock()
	select {
	case g.unlikeWake <- struct{}{}:
	default: // it is woken already
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

// knowsHub returns whether the gateway knows the key of this hub; also true if the gateway has
// not said which keys it knows. r.mu is held.
func (r *Remote) knowsHub() bool {
	return r.hello == nil || r.hello.HubKeys == nil || slices.Contains(r.hello.HubKeys, r.registry.own)
}

// keyChanges returns the changes that the gateway's keys need. Each is sent once for each
// connection: hubs that disagree must not add and remove a key for ever.
func (r *Remote) keyChanges() []fleet.KeyChange {
	keys := r.registry.keys.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	if keys == nil || r.hello == nil || r.hello.HubKeys == nil || !r.knowsHub() || r.presence.State != Here || r.hello.Connection != r.connection {
		return nil
	}
	if r.keysConnection != r.connection {
		r.keysConnection = r.connection
		clear(r.keysTried)
	}
	return slices.DeleteFunc(keys.Changes(r.hello.HubKeys, r.registry.own), func(c fleet.KeyChange) bool {
		_, tried := r.keysTried[c]
		return tried
	})
}

// takeKeys reserves the changing of the gateway's keys for the caller, until sendKeys ends. It
// returns false if another goroutine has it.
func (r *Remote) takeKeys() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.keysSending
	r.keysSending = true
	return !taken
}

// sendKeys sends the changes that the gateway's keys need. Unanswered ones are sent again.
func (r *Remote) sendKeys(ctx context.Context) {
	g := r.registry
	again := false
	defer func() {
		r.mu.Lock()
		r.keysSending = false
		r.mu.Unlock()
		if !again {
			g.compareKeys(r) // the keys may have changed meanwhile
		}
	}()
	if g.o.Check(r.gateway()) != nil {
		again = true // if it is admitted again, it connects again
		return
	}
	for _, c := range r.keyChanges() {
		log := g.o.Log.With("gateway", r.name, "add", c.Add, "remove", c.Remove)
		refused, err := r.changeKey(ctx, c)
		if code := wire.AsError(refused).Code; refused != nil && (code == 408 || code == 409) {
			err = refused // this hub's hello of it was old: a new one comes
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Info("a change of hubs' keys was not answered by a gateway; it is tried again", "err", err)
			g.mu.Lock()
			g.unlike[r] = struct{}{}
			g.mu.Unlock()
			again = true
			return
		case refused != nil:
			log.Warn("a gateway refuses a change of hubs' keys", "err", refused)
		default:
			log.Info("a gateway has changed a hub's key")
		}
		r.mu.Lock()
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
		return nil, r.unanswered()
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
		r.registry.o.Log.Warn("a gateway does not know this hub's key, and accepts no order from it; fix: make the key known by another hub, gateway hub key add there, or enroll the gateway again: gateway hub code --gateway NAME", "gateway", r.name, "key", r.registry.own)
	}
}

// HubKeysOf returns the fingerprints of the keys that a gateway has said it knows, from its
// file in dir; nil: it has not said.
func HubKeysOf(dir, gateway string) ([]string, error) {
	k, err := readKnown(filepath.Join(dir, gateway, file))
	if err != nil || k.Hello == nil {
		return nil, err
	}
	return k.Hello.HubKeys, nil
}
