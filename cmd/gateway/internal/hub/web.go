//go:build !nohub

package hub

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"sensorgateway/cmd/gateway/internal/admin"
	"sensorgateway/cmd/gateway/internal/auditor"
	"sensorgateway/cmd/gateway/internal/hub/serving"
	"sensorgateway/cmd/gateway/internal/metrics"
	"sensorgateway/gateway"
	"sensorgateway/gateway/access"
	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/api"
	"sensorgateway/gateway/audit"
	"sensorgateway/gateway/certificates"
	"sensorgateway/gateway/conn"
	"sensorgateway/gateway/dashboard"
	"sensorgateway/gateway/enroll"
	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/collect"
	"sensorgateway/gateway/hub"
	"sensorgateway/gateway/hub/demand"
	"sensorgateway/gateway/hub/overview"
	"sensorgateway/gateway/limit"
	"sensorgateway/gateway/statefile"
	"sensorgateway/wire"
)

// web is what the hub shows people and their programs.
type web struct {
	guard    *access.Guard
	auditor  *auditor.Auditor
	gateways *serving.Gateways
	wanted   *demand.Demand
	budget   *conn.Budget
	pages    map[string]http.Handler // whoever asks
	records  http.Handler            // of the audit log
	overview http.Handler            // of all gateways, as JSON
	metrics  *metrics.Hub
	sites    func() []hub.Site
	refusals *access.Refusals
	clients  int // most WebSocket clients of all gateways
}

// newWeb makes it from what the hub knows and stores of its gateways.
func (o *serveOptions) newWeb(registry *hub.Registry, members *enroll.Members, stored *collect.Collection, log *slog.Logger) *web {
	dir, key, anchor := auditor.Files(o.dir())
	w := &web{sites: registry.Sites, auditor: auditor.New(audit.New(audit.Options{Dir: dir, Key: key, Anchor: anchor, Log: log}), o.env.Version, "", nil)}
	w.refusals = access.NewRefusals(log, access.ReasonHost, access.ReasonOrigin, access.ReasonForm, access.ReasonScope, access.ReasonToken,
		"commands", "rate", "restarting", gateway.ReasonSlow, gateway.ReasonNoPong,
		gateway.ReasonLimit, gateway.ReasonHandshake, gateway.ReasonConnections, gateway.ReasonHost, gateway.ReasonDescriptors, gateway.ReasonQueues, gateway.ReasonQueries)
	store := tokens.Open(o.dir(), log)
	store.Changed, store.Watch = w.auditor.TokenChanged, statefile.Watch
	limits := limit.Default()
	w.clients = limits.Clients
	w.guard = access.NewGuard(access.Options{
		Policy: &access.Policy{Hosts: o.hosts}, Tokens: store, Exposed: true, Hub: true, Metrics: o.openMetrics,
		Refused: w.refused, Logged: w.auditor.Logged, Log: log, PerToken: limits.ClientsPerToken,
	})
	if err := w.guard.Closed(); err != nil {
		log.Warn(err.Error())
	}
	w.budget = conn.NewBudget(conn.Limits{Connections: limits.Connections, PerHost: limits.ConnectionsPerAddress, Queues: 4 * limits.Queues, Refused: w.refused})
	w.pages = w.guard.Pages()
	for path, file := range dashboard.Client() {
		w.pages[path] = w.guard.Ours(file)
	}
	w.records = w.guard.Administrators(ofAll(&auditor.Records{State: o.dir(), Log: log}))
	w.overview = overview.API(overview.Options{Registry: registry, Visible: visible, Limit: limitTo, You: func(r *http.Request) wire.You { return access.Of(r).You() }})
	w.wanted = demand.New(demand.Options{Ask: ask(registry), Log: log})
	w.gateways = serving.New(serving.Options{
		Hub: o.name, Gateway: registry.Get, Absent: absent(members), Reader: stored.Reader, Want: w.wanted.Want, Guard: w.guard, Clients: limits.Clients, Page: dashboard.Handler(nil), Pages: w.pages, Metrics: through(),
		Recorded: w.auditor.Recorded, SessionEnded: w.auditor.SessionEnded, Refused: w.refused, Log: log,
	})
	w.metrics = o.newMetrics(w, registry, stored)
	return w
}

// refused counts and records what is refused.
func (w *web) refused(reason, client, why string) {
	w.refusals.Refused(reason, client, why)
	w.auditor.Refused(reason, client, why)
}

