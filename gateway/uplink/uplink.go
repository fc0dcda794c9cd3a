// Package uplink connects the gateway with the hubs of its fleet, through an MQTT broker:
// the log of readings goes up, news of what has changed and, while a hub watches, the
// records of each tick; orders that a hub has signed come down.
//
// It knows the fleet's contract and MQTT. It refuses to know how commands are carried out,
// where certificates and keys lie, and which part of the log goes up next.
package uplink

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/query"
	"sensorgateway/gateway/mqtt"
	"sensorgateway/gateway/uplink/ship"
	"sensorgateway/wire"
)

// How often it is checked whether the state of the uplink has changed, and whether hello
// or the audit log has.
const (
	noticeTime = time.Second
	checkTime  = 10 * time.Second
)

// Identity is who the gateway is in its fleet, and how it gets there.
type Identity struct {
	Gateway  fleet.Gateway
	Brokers  []*url.URL  // to be tried in turn; at least one
	TLS      *tls.Config // for mqtts
	User     string      // "": the certificate alone says who it is
	Password []byte
	Keys     func() []ed25519.PublicKey // with which hubs sign orders
}

// Operator is a client of a hub who commands.
type Operator struct {
	ID   string // no other operator has it
	Name string // for people
	Hub  string // by which the commands come
}

// Feed is the log of readings, for what hubs ask for.
type Feed interface {
	Blocks(name string, wants func(epoch string, first, last uint32) bool) (next func() (query.Block, error))
}

// Options are what an [Uplink] is made of.
type Options struct {
	Identity func() (*Identity, error) // as it is now, for each connection
	Sensors  int                       // how many
	Hello    func() wire.Hello         // You and Uplink are not used
	Motors   func() []wire.MotorState
	Alarms   func() (all, recent []wire.Alarm)      // as in [fleet.Hello]
	Audit    func() (head fleet.AuditHead, ok bool) // of the audit log; nil: there is none
	Machine  func() any                             // the numbers of the machine, to be JSON
	Clock    func() (now time.Time, synced bool)

	Command func(Operator, wire.Command) (any, error)
	Lost    func(operator string) // stops what an operator has started
	Refused func(hub, why string) // an order; hub is "" if none has signed it
	Event   func(wire.Event)      // the uplink was lost, and is back; hubs' keys have changed
	// ChangeKeys carries out a change of the list of hubs' keys, signed with the key that has
	// the fingerprint signer, and makes it durable. Before that it calls begin with the key to
	// be added or removed.
	ChangeKeys func(signer string, c fleet.KeyChange, begin func(key fleet.HubKey)) (changed bool, err error)
	// KeysChange is called before hubs' keys change, with the event that follows afterwards:
	// not even a crash between the two leaves a change that nobody knows of.
	KeysChange func(wire.Event)
	Guard      func(func(context.Context) error) func(context.Context) error // of goroutines; nil: none

	Feed    Feed
	Shipper *ship.Shipper
	Log     *slog.Logger
}

// Uplink is the way to the hubs. It listens to what happens in the gateway; a nil Uplink
// does nothing.
type Uplink struct {
	o         Options
	nonce     string
	begin     time.Time
	news      *news
	live      *live
	operators *operators
	verifier  atomic.Pointer[fleet.Verifier]
	orders    bucket

	bytes     atomic.Int64 // on the wire, since the start
	messages  atomic.Int64 // published, since the start
	takeovers atomic.Int64
	rival     mqtt.Rival  // used only by the goroutine that connects, like broker
	broker    string      // HOST:PORT of the newest connection
	spent     atomic.Bool // the budget is used, but for what askedReserve keeps
	state     atomic.Pointer[wire.Uplink]

	mu      sync.Mutex
	link    linkState
	trouble string // the kind of the event that reported it last; "": all is well
}

// New returns an uplink. [Uplink.Run] connects it.
func New(o Options) *Uplink {
	if o.Guard == nil {
		o.Guard = func(run func(context.Context) error) func(context.Context) error { return run }
	}
	now := time.Now()
	u := &Uplink{
		o: o, nonce: hex.EncodeToString(random(16)), begin: now, news: newNews(), live: newLive(o.Sensors),
		operators: newOperators(o.Lost), link: linkState{since: now},
	}
	u.state.Store(&wire.Uplink{State: "not connected yet"})
	return u
}

func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32()) // ChaCha8, seeded by the system
	}
	return b
}

