// Package serving is the gateways of a fleet as the clients of its hub see them: each at
// /gateways/NAME/…, with all that it serves itself.
//
// While somebody looks at a gateway there is a server for it, made of its hello, its log
// here and what comes from it now. It refuses to know brokers, and how one looks at the
// fleet as a whole.
package serving

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"sensorgateway/gateway"
	"sensorgateway/gateway/access"
	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/conn"
	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/collect"
	"sensorgateway/gateway/hub"
	"sensorgateway/gateway/hub/demand"
	"sensorgateway/gateway/limit"
	"sensorgateway/wire"
)

const (
	// Path is where the gateways are; a name and a slash follow.
	Path = "/gateways/"

	// idle is how long a gateway is served after its last client has left: a client that
	// reconnects, or a page that is loaded again, finds it as it was.
	idle       = 2 * time.Minute
	checkEvery = 15 * time.Second
	// maxServed are served at a time: each takes some 50 kilobytes, and more while its log
	// is read. One that nobody uses makes room.
	maxServed = 500
	// farewell is how long clients have to leave when their server ends.
	farewell = 3 * time.Second
)

// Options are what [Gateways] are made of.
type Options struct {
	Hub     string // its name
	Gateway func(name string) (*hub.Remote, bool)
	Absent  func(name string) string // why there is no such gateway; nil: nothing has come from it
	Reader  func(gateway, epoch string, sensors []string) (*collect.Reader, error)
	// Want has a gateway asked for the readings of minutes that are only summarised here, see
	// [demand.Demand.Want]; nil: nobody does.
	Want    func(gateway string, minutes []hub.Gap, away string) demand.Answer
	Guard   *access.Guard
	Clients int          // most WebSocket clients of all gateways
	Page    http.Handler // the dashboard
	// Pages are answered whoever asks, by path below each gateway's.
	Pages map[string]http.Handler
	// Recorded carries commands out, and records them; nil: nobody does.
	Recorded func(gateway.Handler, func() []wire.MotorState) gateway.Handler
	// SessionEnded is called when an administrator has ended somebody's session.
	SessionEnded func(by tokens.Author, kind, id, name string)
	Metrics      Metrics
	Refused      func(reason, client, why string)
	Log          *slog.Logger
}

// Metrics write or return what is known here of a gateway with that many clients here, as
// far as id may see it: for Prometheus, and for clients of /metrics; nil: nothing.
type Metrics struct {
	Exposition func(w io.Writer, g *hub.Remote, clients int, id *access.Identity)
	Payload    func(g *hub.Remote, clients int, m Machine, id *access.Identity) any
}

// Gateways answers for all gateways.
type Gateways struct {
	o Options

	nowhere *gateway.Server // for clients of gateways that do not exist

	mu      sync.Mutex
	ended   bool
	served  map[string]*served
	number  int64 // of the server that was made last
	leaving sync.WaitGroup
}

// New returns the gateways. [Gateways.Run] ends the servers that nobody uses.
func New(o Options) *Gateways {
	if o.SessionEnded == nil {
		o.SessionEnded = func(tokens.Author, string, string, string) {}
	}
	if o.Absent == nil {
		o.Absent = func(name string) string { return "nothing has come from " + name }
	}
	if o.Recorded == nil {
		o.Recorded = func(h gateway.Handler, _ func() []wire.MotorState) gateway.Handler { return h }
	}
	if o.Want == nil {
		o.Want = func(string, []hub.Gap, string) demand.Answer { return demand.Answer{} }
	}
	return &Gateways{o: o, served: map[string]*served{}, nowhere: gateway.New(gateway.Options{
		ClockSynced: func() bool { return true }, Access: identified{}, Refused: o.Refused, Limits: limit.Default(), Log: o.Log, Page: http.NotFoundHandler(),
	})}
}

