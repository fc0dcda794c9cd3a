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
	"strings"
	"time"

	"github.com/spf13/pflag"

	"sensorgateway/cmd/gateway/internal/address"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/logging"
	"sensorgateway/gateway/enroll"
	"sensorgateway/gateway/fleet"
)

// endTime is how long requests that are being answered have when the hub stops.
const endTime = 3 * time.Second

// serveOptions are the flags of the hub itself.
type serveOptions struct {
	*here
	listen, name, logFormat string
	brokers                 []string
}

func (o *serveOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.listen, "listen", address.DefaultListenTLS, "`address` to listen on, by TLS")
	f.StringVar(&o.name, "name", "", "`name` of this hub, which no other hub of the fleet has (default: the machine's)")
	f.StringArrayVar(&o.brokers, "broker", nil, "`address` of a broker that gateways are told of, such as mqtts://broker.example; can be given again")
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
	if _, err := enroll.SigningKey(o.dir(), func(key ed25519.PublicKey) string { return fleet.KeyLine(key, o.name) }); err != nil {
		return explain(o.dir(), err)
	}
	devices := enroll.NewHub(enroll.HubOptions{
		Authority: authority, Members: enroll.OpenMembers(o.dir()), Brokers: o.brokers, CheckName: fleet.CheckName, Log: log,
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
	if len(o.brokers) == 0 {
		log.Warn("gateways that enroll are told of no broker; fix: name the brokers with --broker")
	}
	log.Info("the hub is ready", "hub", o.name, "state", o.dir(), "address", "https://"+l.Addr().String())
	return answer(ctx, tls.NewListener(l, config), devices.Pages(), log)
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
