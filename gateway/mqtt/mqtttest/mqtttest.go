// Package mqtttest has brokers for tests: one within the test's process, to which hooks can
// be given, and Mosquitto as a process; and slow lines to a broker. Each ends with its test.
//
// It refuses to know what is said over them.
package mqtttest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

// Options are what a broker is like; the zero value lets everybody do everything.
type Options struct {
	Address string       // HOST:PORT, as of a broker that was stopped; "" is a free port of loopback
	TLS     *tls.Config  // nil is without
	Hooks   []mochi.Hook // they alone decide who may do what if one of them decides who may connect
}

// Broker is one within the test's process.
type Broker struct {
	Address string // HOST:PORT
	Server  *mochi.Server

	stop func()
}

// Start starts a broker, which ends with the test.
func Start(t testing.TB, o Options) *Broker {
	t.Helper()
	l, err := listen(o.Address)
	if err != nil {
		t.Fatal(err)
	}
	b := &Broker{Address: l.Addr().String(), Server: mochi.New(&mochi.Options{Logger: slog.New(slog.DiscardHandler), InlineClient: true})}
	e := &entrance{Listener: l, inside: map[*entering]bool{}}
	b.stop = sync.OnceFunc(func() { e.settle(); _ = b.Server.Close() })
	t.Cleanup(b.stop)
	decides := func(h mochi.Hook) bool { return h.Provides(mochi.OnConnectAuthenticate) }
	if !slices.ContainsFunc(o.Hooks, decides) {
		o.Hooks = append([]mochi.Hook{new(auth.AllowHook)}, o.Hooks...)
	}
	for _, h := range o.Hooks {
		err = errors.Join(err, b.Server.AddHook(h, nil))
	}
	l = e
	if o.TLS != nil {
		l = tls.NewListener(e, o.TLS)
	}
	if err := errors.Join(err, b.Server.AddListener(listeners.NewNet("t", l)), b.Server.Serve()); err != nil {
		t.Fatal(err)
	}
	return b
}

// Stop ends the broker and all connections to it, which are told so before.
func (b *Broker) Stop() { b.stop() }

// listen listens at an address; "" is a port of loopback that the kernel takes for no outgoing
// connection, so that a broker that was stopped can listen there again. That may have to wait:
// a program that another test starts just then has this socket open too, until its exec.
func listen(address string) (l net.Listener, err error) {
	if address != "" {
		again := time.NewTicker(10 * time.Millisecond)
		defer again.Stop()
		for range 500 {
			if l, err = net.Listen("tcp", address); !errors.Is(err, syscall.EADDRINUSE) {
				break
			}
			<-again.C
		}
		return l, err
	}
	for range 100 {
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))); err == nil {
			break
		}
	}
	return l, err
}