// ServeHTTP answers a request below [Path].
func (g *Gateways) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, _, below := strings.Cut(strings.TrimPrefix(r.URL.Path, Path), "/")
	if !below && conn.IsUpgrade(r) { // clients of WebSockets follow no redirection
		r = r.Clone(r.Context())
		r.URL.Path, r.URL.RawPath = r.URL.Path+"/", ""
	} else if !below {
		// It is relative: a proxy may have a prefix before this path, and no name leads to another host.
		to := url.URL{Path: name + "/", RawQuery: r.URL.RawQuery}
		w.Header().Set("Location", to.String())
		w.WriteHeader(http.StatusPermanentRedirect)
		return
	}
	http.StripPrefix(Path+name, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.answer(w, r, name) })).ServeHTTP(w, r)
}

// answer answers a request whose path is one of a gateway's own. Nothing is read or asked
// for on behalf of those who are not known.
func (g *Gateways) answer(w http.ResponseWriter, r *http.Request, name string) {
	if !conn.IsUpgrade(r) {
		switch page := g.o.Pages[r.URL.Path]; {
		case page != nil:
			page.ServeHTTP(w, r)
			return
		case r.URL.Path == "/healthz":
			g.health(w, name)
			return
		case access.MaySendToken(w, r):
			return
		}
	}
	id, refusal := g.o.Guard.Identify(r)
	if remote, known := g.o.Gateway(name); refusal == nil && known && !id.Reaches(remote.Overview().Site, name) {
		refusal = &access.Refusal{
			Status: http.StatusForbidden, Reason: access.ReasonScope, From: id.Label(), Err: fmt.Errorf("%s is not in the scope of %s", name, id.Label()),
		}
	}
	if refusal != nil {
		g.o.Refused(refusal.Reason, refusal.From, refusal.Err.Error())
		refusal.ServeHTTP(w, r)
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), identityKey{}, id))
	s, err := g.enter(name)
	if err == nil && conn.IsUpgrade(r) && g.Clients() >= g.o.Clients {
		g.leave(s)
		err = wire.Errorf(http.StatusServiceUnavailable, "too many clients in all")
	}
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	defer g.leave(s)
	if conn.IsUpgrade(r) && isStream(r.URL.Path) {
		g.watch(s)
	}
	s.server.Handler().ServeHTTP(w, r)
}

// isStream returns whether readings come to the clients of a path below a gateway's.
func isStream(path string) bool { return path == "/" || strings.HasPrefix(path, "/sensors/") }

// identityKey is that of who makes a request, in its context.
type identityKey struct{}

// identified is the access of servers whose clients are known already.
type identified struct{}

func (identified) Identify(r *http.Request) (*access.Identity, *access.Refusal) {
	id, _ := r.Context().Value(identityKey{}).(*access.Identity)
	return id, nil
}

// health answers whether a gateway is connected, whoever asks.
func (g *Gateways) health(w http.ResponseWriter, name string) {
	remote, known := g.o.Gateway(name)
	reason := g.o.Absent(name)
	if known {
		reason = awayOf(remote, name)
	}
	if reason != "" {
		access.WriteJSON(w, http.StatusServiceUnavailable, map[string]any{"ok": false, "reason": reason})
		return
	}
	access.WriteJSON(w, http.StatusOK, map[string]any{"ok": true, "reason": name + " is connected"})
}

// refuse says why a gateway is not served. A browser does not show why a handshake
// failed: its connection is closed with the reason.
func (g *Gateways) refuse(w http.ResponseWriter, r *http.Request, err *wire.Error) {
	if err.Code == http.StatusNotFound && conn.IsUpgrade(r) {
		r.URL.Path, r.URL.RawPath = "/nowhere", ""
		g.nowhere.Handler().ServeHTTP(w, r)
		return
	}
	if err.Code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	access.WriteError(w, err)
}

