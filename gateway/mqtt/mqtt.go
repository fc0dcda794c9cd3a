// Package mqtt opens connections to MQTT brokers, for those who speak the protocol there.
//
// It refuses to know what is said: sessions, topics and payloads are the others' own.
package mqtt

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"sync"
	"time"
)

const dialTimeout = 10 * time.Second

// Dial connects to a broker, mqtt://HOST[:PORT] or, with TLS, mqtts://HOST[:PORT]; the
// ports are 1883 and 8883 unless it says otherwise. config is for mqtts; nil is Go's
// default. A write to a broker that no longer reads fails after writeTimeout.
func Dial(ctx context.Context, broker *url.URL, config *tls.Config, writeTimeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	secure := broker.Scheme == "mqtts"
	port := broker.Port()
	switch {
	case port == "" && secure:
		port = "8883"
	case port == "":
		port = "1883"
	}
	address := net.JoinHostPort(broker.Hostname(), port)
	var c net.Conn
	var err error
	if secure {
		c, err = (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	} else {
		c, err = (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, writeTimeout: writeTimeout}, nil
}

// conn is a connection whose packets come one after the other, and end.
type conn struct {
	net.Conn
	sync.Mutex   // paho takes it for each packet
	writeTimeout time.Duration
}

func (c *conn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
