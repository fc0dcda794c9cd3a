package client

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A server of the other scheme ends Run with the URL that would work.
func TestOtherScheme(t *testing.T) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	secure, plain := httptest.NewUnstartedServer(hello), httptest.NewServer(hello)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	defer plain.Close()
	alert := answering(t, "\x15\x03\x01\x00\x02\x02\x46") // protocol_version, as OpenSSL sends it
	at := func(scheme, address string) string { return scheme + "://" + address + "/sensors/indoor" }
	for _, tt := range []struct{ url, want, says string }{
		{at("ws", secure.Listener.Addr().String()), at("wss", secure.Listener.Addr().String()), "speaks TLS"},
		{at("ws", alert), at("wss", alert), "speaks TLS"},
		{at("wss", plain.Listener.Addr().String()), at("ws", plain.Listener.Addr().String()), "does not speak TLS"},
	} {
		err := New(Options{URL: tt.url}).Run(t.Context())
		var scheme *SchemeError
		if !errors.As(err, &scheme) || scheme.URL != tt.want || !strings.Contains(err.Error(), tt.says+": write "+tt.want) {
			t.Errorf("%s: %v", tt.url, err)
		}
	}
	// A server that closes without a word may be another's too, so that is tried again.
	closes := answering(t, "")
	lost := make(chan error, 1)
	c := New(Options{URL: at("ws", closes), Handle: func(e Event) {
		select {
		case lost <- e.(Disconnected).Err:
		default:
		}
	}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	if err := <-lost; !strings.Contains(err.Error(), "write "+at("wss", closes)) {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// answering is the address of a server that answers each request with a text and
// closes.
func answering(t *testing.T, text string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}