// enter returns the server of a gateway, which does not end before leave is called, unless the
// gateway changes.
func (g *Gateways) enter(name string) (*served, *wire.Error) {
	for {
		s, err := g.take(name)
		if err != nil {
			return nil, err
		}
		s.once.Do(s.begin) // nobody else waits while its log is read
		if g.serves(s) {
			return s, nil
		}
		g.leave(s) // the gateway has changed meanwhile
	}
}

func (g *Gateways) serves(s *served) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.served[s.name] == s
}

// take is enter for a server that may not have begun.
func (g *Gateways) take(name string) (*served, *wire.Error) {
	remote, known := g.o.Gateway(name)
	if !known {
		return nil, wire.Errorf(http.StatusNotFound, "there is no gateway %s here: %s", name, g.o.Absent(name))
	}
	hello, some := remote.Hello()
	if !some {
		return nil, wire.Errorf(http.StatusServiceUnavailable, "%s has not yet said which sensors it has", name)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.served[name]
	if s != nil && !s.is(hello) {
		g.end(s)
		s = nil
	}
	if g.ended {
		return nil, wire.Errorf(http.StatusServiceUnavailable, "restarting")
	}
	if s == nil && len(g.served) >= maxServed && !g.makeRoom() {
		return nil, wire.Errorf(http.StatusServiceUnavailable, "the hub serves %d gateways already, and no more at a time", maxServed)
	}
	if s == nil {
		g.number++
		s = &served{g: g, name: name, number: g.number, remote: remote, hello: hello, used: time.Now()}
		g.served[name] = s
	}
	s.uses++
	return s, nil
}

// watch has the gateway send live ticks, which costs bytes on its line. It is not called
// for those who ask for the past only.
func (g *Gateways) watch(s *served) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.unwatch == nil && g.served[s.name] == s { // it may have ended
		s.unwatch = s.remote.Listen(hub.Listener{Records: s.feed.live})
	}
}

// unwatch ends what watch began. g.mu is held.
func (g *Gateways) unwatch(s *served) {
	if s.unwatch != nil {
		s.unwatch()
		s.unwatch = nil
	}
}

// makeRoom ends the server that was unused for longest, and returns whether there was one.
// g.mu is held.
func (g *Gateways) makeRoom() bool {
	var oldest *served
	for _, s := range g.served {
		if s.uses == 0 && s.server.Clients() == 0 && (oldest == nil || s.used.Before(oldest.used)) {
			oldest = s
		}
	}
	if oldest != nil {
		g.end(oldest)
	}
	return oldest != nil
}

// Served is how many gateways somebody looks at, or did a moment ago.
func (g *Gateways) Served() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.served)
}

// Clients is how many WebSocket clients all gateways have.
func (g *Gateways) Clients() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.served {
		if s.server != nil {
			n += s.server.Clients()
		}
	}
	return n
}

func (g *Gateways) leave(s *served) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.uses--
	s.used = time.Now()
}

// end ends a server, and closes its clients with 1012. g.mu is held.
func (g *Gateways) end(s *served) {
	if g.served[s.name] != s {
		return
	}
	delete(g.served, s.name)
	g.unwatch(s)
	g.leaving.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), farewell)
		defer cancel()
		s.close(ctx)
	})
}

// changed ends a server whose gateway has said something else of itself.
func (g *Gateways) changed(s *served, hello fleet.Hello) {
	if s.is(hello) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.end(s)
}

// Run ends the servers that nobody uses, and all when ctx ends.
func (g *Gateways) Run(ctx context.Context) error {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			g.endUnused(now)
		case <-ctx.Done():
			g.mu.Lock()
			g.ended = true
			for _, s := range g.served {
				g.end(s)
			}
			g.mu.Unlock()
			g.leaving.Wait()
			farewell, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
			defer cancel()
			return g.nowhere.Shutdown(farewell)
		}
	}
}

func (g *Gateways) endUnused(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.served {
		if s.uses > 0 || s.server.Clients() > 0 {
			s.used = now
			continue
		}
		g.unwatch(s)
		if now.Sub(s.used) >= idle {
			g.end(s)
		}
	}
}
