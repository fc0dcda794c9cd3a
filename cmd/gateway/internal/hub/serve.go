package hub

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"sensorgateway/cmd/gateway/internal/address"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/logging"
	"sensorgateway/cmd/gateway/internal/supervise"
	"sensorgateway/gateway/enroll"
	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/collect"
	"sensorgateway/gateway/hub"
)

// gatewaysDir has a directory for each gateway, in the hub's state directory.
const gatewaysDir = "gateways"

// endTime is how long requests that are being answered have when the hub stops.
const endTime = 3 * time.Second

// serveOptions are the flags of the hub itself.
type serveOptions struct {
	*here
	listen, name, logFormat string
	size                    int64 // MiB
	brokers, sites          []string
	urls                    []*url.URL // of the brokers
}

func (o *serveOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.listen, "listen", address.DefaultListenTLS, "`address` to listen on, by TLS")
	f.StringVar(&o.name, "name", "", "`name` of this hub, which no other hub of the fleet has (default: the machine's)")
	f.StringArrayVar(&o.brokers, "broker", nil, "`address` of a broker, of which gateways are told too, such as mqtts://broker.example; can be given again")
	f.StringSliceVar(&o.sites, "site", nil, "`names` of the sites whose gateways' readings this hub stores (default: none)")
	f.Int64Var(&o.size, "size", 1024, "most `MiB` of readings that are stored of a gateway: the oldest make room")
	f.StringVar(&o.logFormat, "log-format", "auto", "auto, text, journal or json")
}

// check checks the flags.
func (o *serveOptions) check() (err error) {
	if o.listen, err = address.CheckListen(o.listen, true); err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	if err := logging.CheckFormat(o.logFormat); err != nil {
		return fmt.Errorf("--log-format: %w", err)
	}
	first, _, _ := strings.Cut(strings.ToLower(o.machine), ".")
	o.name = cmp.Or(o.name, first)
	if err := fleet.CheckName(o.name); err != nil {
		return fmt.Errorf("--name: %w", err)
	}
	for _, broker := range o.brokers {
		u, err := url.Parse(broker)
		if err != nil || u.Scheme != "mqtt" && u.Scheme != "mqtts" || u.Host == "" || u.User != nil || u.Path != "" {
			return fmt.Errorf("--broker %q: that is no address of a broker, such as mqtts://broker.example", broker)
		}
		o.urls = append(o.urls, u)
	}
	for _, site := range o.sites {
		if err := fleet.CheckName(site); err != nil {
			return fmt.Errorf("--site: %w", err)
		}
	}
	switch {
	case len(o.sites) > 0 && len(o.brokers) == 0:
		return errors.New("--site without --broker: name the broker that the gateways of the site use")
	case o.size < 1 || o.size > 1<<30:
		return fmt.Errorf("--size %d: it is a number of MiB from 1 on", o.size)
	}
	return nil
}

// serve runs the hub until ctx ends.
func (o *serveOptions) serve(ctx context.Context) error {
	if err := o.check(); err != nil {
		return console.UsageError{Err: err}
	}
	log := logging.New(o.env.Stderr, o.logFormat, o.env.Getenv, o.env.Terminal)
	authority, err := enroll.OpenAuthority(o.dir())
	if err != nil {
		return explain(o.dir(), err)
	}
	key, err := enroll.SigningKey(o.dir(), func(key ed25519.PublicKey) string { return fleet.KeyLine(key, o.name) })
	if err != nil {
		return explain(o.dir(), err)
	}
	members := enroll.OpenMembers(o.dir())
	devices := enroll.NewHub(enroll.HubOptions{
		Authority: authority, Members: members, Brokers: o.brokers, CheckName: fleet.CheckName, Log: log,
		Keys: func() ([]byte, error) { return enroll.HubKeys(o.dir()) },
	})
	config, err := devices.TLS(nil)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	stored, err := o.storage(log)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if len(o.brokers) == 0 {
		log.Warn("gateways that enroll are told of no broker; fix: name the brokers with --broker")
	}
	registry, err := hub.NewRegistry(hub.RegistryOptions{
		Hub: o.name, Key: key, Dir: filepath.Join(o.dir(), gatewaysDir), Check: known(members), Members: all(members), Store: store(stored), Missing: missing(stored), Log: log,
	})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	log.Info("the hub is ready", "hub", o.name, "state", o.dir(), "address", "https://"+l.Addr().String())
	systemd := supervise.Systemd{Log: log}
	systemd.Ready("listens on " + l.Addr().String())
	defer context.AfterFunc(ctx, systemd.Stopping)()
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return answer(ctx, tls.NewListener(l, config), devices.Pages(), log) })
	for _, site := range o.sites {
		intake := hub.New(hub.Options{
			Registry: registry, Site: site, Brokers: o.urls,
			TLS: func() (*tls.Config, error) { return authority.Client(o.name, time.Now()) },
		})
		parts.Go(func() error { return intake.Run(ctx) })
	}
	parts.Go(func() error { return registry.Run(ctx) })
	if stored != nil {
		parts.Go(func() error { return stored.Run(ctx) })
	}
	return parts.Wait()
}

// storage returns the logs of the gateways, nil if none are stored.
func (o *serveOptions) storage(log *slog.Logger) (*collect.Collection, error) {
	if len(o.sites) == 0 {
		return nil, nil
	}
	return collect.Open(collect.Options{Dir: filepath.Join(o.dir(), gatewaysDir), MaxBytes: o.size << 20, Log: log})
}

// store returns what makes blocks durable.
func store(stored *collect.Collection) func(context.Context, string, fleet.Blocks) error {
	return func(ctx context.Context, gateway string, b fleet.Blocks) error {
		var said []collect.Values
		for _, v := range b.Values {
			said = append(said, collect.Values(v))
		}
		return stored.Append(ctx, gateway, b.Blocks, said)
	}
}

// missing returns what finds out what is not there between what is.
func missing(stored *collect.Collection) func(string) ([]hub.Gap, error) {
	return func(gateway string) (all []hub.Gap, err error) {
		gaps, err := stored.Missing(gateway)
		for _, g := range gaps {
			all = append(all, hub.Gap(g))
		}
		return all, err
	}
}

// known returns what checks that a gateway belongs to the fleet, and to the site in whose
// topic its message came.
func known(members *enroll.Members) func(fleet.Gateway) error {
	return func(g fleet.Gateway) error {
		switch m, ok := members.Get(g.Name); {
		case !ok:
			return errors.New("there is no such gateway in the fleet")
		case !m.Revoked.IsZero():
			return fmt.Errorf("the gateway was revoked on %s", m.Revoked.Format(time.DateOnly))
		case m.Site != g.Site:
			return fmt.Errorf("the gateway is of the site %s", m.Site)
		}
		return nil
	}
}

// all returns the gateways that belong to the fleet.
func all(members *enroll.Members) func() []fleet.Gateway {
	return func() (list []fleet.Gateway) {
		for _, m := range members.All() {
			if m.Revoked.IsZero() {
				list = append(list, fleet.Gateway{Site: m.Site, Name: m.Name})
			}
		}
		return list
	}
}

// answer answers requests until ctx ends.
func answer(ctx context.Context, l net.Listener, pages map[string]http.Handler, log *slog.Logger) error {
	mux := http.NewServeMux()
	for path, page := range pages {
		mux.Handle(path, page)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, `{"ok":true}`) })
	server := &http.Server{
		Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
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
