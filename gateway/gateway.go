// Package gateway broadcasts readings: one [Server] takes a tick's records from
// whoever makes them and sends them to any number of WebSocket clients, none of
// which can delay another.
//
// It knows the wire and WebSocket. It refuses to know periph, YAML, systemd and
// which sensors there are: they are data it is given. Whatever acts on a client's
// behalf is a [Handler] or an endpoint of another package.
//
// A reading's way: [Server.Publish] hands a tick to the broadcaster's goroutine
// (broadcast.go), which encodes it once for each kind of subscription (feed.go)
// and offers the frame to each client's connection (package conn), which never
// waits. A client's own goroutine (session.go) only reads, and ends while there is
// nothing to read.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/gateway/access"
	"sensorgateway/gateway/conn"
	"sensorgateway/gateway/inbox"
	"sensorgateway/gateway/limit"
	"sensorgateway/wire"
)

// MaxSensors is how many sensors a server can carry: a subscription is a set of
// bits.
const MaxSensors = 64

// Options are a Server's.
type Options struct {
	Name      string // for people who have several gateways
	Version   string
	Epoch     string
	Simulated bool
	Sensors   []wire.SensorInfo // ID is the index; NextSeq the number of the first record to come
	Primary   int               // index of the sensor that readings.v1 shows on "/"

	ClockSynced func() bool             // for hello
	Alive       func() error            // for /healthz: nil while what makes the records advances
	Page        http.Handler            // answers plain GETs of "/" and of whatever else the page needs
	Seconds     func() <-chan time.Time // returns what has a value once a second; nil: the runtime's ticker
	Log         *slog.Logger

	Access Access // nil: everybody may do everything
	// Pages answer plain requests by path, whoever asks.
	Pages map[string]http.Handler
	// Refused is called for each request that is refused, and for each client that is closed because it cannot follow:
	// with a reason that is one of few words, who the client is, and a text for people; nil: it is not called.
	Refused func(reason, client, why string)
	History History // nil: nothing is retained
	// Lacks is called when a client asks for the readings of a span of time, Unix ms. It returns what
	// History lacks of them, "" if nothing. If ask is true, that may be requested, and come later.
	// LacksSince is the same for the numbers of this epoch beyond after. nil: History has all there is.
	Lacks      func(sensor uint16, from, to int64, ask bool) string
	LacksSince func(sensor uint16, after uint32) string
	// Late says that records that are missing between published ones come into History
	// later. Clients that count numbers then get them beside what is live.
	Late bool
	// Earlier returns the newest reading of a sensor, one of an earlier epoch, for
	// plain requests while no record of it has been published; nil: none is known.
	Earlier func(sensor int) (wire.Record, bool)
	// Handlers carry out commands, by action: one without a handler is unknown.
	Handlers map[string]Handler
	Remote   bool   // handlers wait for another machine: the goroutine that reads from the client does not wait for them
	Motors   Motors // nil: there are none
	// Endpoints are further ones, by path: each is called when a client connects, with its request, without a body.
	Endpoints map[string]func(Sender, *http.Request, *access.Identity) Receiver
	// Diagnostics are the endpoints /echo and /relay, for conformance suites and probes.
	Diagnostics bool
	// Metrics is the payload of /metrics for clients, Exposition the Prometheus text, of what the identity may see.
	Metrics    func(*access.Identity) any
	Exposition func(io.Writer, *access.Identity)

	Warnings func() []string     // what the configuration allows to everybody, for hello and /readyz; called with a lock held; nil: nothing
	Hub      string              // the name of the hub that shows the gateway, for hello; "": it is the gateway itself
	Uplink   func() *wire.Uplink // how the way to the hubs is, likewise; nil: the gateway is in no fleet
	HSTS     bool                // browsers that came with TLS use nothing but TLS from then on

	Crashed func()      // called when a bug is about to end the process
	TLS     *tls.Config // nil: none
	Limits  Limits
	// Proxy reports whether an address is a proxy's, whose connections are those of many clients; nil: there is none.
	Proxy func(netip.Addr) bool
}

// Access says who sends a request, or why that is refused.
type Access interface {
	Identify(*http.Request) (*access.Identity, *access.Refusal)
}

// Client is a connected client.
type Client struct {
	ID       string // unique in this process
	Name     string // for people: the identity's label
	Identity *access.Identity
}

