// Package client is the gateway's WebSocket client: it connects, delivers what
// comes, and connects again as wire/README.md, "The connection", prescribes. Where readings
// are numbered, the server replays those that the client missed meanwhile: each number
// is delivered once, or reported as lost. A hub may send one after it was reported as
// lost: it is delivered too, as [Record.Late].
//
// It knows the wire and the socket. It refuses to know the server's code, and
// what its user does with a reading; it prints nothing and logs nothing.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/wire"
)

// Options say where to connect and how.
type Options struct {
	URL         string      // ws:// or wss://
	Subprotocol string      // to ask for: one of wire's; a server that is offered none (""), or knows none, sends readings.v1 or what can be read without one
	Header      http.Header // of the handshake, besides WebSocket's own
	TLS         *tls.Config // for wss://; nil trusts the system's roots

	OpenTimeout  time.Duration // for TCP, TLS, handshake and hello, together; 0 means 10 s
	CloseTimeout time.Duration // for the server's answer to our close frame; 0 means 5 s
	PingEvery    time.Duration // between measurements of the round trip; 0 means none

	// Since and Epoch are where to begin, as an earlier client had it from hello
	// and the records: what has come since is replayed. Without them only what is
	// new comes. They go with the subprotocols that number readings.
	Since map[string]uint32 // the last sequence number, by sensor
	Epoch string

	// Subscribe are topics to subscribe to after each connect, besides what the path
	// gives. A server that does not know the subprotocol that it was offered is not
	// asked.
	Subscribe []string

	// Handle gets the events, one at a time. While it runs nothing is read, and a
	// server closes the connection of a client that reads nothing, so it should be
	// quick. It may Send; a Request from inside it would wait for itself.
	Handle func(Event)
}

// Client keeps one connection to a gateway.
type Client struct {
	o       Options
	netDial func(ctx context.Context, network, addr string) (net.Conn, error)
	current atomic.Pointer[link] // the connection, from Connected until it is lost
	url     *url.URL             // Run's
	bare    bool                 // Run's: the server chose our subprotocol and did not speak it, so it is not asked for any more

	mu      sync.Mutex
	numbers sequences // changed by Run only
}

// New returns a client, which connects once [Client.Run] is called.
func New(o Options) *Client {
	if o.OpenTimeout <= 0 {
		o.OpenTimeout = 10 * time.Second
	}
	if o.CloseTimeout <= 0 {
		o.CloseTimeout = 5 * time.Second
	}
	if o.Handle == nil {
		o.Handle = func(Event) {}
	}
	c := &Client{o: o, netDial: (&net.Dialer{}).DialContext}
	c.numbers.from(o.Epoch, o.Since)
	return c
}

// Run connects, again and again, until ctx ends; then it closes with 1000 and
// returns nil. An answer that another attempt would not change ends it with an
// error: options that are wrong, a certificate that is not trusted, another
// subprotocol than the one that was asked for, or such a [*ServerError]. It is
// called once.
func (c *Client) Run(ctx context.Context) error {
	var err error
	if c.url, err = c.o.check(); err != nil {
		return err
	}
	again := backoff{random: rand.Float64}
	for {
		end, err := c.connect(ctx)
		var final finalError
		switch {
		case errors.As(err, &final):
			return final.error
		case ctx.Err() != nil:
			return nil
		}
		wait := again.next(end)
		c.o.Handle(Disconnected{Err: err, Wait: wait})
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// connect is one attempt and the connection that comes of it. Its error, never nil,
// says why it ended.
func (c *Client) connect(ctx context.Context) (outcome, error) {
	deadline := time.Now().Add(c.o.OpenTimeout)
	ws, err := c.dial(ctx, deadline)
	if err != nil {
		return outcome{}, err
	}
	return c.serve(ctx, ws, deadline)
}

// check returns the parsed URL if nothing is wrong with the options.
func (o *Options) check() (*url.URL, error) {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("bad URL: %w", err)
	case u.Scheme != "ws" && u.Scheme != "wss":
		return nil, fmt.Errorf("bad URL %q: it must begin with ws:// or wss://", u.Redacted())
	case u.Hostname() == "":
		return nil, fmt.Errorf("bad URL %q: no host", u.Redacted())
	case u.User != nil:
		return nil, fmt.Errorf("bad URL %q: a WebSocket URL takes no user and password; send an Authorization header", u.Redacted())
	case len(o.Since) > 0 && o.Epoch == "":
		return nil, errors.New("no Epoch for Since: sequence numbers are counted within an epoch")
	case o.Epoch != "" && !numbered(o.Subprotocol):
		return nil, fmt.Errorf("sequence numbers go with the subprotocols %s and %s", wire.ReadingsV2, wire.ReadingsJSON)
	case u.Fragment != "": // RFC 6455, section 3
		return nil, fmt.Errorf("bad URL %q: a WebSocket URL takes no #fragment", u.Redacted())
	}
	for _, name := range []string{"Upgrade", "Connection", "Sec-Websocket-Key", "Sec-Websocket-Version",
		"Sec-Websocket-Extensions", "Sec-Websocket-Protocol"} {
		if o.Header.Values(name) != nil {
			return nil, fmt.Errorf("header %s is the handshake's own", name)
		}
	}
	return u, nil
}

// numbered returns whether the subprotocol has a hello, and numbers its readings.
func numbered(subprotocol string) bool {
	return subprotocol == wire.ReadingsV2 || subprotocol == wire.ReadingsJSON
}
