package access

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"sensorgateway/gateway/access/tokens"
)

// TestAdministrators holds that a page that may read cannot change anything with what a
// browser sends by itself, and that other clients than administrators can do neither.
func TestAdministrators(t *testing.T) {
	dir := t.TempDir()
	admin := addToken(t, dir, tokens.Token{Name: "boss", Role: tokens.Admin})
	operator := addToken(t, dir, tokens.Token{Name: "ayşe", Role: tokens.Operator})
	outside, _ := url.Parse("https://greenhouse.example/gateway/") // of this file
	var refused []string
	g := newGuard(t, dir, Options{
		Policy: &Policy{Origins: []string{"https://scada.example"}, URL: outside}, Open: true,
		Client:  func(*tls.ConnectionState) (string, context.Context, error) { return "boss", t.Context(), nil },
		Refused: func(reason, client, _ string) { refused = append(refused, reason+" "+client) },
	})
	cookie, _, err := g.Tokens.LogIn(admin, "")
	if err != nil {
		t.Fatal(err)
	}
	served := g.Administrators(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if Of(r).Name != "boss" {
			t.Errorf("%+v is served", Of(r))
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	ways := map[string]func(*http.Request){
		"bearer": func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+admin) },
		"basic": func(r *http.Request) {
			r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(":"+admin)))
		},
		"cookie": func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "gw-" + g.Tokens.Gateway(), Value: cookie}) },
		"certificate": func(r *http.Request) {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: "boss"}}}}
		},
		"operator": func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+operator) },
		"nothing":  func(*http.Request) {},
	}
	for way, present := range ways {
		for origin, may := range map[string]struct{ connect, change bool }{
			"": {true, true}, "own": {true, true}, "https://greenhouse.example": {true, true}, "https://scada.example": {true, false}, "https://evil.example": {},
		} {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete, "PROPFIND"} {
				r := requestFrom("192.0.2.7", "/api/v1/tokens")
				r.Method = method
				present(r)
				if origin == "own" {
					r.Header.Set("Origin", g.Policy.scheme(r)+"://"+r.Host)
				} else if origin != "" {
					r.Header.Set("Origin", origin)
				}
				want, reads := http.StatusNoContent, method == http.MethodGet || method == http.MethodHead
				switch {
				case way == "operator", way == "nothing":
					want = http.StatusForbidden
				case way != "bearer" && (!may.connect || !reads && !may.change):
					want = http.StatusForbidden
				}
				refused = nil
				w := httptest.NewRecorder()
				served.ServeHTTP(w, r)
				if w.Code != want || (len(refused) == 1) != (want == http.StatusForbidden) {
					t.Errorf("%s, %s, origin %q: %d, want %d; refused %q", way, method, origin, w.Code, want, refused)
				}
			}
		}
	}
}
