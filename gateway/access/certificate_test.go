package access

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/wire"
)

// TestGuardCertificate holds that a certificate identifies its token's holder, that it comes
// last, and that it does not count if a page of another site has a browser send it.
func TestGuardCertificate(t *testing.T) {
	const foreign = "of another authority" // in the place of a name
	client := func(state *tls.ConnectionState) (string, context.Context, error) {
		if name := state.PeerCertificates[0].Subject.CommonName; name != foreign {
			return name, t.Context(), nil
		}
		return "", nil, errors.New("it is not of an authority in tls.clients")
	}
	dir := t.TempDir()
	viewer := addToken(t, dir, tokens.Token{Name: "viewer", Role: tokens.Viewer})
	addToken(t, dir, tokens.Token{Name: "ayşe", Role: tokens.Operator, Sensors: []string{"indoor"}})
	addToken(t, dir, tokens.Token{Name: "gone", Role: tokens.Operator, Expires: time.Now().Add(-time.Hour)})
	file, err := tokens.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	proxy := Proxy{From: netip.MustParsePrefix("192.0.2.9/32"), Header: "X-Forwarded-For"}
	policy := &Policy{Origins: []string{"https://scada.example"}, Proxies: []Proxy{proxy}}
	g := newGuard(t, dir, Options{Exposed: true, Policy: policy, Client: client})
	open := newGuard(t, dir, Options{Exposed: true, Open: true, Policy: &Policy{}, Client: client})
	by := func(name string, header ...string) *http.Request {
		r := requestFrom("192.0.2.7", "/")
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: name}}}}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return r
	}
	for name, tt := range map[string]struct {
		*http.Request
		name, how string
		status    int
	}{
		"by name":                   {by("ayşe"), "ayşe", "certificate", 0},
		"by ID":                     {by(file.Find("ayşe").ID), "ayşe", "certificate", 0},
		"a token goes first":        {by("ayşe", "Authorization", "Bearer "+viewer), "viewer", "bearer", 0},
		"a wrong token goes first":  {by("ayşe", "Authorization", "Bearer "+viewer[:20]), "", "", 401},
		"somebody's Basic does not": {by("ayşe", "Authorization", "Basic dXNlcjpwYXNzd29yZA=="), "ayşe", "certificate", 0},
		"from our page":             {by("ayşe", "Origin", "https://192.0.2.1:8765"), "ayşe", "certificate", 0},
		"from an allowed page":      {by("ayşe", "Origin", "https://scada.example"), "ayşe", "certificate", 0},
		"from another page":         {by("ayşe", "Origin", "https://evil.example"), "", "", 403},
		"of another authority":      {by(foreign), "", "", 401},
		"of nobody who is known":    {by("zeynep"), "", "", 401},
		"of one who has expired":    {by("gone"), "", "", 401},
	} {
		id, refusal := g.Identify(tt.Request)
		switch {
		case tt.status != 0 && (refusal == nil || refusal.Status != tt.status || refusal.Err == nil):
			t.Errorf("%s: %+v, want %d", name, refusal, tt.status)
		case tt.status == 0 && (refusal != nil || id.Name != tt.name || id.How != tt.how):
			t.Errorf("%s: %+v, %+v", name, id, refusal)
		}
	}
	id, _ := g.Identify(by("ayşe"))
	if id.Role != tokens.Operator || !slices.Equal(id.Sensors, []string{"indoor"}) || id.Denied != nil {
		t.Errorf("%+v", id)
	}
	through := by("ayşe", "X-Forwarded-For", "198.51.100.1")
	through.RemoteAddr = "192.0.2.9:50000"
	if id, refusal := g.Identify(through); refusal == nil {
		t.Errorf("the certificate of a proxy is not its clients': %+v", id)
	}
	if _, refusal := open.Identify(by(foreign)); refusal == nil || refusal.Status != http.StatusUnauthorized || !strings.Contains(refusal.Err.Error(), "tls.clients") {
		t.Errorf("a foreign certificate, where all may see: %+v", refusal)
	}
	if id, refusal := open.Identify(by("zeynep")); refusal != nil || id.Name != "" {
		t.Errorf("nobody who is known, where all may see: %+v %+v", id, refusal)
	}
	if _, _, err := g.Tokens.LogIn(viewer, ""); err != nil { // nothing that concerns her
		t.Fatal(err)
	}
	if id.Ended() != "" {
		t.Error("it ended without a reason")
	}
	if err := g.Tokens.Edit(tokens.Author{}, func(f *tokens.File) error { return f.Revoke("ayşe") }); err != nil {
		t.Fatal(err)
	}
	if id.Ended() != "Token revoked" {
		t.Errorf("its token is revoked: %q", id.Ended())
	}
}

// TestGuardCertificateEnds holds that an identity by a certificate, or by a ticket that was
// fetched with one, lasts as long as both the certificate and the token are valid.
func TestGuardCertificateEnds(t *testing.T) {
	dir := t.TempDir()
	addToken(t, dir, tokens.Token{Name: "ayşe", Role: tokens.Operator})
	for why, want := range map[error]string{context.Canceled: wire.CloseReasonRevoked, context.DeadlineExceeded: wire.CloseReasonExpired} {
		good, end := context.WithCancelCause(t.Context())
		g := newGuard(t, dir, Options{Exposed: true, Policy: &Policy{}, Client: func(*tls.ConnectionState) (string, context.Context, error) { return "ayşe", good, nil }})
		r := requestFrom("192.0.2.7", "/")
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
		id, refusal := g.Identify(r)
		if refusal != nil {
			t.Fatal(refusal.Err)
		}
		text, err := g.tickets.add(*id, "/", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		answered, done := id.With(r)
		defer done()
		if id.Ended() != "" || answered.Context().Err() != nil {
			t.Fatal("it has ended at once")
		}
		end(why)
		if got := id.Ended(); got != want {
			t.Errorf("%v: ended with %q, want %q", why, got, want)
		}
		<-answered.Context().Done()
		if _, refusal := g.Identify(requestFrom("192.0.2.7", "/?ticket="+text)); refusal == nil {
			t.Error("a ticket is good after the certificate with which it was fetched")
		}
	}
}