// handle adds what the hub answers.
func (w *web) handle(mux *http.ServeMux) {
	for path, page := range w.guard.Pages() {
		mux.Handle(path, page)
	}
	mux.Handle(serving.Path, w.gateways)
	mux.Handle(auditor.Path, w.records)
	administrators := &admin.API{Guard: w.guard, Motors: func() []wire.MotorState { return nil }, Ended: w.auditor.SessionEnded}
	administrators.Mount(mux)
	mux.Handle("/api/v1/gateways", w.known(api.ToPages(w.overview.ServeHTTP)))
	mux.Handle("/metrics", w.known(http.HandlerFunc(w.expose)))
	page := w.known(overview.Page())
	for _, path := range overview.Paths() {
		mux.Handle(path, page)
	}
}

// ofAll answers only those whose scope is all gateways.
func ofAll(page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := access.Of(r); len(id.Gateways) > 0 {
			access.WriteError(w, wire.Errorf(http.StatusForbidden, "this is of all gateways, and the scope of %s is not", id.Label()))
			return
		}
		page.ServeHTTP(w, r)
	})
}

// visible returns which gateways are in the scope of who makes a request.
func visible(r *http.Request) func(fleet.Gateway) bool {
	id := access.Of(r)
	return func(g fleet.Gateway) bool { return id.Reaches(g.Site, g.Name) }
}

// limitTo takes out what is not in the scope of who makes a request.
func limitTo(r *http.Request, o *hub.Overview) {
	id := access.Of(r)
	o.Readings = slices.DeleteFunc(o.Readings, func(n hub.Newest) bool { return !id.Sensors.Has(n.Sensor) })
	o.Alarms = slices.DeleteFunc(o.Alarms, func(a wire.Alarm) bool { return !id.Sees(a.Sensor, a.Motor) })
}

// known answers only those whom the guard identifies.
func (w *web) known(page http.Handler) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if access.MaySendToken(out, r) {
			return
		}
		id, refusal := w.guard.Identify(r)
		if refusal != nil {
			w.refused(refusal.Reason, refusal.From, refusal.Err.Error())
			refusal.ServeHTTP(out, r)
			return
		}
		r, done := id.With(r)
		defer done()
		page.ServeHTTP(out, r)
	})
}

// followTokens follows the file of tokens, and reads it again on SIGHUP.
func (w *web) followTokens(ctx context.Context) error {
	hangup := make(chan os.Signal, 1) // more while one is handled mean the same
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	return w.guard.Tokens.Run(ctx, hangup)
}

// certificate returns what browsers and programs are shown: the files that are given, or
// a certificate of the fleet's authority for this machine's names. watch follows the
// files until ctx ends.
func (o *serveOptions) certificate(authority *enroll.Authority, log *slog.Logger) (config *tls.Config, watch func(context.Context) error, err error) {
	if o.cert != "" {
		set, err := certificates.Read(o.cert, cmp.Or(o.key, o.cert), "", log)
		if err != nil {
			return nil, nil, err
		}
		return set.Config(), func(ctx context.Context) error { set.Watch(ctx); return nil }, nil
	}
	names := append(append([]string{"localhost", "127.0.0.1", "::1"}, access.MachineNames()...), o.hosts...)
	config, err = authority.Listener(o.machine, names)
	return config, func(context.Context) error { return nil }, err
}

// answer answers requests until ctx ends.
func (w *web) answer(ctx context.Context, l net.Listener, config *tls.Config, pages map[string]http.Handler, log *slog.Logger) error {
	mux := http.NewServeMux()
	w.handle(mux)
	for path, page := range pages {
		mux.Handle(path, page)
	}
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("OPTIONS /healthz", healthz) // haproxy asks so, if its check was given a path and no method
	mux.Handle("GET /readyz", w.known(readyz(w.sites)))
	handler := http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			conn.ReadsBody(r)
		}
		mux.ServeHTTP(out, r)
	})
	server := &http.Server{
		Handler: handler, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), ConnState: w.budget.State, ConnContext: conn.WithConn,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(tls.NewListener(w.budget.Listen(l), config)) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	farewell, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	err := server.Shutdown(farewell)
	if errors.Is(err, context.DeadlineExceeded) { // whoever has not been answered in time is cut
		err = server.Close()
	}
	if serve := <-ended; !errors.Is(serve, http.ErrServerClosed) {
		err = errors.Join(err, serve)
	}
	return err
}
