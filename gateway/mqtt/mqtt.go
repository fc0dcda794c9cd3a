// Package mqtt is what all MQTT clients of the gateway have in common: how a broker is
// reached, when it is tried again, how it is noticed that it no longer answers, and what its
// reason codes say.
//
// It refuses to know what is said: sessions, topics and payloads belong to its callers.
package mqtt

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync"
	"time"
)

const (
	dialTimeout = 10 * time.Second

	// wordTime is how long to wait for the broker's reason after a packet could not be
	// written: with TLS 1.3 it refuses a certificate when the client's handshake is over.
	wordTime = time.Second

	// readSize is how much of what has come is read at once, in bytes: paho reads a packet in three
	// pieces.
	readSize = 512
)

// Options are how a broker is connected to.
type Options struct {
	TLS          *tls.Config     // for mqtts; nil is Go's default
	WriteTimeout time.Duration   // of a packet, to a broker that no longer reads
	Count        func(bytes int) // is called with about what the line carries, both ways; nil: nobody counts
}

// Dial connects to a broker, mqtt://HOST[:PORT] or, with TLS, mqtts://HOST[:PORT]; the
// ports are 1883 and 8883 unless it says otherwise. The connection sends each packet in
// one piece; it knows a packet's end because paho locks it for each packet.
func Dial(ctx context.Context, broker *url.URL, o Options) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	secure := broker.Scheme == "mqtts"
	dialer := net.Dialer{KeepAlive: -1} // MQTT has its own, and each byte may cost money
	c, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(broker.Hostname(), Port(broker)))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", Explain(err))
	}
	if o.Count != nil {
		c = &counted{c, o.Count}
	}
	if secure {
		config := &tls.Config{}
		if o.TLS != nil {
			config = o.TLS.Clone()
		}
		if config.ServerName == "" {
			config.ServerName = broker.Hostname()
		}
		secured := tls.Client(c, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = c.Close()
			return nil, fmt.Errorf("connect: %w", Explain(err))
		}
		c = secured
	} else {
		c = &buffered{c, bufio.NewReaderSize(c, readSize)}
	}
	return &conn{Conn: c, writeTimeout: o.WriteTimeout}, nil
}

// Port returns the port of a broker.
func Port(broker *url.URL) string {
	switch {
	case broker.Port() != "":
		return broker.Port()
	case broker.Scheme == "mqtts":
		return "8883"
	}
	return "1883"
}

// buffered reads as much as has come, as TLS does.
type buffered struct {
	net.Conn
	in *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.in.Read(p) }

const (
	// headers are those of a segment, in bytes: 20 of IPv4, 20 of TCP and 12 of its timestamps.
	headers = 52
	// segment is about how much of a connection one carries, in bytes.
	segment = 1400
)

// carried returns about how many bytes the line carries for those that are written or read at
// once. It is estimated, because only the kernel knows the segments: one, or several if there are
// many bytes, each with headers, and for each one without data, which acknowledges it.
func carried(bytes int) int { return bytes + 2*headers*((bytes+segment-1)/segment) }

// counted counts about what the line carries for a connection.
type counted struct {
	net.Conn
	count func(int)
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.count(carried(n))
	return n, err
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.count(carried(n))
	return n, err
}

// maxBuffer is how much of the buffer for a packet is kept for the next one, in bytes.
const maxBuffer = 8 << 10

// conn is a connection that writes each packet as a whole, separate from others and within a
// time limit: paho writes a packet in pieces, and each would be a TLS record and a segment
// of its own.
type conn struct {
	net.Conn
	mu           sync.Mutex // paho holds it for each packet
	packet       []byte     // the pieces so far
	failed       error      // of the packets before
	writeTimeout time.Duration
}

func (c *conn) Lock() { c.mu.Lock() }

// Unlock writes the packet. If that fails, the connection ends; before its reader notices
// that, it can read the broker's reason, if one was sent.
func (c *conn) Unlock() {
	defer c.mu.Unlock()
	if c.failed != nil || len(c.packet) == 0 {
		return
	}
	if c.failed = c.SetWriteDeadline(time.Now().Add(c.writeTimeout)); c.failed == nil {
		_, c.failed = c.Conn.Write(c.packet)
	}
	if c.packet = c.packet[:0]; cap(c.packet) > maxBuffer {
		c.packet = nil
	}
	if c.failed != nil && c.SetReadDeadline(time.Now().Add(wordTime)) != nil {
		_ = c.Close()
	}
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) { // nothing else sets one
		c.mu.Lock()
		defer c.mu.Unlock()
		err = cmp.Or(c.failed, err)
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	if c.failed != nil {
		return 0, c.failed
	}
	c.packet = append(c.packet, b...)
	return len(b), nil
}
