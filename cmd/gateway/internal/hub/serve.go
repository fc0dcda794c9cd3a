//go:build !nohub

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
	"sensorgateway/gateway/access"
	"sensorgateway/gateway/enroll"
	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/collect"
	"sensorgateway/gateway/hub"
	"sensorgateway/gateway/hub/aside"
	"sensorgateway/wire"
)

// gatewaysDir has a directory for each gateway, in the hub's state directory; asideDir likewise,
// with what could not be stored there yet.
const (
	gatewaysDir = "gateways"
	asideDir    = "aside"
)

// endTime is how long requests that are being answered have when the hub stops.
const endTime = 3 * time.Second

// noUser says how a hub is known at a broker: it has no user there.
const noUser = "leave it out: a hub has no password; by mqtts:// it shows the broker its certificate, by mqtt:// the broker must let it in without"

// serveOptions are the flags of the hub itself.
type serveOptions struct {
	*here
	listen, name, logFormat string
	size                    int64 // MiB
	brokers, sites, hosts   []string
	cert, key               string // files of the certificate that browsers see
	openMetrics             bool
	urls                    []*url.URL   // of the brokers
	logLost                 func() int64 // log lines
}

func (o *serveOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.listen, "listen", address.DefaultListenTLS, "`address` to listen on, by TLS")
	f.StringVar(&o.name, "name", "", "`name` of this hub, which no other hub of the fleet has (default: the machine's)")
	f.StringArrayVar(&o.brokers, "broker", nil, "`address` of a broker, of which gateways are told too, such as mqtts://broker.example; can be given again")
	f.StringSliceVar(&o.sites, "site", nil, "`names` of the sites whose gateways' readings this hub stores (default: none)")
	f.Int64Var(&o.size, "size", 1024, "most `MiB` of readings that are stored of a gateway: the oldest make room")
	f.StringArrayVar(&o.hosts, "host", nil, "further `name` or address by which browsers and programs reach the hub; can be given again")
	f.StringVar(&o.cert, "cert", "", "`file` of the certificate that browsers and programs are shown (default: one of the fleet's authority)")
	f.StringVar(&o.key, "key", "", "`file` of its key (default: it is in the same file)")
	f.BoolVar(&o.openMetrics, "open-metrics", false, "let whoever connects see /metrics, also those of each gateway, such as a Prometheus without a token")
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
		u, err := address.ParseBroker(broker, noUser)
		if err != nil {
			return fmt.Errorf("--broker: %w", err)
		}
		o.urls = append(o.urls, u)
	}
	for i, host := range o.hosts {
		var ok bool
		if o.hosts[i], ok = access.ParseHost(host); !ok {
			return fmt.Errorf("--host %q is neither a name nor an address", host)
		}
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

// open opens what the state directory has of the fleet.
func (o *serveOptions) open(log *slog.Logger) (authority *enroll.Authority, key ed25519.PrivateKey, members *enroll.Members, err error) {
	if authority, err = enroll.OpenAuthority(o.dir()); err != nil {
		return nil, nil, nil, err
	}
	if key, err = enroll.SigningKey(o.dir(), func(key ed25519.PublicKey) string { return fleet.KeyLine(key, o.name) }); err != nil {
		return nil, nil, nil, err
	}
	members = enroll.OpenMembers(o.dir())
	return authority, key, members, members.Watch(log)
}

// serve runs the hub until ctx ends.
func (o *serveOptions) serve(ctx context.Context) error {
	if err := o.check(); err != nil {
		return console.UsageError{Err: err}
	}
	supervise.Endure()
	log, lines := logging.New(o.env.Stderr, o.logFormat, o.env.Getenv, o.env.Terminal)
	defer lines.End()
	o.logLost = lines.Lost
	authority, key, members, err := o.open(log)
	if err != nil {
		return explain(o.dir(), err)
	}
	devices := enroll.NewHub(enroll.HubOptions{
		Authority: authority, Members: members, Brokers: o.brokers, CheckName: fleet.CheckName, Log: log,
		Keys: o.givenKeys,
	})
	shown, watch, err := o.certificate(authority, log)
	if err != nil {
		return err
	}
	config, err := devices.TLS(shown)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	stored, err := collect.Open(collect.Options{Dir: filepath.Join(o.dir(), gatewaysDir), MaxBytes: o.size << 20, Log: log})
	if err != nil {
		return errors.Join(explain(o.dir(), err), l.Close())
	}
	var registry *hub.Registry
	kept := aside.New(aside.Options{Dir: filepath.Join(o.dir(), asideDir), Store: store(stored), Stored: func(gateway string) { checkLater(registry, gateway) }, Log: log})
	registry, err = hub.NewRegistry(hub.RegistryOptions{
		Hub: o.name, Key: key, Dir: filepath.Join(o.dir(), gatewaysDir), Check: known(members), Members: all(members), Revoked: revoked(members), Device: device(members), Store: kept.Store,
		Missing: missing(stored), Log: log,
	})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if len(o.brokers) == 0 {
		log.Warn("gateways that enroll get no broker; fix: name the brokers with --broker")
	}
	w := o.newWeb(registry, members, stored, log)
	log.Info("the hub is ready", "hub", o.name, "state", o.dir(), "address", "https://"+l.Addr().String())
	systemd := supervise.Systemd{Log: log}
	systemd.Ready("listens on " + l.Addr().String())
	defer context.AfterFunc(ctx, systemd.Stopping)()
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return w.answer(ctx, l, config, devices.Pages(), log) })
	for _, run := range []func(context.Context) error{w.gateways.Run, w.wanted.Run, w.metrics.Run, w.auditor.Run, w.followTokens, stored.Run, kept.Run, registry.Run, watch, o.followKeys(registry, log)} {
		parts.Go(func() error { return run(ctx) })
	}
	for _, intake := range o.intakes(registry, authority) {
		parts.Go(func() error { return intake.Run(ctx) })
	}
	return parts.Wait()
}