// Run keeps the connection up until ctx ends. When it returns, whatever hubs' clients have
// started has stopped.
func (u *Uplink) Run(ctx context.Context) error {
	if u == nil {
		<-ctx.Done()
		return nil
	}
	var parts sync.WaitGroup
	defer parts.Wait()
	maintained, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end() // Maintain writes the file a last time, after the last answer
	parts.Go(func() { _ = u.o.Guard(u.o.Shipper.Maintain)(maintained) })
	parts.Go(func() { _ = u.o.Guard(u.check)(ctx) })
	parts.Go(func() { _ = u.o.Guard(u.operators.run)(ctx) })
	mqtt.Keep(ctx, u.connection, func(err error) {
		u.o.Log.Warn("the uplink has no connection; it is tried again", "err", err)
	})
	return nil
}

// Tick passes the records of a tick on to hubs that watch.
func (u *Uplink) Tick(records []wire.Record, _ int64) {
	if u != nil {
		u.live.tick(records)
	}
}

// Event sends an event to the hubs, as news.
func (u *Uplink) Event(e wire.Event) {
	if u != nil {
		u.news.add(wire.JSON(wire.Envelope{Type: wire.TypeEvent, Payload: e}))
	}
}

// MotorChanged sends a state as news while connected; else the next connection's hello has it.
func (u *Uplink) MotorChanged(m wire.MotorState) {
	if u == nil {
		return
	}
	u.mu.Lock()
	connected := u.link.connected
	u.mu.Unlock()
	if connected {
		u.news.add(wire.JSON(wire.Envelope{Type: wire.TypeState, Payload: m}))
	}
}

// hello returns what hubs are told of the gateway, by the connection of that number.
func (u *Uplink) hello(connection uint64) fleet.Hello {
	h := u.o.Hello()
	h.You, h.Uplink = wire.You{}, u.lasting()
	alarms, recent := u.o.Alarms()
	return fleet.Hello{Hello: h, Nonce: u.nonce, Connection: connection, UptimeMS: time.Since(u.begin).Milliseconds(), Alarms: alarms, Recent: recent, HubKeys: u.hubKeys()}
}

// hubKeys returns the fingerprints of the hubs' keys, nil before the first connection.
func (u *Uplink) hubKeys() []string {
	v := u.verifier.Load()
	if v == nil {
		return nil
	}
	return fleet.Fingerprints(v.Keys())
}

// clock is the gateway's, for orders.
func (u *Uplink) clock() fleet.Clock {
	now, synced := u.o.Clock()
	return fleet.Clock{Unix: now.UnixMilli(), Synced: synced, Uptime: time.Since(u.begin).Milliseconds()}
}

// verifierOf returns the verifier of orders for a gateway. It stays the same as long as the
// gateway has that name, because it remembers which orders it has seen.
func (u *Uplink) verifierOf(id *Identity) *fleet.Verifier {
	if v := u.verifier.Load(); v != nil && v.Gateway == id.Gateway {
		return v
	}
	v := &fleet.Verifier{Gateway: id.Gateway, Nonce: u.nonce, Clock: u.clock, Keys: id.Keys}
	u.verifier.Store(v)
	return v
}

// check notices changes that nobody reports, until ctx ends.
func (u *Uplink) check(ctx context.Context) error {
	tick := time.NewTicker(noticeTime)
	defer tick.Stop()
	var seen seen
	for n := 0; ; n++ {
		if n%int(checkTime/noticeTime) == 0 {
			u.renew(&seen)
		}
		u.notice()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// seen is what was found at the last check.
type seen struct {
	hello string
	keys  []string // nil: before the first connection, whose hello has them
	head  fleet.AuditHead
}

// renew sends news if hello or the audit log has changed. Motors and alarms have news of
// their own.
func (u *Uplink) renew(before *seen) {
	h := u.hello(0)
	if before.keys != nil && !slices.Equal(before.keys, h.HubKeys) {
		u.news.greet()
	}
	before.keys = h.HubKeys
	h.Uplink = nil // notice sends news of it; its numbers are no reason for any
	h.Time, h.UptimeMS, h.Motors, h.Alarms, h.Recent, h.HubKeys = 0, 0, nil, nil, nil, nil
	for i := range h.Sensors {
		h.Sensors[i].NextSeq = 0
	}
	if now := string(wire.JSON(h)); now != before.hello {
		before.hello = now
		u.news.greet()
	}
	if u.o.Audit == nil {
		return
	}
	if now, ok := u.o.Audit(); ok && now != before.head {
		before.head = now
		u.news.add(wire.JSON(wire.Envelope{Type: fleet.TypeAudit, Payload: now}))
	}
}
