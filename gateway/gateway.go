// Package gateway spreads readings: one [Server] takes a tick's records from
// whoever makes them and broadcasts them to any number of WebSocket clients,
// none of which can delay another.
//
// It knows the wire and WebSocket. It refuses to know periph, YAML, systemd and
// which sensors there are: they are data it is given. Whatever else listens or
// acts reaches it as a function.
//
// A reading's way: [Server.Publish] hands a tick to the hub's goroutine (hub.go),
// which encodes it once for each kind of subscription and offers the frame to
// each client's outbox (outbox.go), which writes it to the socket without
// waiting. A client's own goroutine (session.go) only reads.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/wire"
)

// MaxSensors is how many sensors a server can carry: a subscription is a set of
// bits.
const MaxSensors = 64

// Options is what a Server has to be told.
type Options struct {
	Version   string
	Epoch     string
	Simulated bool
	Sensors   []wire.SensorInfo // ID is the index; NextSeq the number of the first record to come
	Primary   int               // index of the sensor that readings.v1 shows on "/"

	ClockSynced func() bool  // for hello
	Alive       func() error // for /healthz: nil while what makes the records advances
	Page        http.Handler // answers plain GETs of "/" and of whatever else the page needs
	Log         *slog.Logger

	MaxClients int // 0: 10,000; more get 503 before the upgrade
}

// A Server is the gateway's face to the network.
type Server struct {
	opts     Options
	hub      *hub
	http     *http.Server
	stopping atomic.Bool
	clients  atomic.Int64 // upgraded or being upgraded
	sessions sync.WaitGroup
}

// New returns a server that serves nobody yet. Its hub runs until [Server.Shutdown].
func New(opts Options) *Server {
	if opts.MaxClients == 0 {
		opts.MaxClients = 10_000
	}
	s := &Server{opts: opts}
	s.hub = newHub(s)
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      30 * time.Second, // of plain answers; an upgrade lifts it
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(opts.Log.Handler(), slog.LevelDebug),
	}
	go s.hub.run()
	return s
}

// Publish gives the records of a tick to all who subscribed. It copies them. It
// waits only when the hub is behind by many ticks, so that an overloaded
// machine shows as ticks that were missed, never as readings that vanished.
func (s *Server) Publish(records []wire.Record) { s.hub.publish(records) }

// SetEpoch begins another epoch: sequence numbers could not be continued. Who
// resumes by number is told to come back.
func (s *Server) SetEpoch(epoch string) { s.hub.setEpoch(epoch) }

// Beats grows at least once a second while the hub's goroutine advances.
func (s *Server) Beats() int64 { return s.hub.beats.Load() }

// Clients is how many WebSocket clients there are.
func (s *Server) Clients() int { return int(s.clients.Load()) }

// Quality tells how many sensors measure, and what ails the others.
func (s *Server) Quality() string {
	reason, _ := s.hub.quality()
	return reason
}

// Serve answers on l until Shutdown.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown closes every client with 1012 and a time of its own to come back at,
// waits for them until ctx ends, and then cuts who is left.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopping.Store(true)
	s.hub.restart()
	err := s.http.Shutdown(ctx)
	done := make(chan struct{})
	go func() { s.sessions.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		s.hub.cutAll()
		<-done
	}
	s.hub.stop()
	return errors.Join(err, s.http.Close())
}