// intakes returns what takes the messages of each site.
func (o *serveOptions) intakes(registry *hub.Registry, authority *enroll.Authority) (all []*hub.Intake) {
	for _, site := range o.sites {
		all = append(all, hub.New(hub.Options{
			Registry: registry, Site: site, Brokers: o.urls,
			TLS: func() (*tls.Config, error) { return authority.Client(o.name, time.Now()) },
		}))
	}
	return all
}

// store returns the function that stores blocks durably.
func store(stored *collect.Collection) func(context.Context, string, fleet.Blocks) error {
	return func(ctx context.Context, gateway string, b fleet.Blocks) error {
		var said []collect.Values
		for _, v := range b.Values {
			said = append(said, collect.Values(v))
		}
		if b.Heads != nil {
			return stored.Summarise(ctx, gateway, b.Heads, said)
		}
		return stored.Append(ctx, gateway, b.Blocks, said)
	}
}

// missing returns the function that finds the gaps in what is stored of a gateway.
func missing(stored *collect.Collection) func(string) ([]hub.Gap, error) {
	return func(gateway string) (all []hub.Gap, err error) {
		gaps, err := stored.Missing(gateway)
		for _, g := range gaps {
			all = append(all, hub.Gap(g))
		}
		return all, err
	}
}

// checkLater has it found out later what is missing of a gateway: its log has more, or less, than
// what has come.
func checkLater(registry *hub.Registry, gateway string) {
	if r, known := registry.Get(gateway); known {
		r.CheckLater()
	}
}

// ask returns the function that asks a gateway for readings. A 503 must come from the
// gateway itself, which can send nothing: if the broker cannot be reached, it was not asked.
func ask(registry *hub.Registry) func(context.Context, string, hub.Gap) error {
	return func(ctx context.Context, gateway string, gap hub.Gap) error {
		r, known := registry.Get(gateway)
		if !known {
			return errors.New("there is no such gateway in the fleet any more")
		}
		return unasked(r.AskReadings(ctx, gap.Sensor, gap.Epoch, gap.Since, gap.Until))
	}
}

// unasked makes an error that is not the gateway's answer one that says: no answer (408).
func unasked(err error) error {
	if err == nil || errors.As(err, &fleet.Refusal{}) {
		return err
	}
	return wire.Errorf(http.StatusRequestTimeout, "%v", err)
}

// known returns the function that checks that a gateway belongs to the fleet, and to the
// site in whose topic its message came.
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

// absent returns the function that says why a gateway is not served.
func absent(members *enroll.Members) func(name string) string {
	return func(name string) string {
		if m, ok := members.Get(name); ok && !m.Revoked.IsZero() {
			return fmt.Sprintf("%s was revoked on %s; fix: enroll it again, with a code for its name: gateway hub code --gateway %[1]s", name, m.Revoked.Format(time.DateOnly))
		}
		return "nothing has come from " + name
	}
}

// revokedShown is how long it is shown that a gateway was revoked.
const revokedShown = 30 * 24 * time.Hour

// revoked returns the gateways that were revoked lately, and when.
func revoked(members *enroll.Members) func() map[fleet.Gateway]int64 {
	return func() map[fleet.Gateway]int64 {
		lately := map[fleet.Gateway]int64{}
		for _, m := range members.All() {
			if !m.Revoked.IsZero() && time.Since(m.Revoked) < revokedShown {
				lately[fleet.Gateway{Site: m.Site, Name: m.Name}] = m.Revoked.UnixMilli()
			}
		}
		return lately
	}
}

// device returns the function that tells the devices with the name of a gateway apart: by their keys.
func device(members *enroll.Members) func(string) string {
	return func(gateway string) string {
		m, _ := members.Get(gateway)
		return m.Key
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
