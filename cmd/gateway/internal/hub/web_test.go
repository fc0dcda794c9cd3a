//go:build !nohub

package hub

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/enroll"
	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/collect"
	"sensorgateway/gateway/hub"
)

// TestOtherPages holds that a page of any origin that has a token may read the overview of
// all gateways, as it may read each gateway.
func TestOtherPages(t *testing.T) {
	log, dir, token := slog.New(slog.NewTextHandler(t.Output(), nil)), t.TempDir(), ""
	err := tokens.Edit(dir, func(f *tokens.File) (err error) {
		token, err = f.Add(tokens.Token{Name: "anna", Role: tokens.Viewer})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := collect.Open(collect.Options{Dir: t.TempDir(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	registry, err := hub.NewRegistry(hub.RegistryOptions{
		Hub: "hub-a", Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), Dir: t.TempDir(), Log: log,
		Check: func(fleet.Gateway) error { return nil }, Members: func() []fleet.Gateway { return nil },
		Store:   func(context.Context, string, fleet.Blocks) error { return nil },
		Missing: func(string) ([]hub.Gap, error) { return nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	o := serveOptions{here: &here{env: console.Env{Getenv: func(string) string { return "" }}, state: dir}, name: "hub-a"}
	mux := http.NewServeMux()
	o.newWeb(registry, enroll.OpenMembers(dir), stored, log).handle(mux)
	server := httptest.NewServer(mux)
	defer server.Close()
	ask := func(method string, header ...string) *http.Response {
		t.Helper()
		r, err := http.NewRequest(method, server.URL+"/api/v1/gateways", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", "https://scada.example")
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer
	}
	asked := ask(http.MethodOptions, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization")
	if asked.StatusCode != http.StatusNoContent || asked.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("whether it may ask: %s %v", asked.Status, asked.Header)
	}
	got := ask(http.MethodGet, "Authorization", "Bearer "+token)
	if got.StatusCode != http.StatusOK || got.Header.Get("Access-Control-Allow-Origin") != "https://scada.example" || got.Header.Get("Vary") != "Origin" {
		t.Errorf("with a token: %s %v", got.Status, got.Header)
	}
	if got := ask(http.MethodGet); got.StatusCode != http.StatusForbidden || got.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("without: %s %v", got.Status, got.Header)
	}
}

// TestCertificateIsMadeAgain holds that browsers accept the hub's certificate after the hub has
// run for longer than it is valid.
func TestCertificateIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority, err := enroll.InitAuthority(t.TempDir(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		o := serveOptions{here: &here{machine: "hub"}}
		config, _, err := o.certificate(authority, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(authority.PEM())
		time.Sleep(3 * 365 * 24 * time.Hour)
		near, far := net.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = tls.Server(far, config).Handshake() // a client that refuses it says why
			_ = far.Close()
		}()
		if err := tls.Client(near, &tls.Config{RootCAs: roots, ServerName: "localhost"}).Handshake(); err != nil {
			t.Error(err)
		}
		_ = near.Close()
		<-ended
	})
}
