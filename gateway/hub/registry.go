package hub

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/hub/count"
	"sensorgateway/gateway/hub/number"
)

// RegistryOptions are what a [Registry] is made of.
type RegistryOptions struct {
	Hub string             // its name
	Key ed25519.PrivateKey // signs its orders
	Dir string             // has a directory for each gateway, with the file of what is known of it
	// Check returns why messages of a gateway are refused, nil if it is one of the fleet.
	Check func(fleet.Gateway) error
	// Members are the gateways of the fleet, also those of which nothing has come.
	Members func() []fleet.Gateway
	// Revoked are those that were revoked lately, and when, in Unix ms; nil: there are none.
	Revoked func() map[fleet.Gateway]int64
	// Device tells apart the devices that have had a gateway's name; nil or "": it is not known which one has it.
	Device func(gateway string) string
	// Store returns when the blocks are durable. The error [codec.ErrBlock] says that they never
	// can be: they are refused. After any other, they come again.
	Store func(ctx context.Context, gateway string, blocks fleet.Blocks) error
	// Missing returns what is missing of a gateway between what is stored.
	Missing func(gateway string) ([]Gap, error)
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger
}

// Registry is what a hub knows of the gateways whose messages its intakes take.
type Registry struct {
	o       RegistryOptions
	started int64           // Unix µs; the first version, and the begin of clients' names
	numbers *number.Numbers // of orders
	changes atomic.Uint64   // the version: started, plus 1 for each change of any gateway
	counts  count.Counter

	wake       chan struct{}                 // size 1: somebody is to be attended to at once
	own        string                        // the fingerprint of its key
	keys       atomic.Pointer[fleet.HubKeys] // nil: they are not known yet
	unlikeWake chan struct{}                 // size 1: the keys of a gateway differ
	unsaved    bool                          // something could not be stored; of the goroutine that saves
	checks     chan *Remote                  // gateways to be checked for missing readings; one that finds no room is checked later

	mu       sync.Mutex // while it is held, a remote's may be taken
	remotes  map[string]*Remote
	unlike   map[*Remote]struct{} // whose keys differ from those of the fleet
	intakes  map[string]*Intake   // by site
	attended map[*Remote]struct{}
	expected map[uint64]*expected
}

// NewRegistry returns a registry of the gateways that were known when the hub was stopped.
func NewRegistry(o RegistryOptions) (*Registry, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Device == nil {
		o.Device = func(string) string { return "" }
	}
	if err := fleet.CheckName(o.Hub); err != nil {
		return nil, fmt.Errorf("the hub's name: %w", err)
	}
	if o.Check == nil || o.Members == nil || o.Store == nil || o.Missing == nil {
		return nil, errors.New("a registry needs to know who belongs to the fleet, how readings are stored, and what is missing of them")
	}
	if len(o.Key) != ed25519.PrivateKeySize {
		return nil, errors.New("the hub has no key to sign orders with")
	}
	g := &Registry{
		o: o, started: o.Now().UnixMicro(), wake: make(chan struct{}, 1), checks: make(chan *Remote, 256),
		remotes: map[string]*Remote{}, intakes: map[string]*Intake{}, attended: map[*Remote]struct{}{}, expected: map[uint64]*expected{},
		own: fleet.Fingerprint(o.Key.Public().(ed25519.PublicKey)), unlike: map[*Remote]struct{}{}, unlikeWake: make(chan struct{}, 1),
	}
	g.changes.Store(uint64(g.started))
	g.numbers = number.Open(filepath.Join(o.Dir, numbersFile), o.Now(), o.Log)
	g.saveChanged(context.Background(), false) // the numbers, before there are orders
	return g, g.restore()
}

// Run sends watches, lists of clients and keys, asks for missing readings, and stores what is
// known of the gateways, until ctx ends.
func (g *Registry) Run(ctx context.Context) error {
	var parts errgroup.Group
	parts.Go(func() error { return g.attendAll(ctx) })
	parts.Go(func() error { return g.sendKeys(ctx) })
	for range askers {
		parts.Go(func() error { g.askMissing(ctx); return nil })
	}
	parts.Go(func() error { g.save(ctx); return nil })
	return parts.Wait()
}

// Version grows with each change of any gateway.
func (g *Registry) Version() uint64 { return g.changes.Load() }

// All returns the overviews of the gateways of the fleet whose site is one of the hub's, by
// site and name.
func (g *Registry) All() []Overview {
	all, _ := g.Changed(0, func(fleet.Gateway) bool { return true })
	return all
}

// Changed returns, of the gateways for which is returns true, those that have changed after a
// version, and how many there are in all.
func (g *Registry) Changed(since uint64, is func(fleet.Gateway) bool) (all []Overview, total int) {
	for _, m := range g.o.Members() {
		if !is(m) {
			continue
		}
		g.mu.Lock()
		r, intake := g.remotes[m.Name], g.intakes[m.Site]
		g.mu.Unlock()
		if r == nil && intake == nil {
			continue
		}
		total++
		o := Overview{Name: m.Name, Presence: Presence{State: Never}, Changed: uint64(g.started)}
		if r != nil {
			if r.version() <= since {
				continue
			}
			o = r.Overview()
		}
		o.Site = m.Site
		if o.Changed > since {
			all = append(all, o)
		}
	}
	if g.o.Revoked != nil {
		for m, at := range g.o.Revoked() { // always: they are few
			g.mu.Lock()
			ours := g.intakes[m.Site] != nil
			g.mu.Unlock()
			if ours && is(m) {
				all = append(all, Overview{Site: m.Site, Name: m.Name, Presence: Presence{Revoked, at}, Changed: g.Version()})
				total++
			}
		}
	}
	slices.SortFunc(all, func(a, b Overview) int {
		return cmp.Or(strings.Compare(a.Site, b.Site), strings.Compare(a.Name, b.Name))
	})
	return all, total
}

// Get returns a gateway that belongs to the fleet and of which something has come.
func (g *Registry) Get(name string) (*Remote, bool) {
	g.mu.Lock()
	r := g.remotes[name]
	g.mu.Unlock()
	if r == nil || g.o.Check(r.gateway()) != nil {
		return nil, false
	}
	return r, true
}

// remote returns the gateway, which has sent something.
func (g *Registry) remote(at fleet.Gateway) *Remote {
	g.mu.Lock()
	r := g.remotes[at.Name]
	if r == nil {
		r = newRemote(g, at)
		g.remotes[at.Name] = r
	}
	g.mu.Unlock()
	r.mu.Lock()
	r.site = at.Site // it may have enrolled at another one
	r.mu.Unlock()
	return r
}