// A Handler carries out one command and returns the payload of its ack, or an
// error (a [*wire.Error] has a code of its own). It is called by the goroutine
// that reads from the client, unless it is [Options.Remote]. ctx ends with the server, not with the client: a
// stop of an operator who hangs up is still a stop. If Remote, it also ends, for a command that
// starts motors or permits that, when a stop comes: then a command that was not sent yet must not
// be sent any more, and its error is the cause.
type Handler func(ctx context.Context, c Client, cmd wire.Command) (result any, err error)

// Motors are what commands move. A client is named by its ID.
type Motors interface {
	States() []wire.MotorState  // of all, as they are now
	Running(client string) bool // whether its loss has to be noticed soon: it has a motor running; called with a lock held
	Lost(client, reason string) // its connection ended, or its identity did
}

// noMotors are the motors of a server that was given none.
type noMotors struct{}

func (noMotors) States() []wire.MotorState { return []wire.MotorState{} }
func (noMotors) Running(string) bool       { return false }
func (noMotors) Lost(string, string)       {}

// A Server is the gateway's face to the network.
type Server struct {
	opts        Options
	broadcaster *broadcaster
	http        *http.Server
	stopping    atomic.Bool
	budget      *conn.Budget
	clients     limit.Places // of those that are upgraded or being upgraded
	share       *limit.Share // of the processor, for queries and replays
	ids         atomic.Int64
	relay       relay
	echoRules   *rules
	relayRules  *rules
	starts      inbox.Starts // that wait; of a server of a remote gateway
	sessions    sync.WaitGroup
	ctx         context.Context // of handlers
	end         func()
}

// New returns a server without listeners. Its broadcaster runs until [Server.Shutdown].
func New(opts Options) *Server {
	if !opts.Remote && slices.ContainsFunc(opts.Sensors, func(s wire.SensorInfo) bool { return s.IntervalMS <= checkEvery.Milliseconds() }) {
		if opts.Seconds == nil { // ticks come as often as checks must
			opts.Seconds = func() <-chan time.Time { return time.Tick(time.Second) }
		}
		return newServer(opts, opts.Seconds(), 1)
	}
	return newServer(opts, time.Tick(checkEvery), checksASecond)
}

// newServer is New with the timer that has the sessions checked, and how often in a second it fires.
func newServer(opts Options, checks <-chan time.Time, aSecond int) *Server {
	if opts.Motors == nil {
		opts.Motors = noMotors{}
	}
	if opts.Access == nil {
		opts.Access = access.Everybody{}
	}
	if opts.Refused == nil {
		opts.Refused = func(string, string, string) {}
	}
	if opts.Warnings == nil {
		opts.Warnings = func() []string { return nil }
	}
	s := &Server{opts: opts, echoRules: echoRules(), relayRules: relayRules(), share: limit.NewShare()}
	s.clients.Most, s.clients.PerHost, s.clients.Reserved = opts.Limits.Clients, opts.Limits.ClientsPerAddress, opts.Limits.Reserved
	s.budget = conn.NewBudget(conn.Limits{
		Connections: opts.Limits.Connections, PerHost: opts.Limits.ConnectionsPerAddress, Exempt: opts.Proxy,
		Queues: opts.Limits.Queues, Refused: opts.Refused,
	})
	s.ctx, s.end = context.WithCancel(context.Background())
	s.broadcaster = newBroadcaster(s, aSecond)
	s.http = &http.Server{
		Handler:        s.routes(),
		ReadTimeout:    5 * time.Second,  // of a request with its body; an upgrade lifts it
		WriteTimeout:   30 * time.Second, // of plain answers; an upgrade lifts it
		IdleTimeout:    time.Minute,
		MaxHeaderBytes: 8 << 10,
		ErrorLog:       slog.NewLogLogger(opts.Log.Handler(), slog.LevelDebug),
		ConnState:      s.budget.State,
		ConnContext:    conn.WithConn,
		TLSConfig:      opts.TLS,
		Protocols:      new(http.Protocols),
	}
	s.http.Protocols.SetHTTP1(true) // an upgrade needs it
	go func() {
		defer func() {
			if r := recover(); r != nil {
				if opts.Crashed != nil {
					opts.Crashed()
				}
				panic(r)
			}
		}()
		s.broadcaster.run(checks)
	}()
	return s
}

