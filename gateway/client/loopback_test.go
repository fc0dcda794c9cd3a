package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"testing"

	"sensorgateway/wire"
)

// Real sockets: TLS with a CA of one's own, and without it.
func TestTLS(t *testing.T) {
	own := httptest.NewUnstartedServer(nil)
	own.StartTLS()
	defer own.Close()
	roots := x509.NewCertPool()
	roots.AddCert(own.Certificate())
	certificate := own.TLS.Certificates[0]

	listen := func(t *testing.T) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		serve(t, tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}}), func(p *serverConn) {
			p.hello()
			p.records(record(0, 7))
			p.wait()
		})
		return "wss://" + l.Addr().String() + "/"
	}
	dial := (&net.Dialer{}).DialContext
	t.Run("its CA is trusted", func(t *testing.T) {
		o := Options{URL: listen(t), Subprotocol: wire.ReadingsV2, TLS: &tls.Config{RootCAs: roots}}
		start(t, o, dial, func(c *run) {
			next[Connected](c)
			if r := next[Records](c); r[0].Seq != 7 {
				t.Errorf("%+v", r)
			}
		})
	})
	t.Run("its CA is unknown", func(t *testing.T) {
		start(t, Options{URL: listen(t), Subprotocol: wire.ReadingsV2}, dial, func(c *run) {
			var unknown x509.UnknownAuthorityError
			if err := c.end(); !errors.As(err, &unknown) {
				t.Errorf("%v, want an unknown authority", err)
			}
		})
	})
}

// Nobody listens on a port that was just given back.
func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	start(t, Options{URL: "ws://" + l.Addr().String()}, dial, func(c *run) {
		var refused *net.OpError
		if lost := next[Disconnected](c); !errors.As(lost.Err, &refused) || lost.Wait <= 0 {
			t.Errorf("%+v", lost)
		}
	})
}