// Publish sends the records of a tick to all clients that subscribe to them: to few
// clients at once, to many in another goroutine, for which it copies the records. It
// waits only if that goroutine is many ticks behind: an overloaded machine shows as
// missed ticks, never as lost readings. One goroutine calls it.
func (s *Server) Publish(records []wire.Record) { s.broadcaster.publish(records) }

// SetEpoch begins another epoch: sequence numbers could not be continued. Clients
// that count them are closed with 1012 and have to reconnect.
func (s *Server) SetEpoch(epoch string) { s.broadcaster.setEpoch(epoch) }

// RestartStreams closes all clients that get readings with 1012, each with a time
// of its own to reconnect at, because the times of the next ticks lie before those
// of the last ones. Who publishes calls it, between the two.
func (s *Server) RestartStreams() { s.broadcaster.restartStreams() }

// Beats grows at least once a second while the broadcaster's goroutine advances.
func (s *Server) Beats() int64 { return s.broadcaster.beats.Load() }

// Clients is how many WebSocket clients there are.
func (s *Server) Clients() int { return s.clients.Taken() }

// Quality tells how many sensors measure, and what is wrong with the others.
func (s *Server) Quality() string {
	reason, _ := s.broadcaster.quality()
	return reason
}

// Frames is how many frames with readings clients have taken.
func (s *Server) Frames() int64 { return s.broadcaster.frames.Load() }

// Accounts returns the sum of all clients' accounts of readings, including clients
// that have left, and how many readings were queued for clients when they left.
func (s *Server) Accounts() (sum wire.Stats, abandoned uint64) { return s.broadcaster.accounts() }

// Hello is what a client is greeted with.
func (s *Server) Hello(id *access.Identity) wire.Hello { return s.broadcaster.Hello(id) }

// State sends a motor's change to all clients that subscribe to motors.
func (s *Server) State(m wire.MotorState) {
	s.broadcaster.send(wire.Envelope{Type: wire.TypeState, Payload: m}, func(c *session) bool { return c.motors && c.Identity.Motors.Has(m.Target) })
}

// Event sends an event to all clients that subscribe to events, and to those whom it
// concerns; but on readings.v1 nothing is sent unasked. It returns whether there are any.
func (s *Server) Event(e wire.Event) (heard bool) {
	return s.broadcaster.send(wire.Envelope{Type: wire.TypeEvent, Payload: e}, func(c *session) bool {
		concerns := (c.protocol != wire.ReadingsV1 || c.controls.Load()) && slices.Contains(e.Clients, c.ID)
		return (c.events || concerns) && (e.Sensor == "" || c.Identity.Sensors.Has(e.Sensor)) && (e.Target == "" || c.Identity.Motors.Has(e.Target)) && (e.Motor == "" || c.Identity.Motors.Has(e.Motor))
	})
}

// Serve answers on l until Shutdown, with TLS if the options say so.
func (s *Server) Serve(l net.Listener) error {
	serve := s.http.Serve
	if s.opts.TLS != nil {
		serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	if err := serve(s.budget.Listen(l)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Handler answers the requests of another server's listener, whose connections must be
// those of a [conn.Budget].
func (s *Server) Handler() http.Handler { return s.http.Handler }

const (
	// plainTimeout is how long plain requests have when the server stops.
	plainTimeout = 500 * time.Millisecond
	// cutTime is how long sessions may take to end after their connections were cut.
	// They take longer only if a disk hangs while a replay reads from it.
	cutTime = 500 * time.Millisecond
)

// Shutdown closes every client with 1012 and a time of its own to reconnect at,
// waits for them until ctx ends, and then cuts the connections that are left. If
// even their sessions do not end, it returns the error of ctx after a moment.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopping.Store(true)
	s.broadcaster.restartAll()
	// A connection that has not asked for anything yet is no reason to wait.
	short, cancel := context.WithTimeout(ctx, plainTimeout)
	defer cancel()
	err := s.http.Shutdown(short)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	done := make(chan struct{})
	go func() { s.sessions.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		s.broadcaster.cutAll()
		select {
		case <-done:
		case <-time.After(cutTime):
			err = errors.Join(err, fmt.Errorf("shutdown: sessions still wait for the disk that they replay from: %w", ctx.Err()))
		}
	}
	s.broadcaster.stop()
	s.budget.Close()
	s.end()
	return errors.Join(err, s.http.Close())
}
