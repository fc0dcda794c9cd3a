package gateway

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"sensorgateway/gateway/access"
)

// raw sends a request as it stands, and returns the answer and its body.
func raw(t *testing.T, addr, request string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request+"\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	return answer, string(body)
}

// Everybody may ask for the health, which says nothing else; all else is for those who
// may connect.
func TestHealthIsOpen(t *testing.T) {
	s := start(t, func(o *Options) { o.Access = visitorsOnly{} })
	const stranger = "\r\nOrigin: http://evil.example"
	for request, want := range map[string]int{
		"GET /healthz HTTP/1.0":                                             200,
		"GET /healthz HTTP/1.0" + stranger:                                  200,
		"GET /healthz HTTP/1.1\r\nHost: 10.1.2.3" + stranger:                200,
		"OPTIONS /healthz HTTP/1.0":                                         200, // haproxy's "option httpchk /healthz"
		"GET /readyz HTTP/1.1\r\nHost: x" + stranger:                        403,
		"GET /healthz/../readyz HTTP/1.1\r\nHost: x" + stranger:             403,
		"GET /api/v1/sensors HTTP/1.1\r\nHost: x" + stranger:                403,
		"GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: websocket" + stranger: 200, // a GET as any other: no Connection: Upgrade
	} {
		answer, body := raw(t, s.addr, request)
		if answer.StatusCode != want {
			t.Errorf("%q: %d %s, want %d", request, answer.StatusCode, body, want)
		}
		if allowed := answer.Header.Get("Access-Control-Allow-Origin"); allowed != "" {
			t.Errorf("%q: readable by %s", request, allowed)
		}
		if want == 200 && body != `{"ok":true,"reason":"ticks are made and broadcast"}`+"\n" {
			t.Errorf("%q: %s", request, body)
		}
	}
}

// Pages that may have readings by WebSocket may have them by GET too, and nothing else.
func TestPagesThatMayRead(t *testing.T) {
	s := start(t)
	s.tick()
	for path, want := range map[string]string{
		"/api/v1/sensors": "https://panel.example", "/api/v1/motors": "https://panel.example", "/sensors/indoor": "https://panel.example",
		"/sensors/nope": "https://panel.example", "/metrics": "", "/readyz": "", "/healthz": "",
	} {
		answer, _ := raw(t, s.addr, "GET "+path+" HTTP/1.1\r\nHost: x\r\nOrigin: https://panel.example")
		if got := answer.Header.Get("Access-Control-Allow-Origin"); got != want || want != "" && answer.Header.Get("Vary") != "Origin" {
			t.Errorf("%s may be read by %q (%v)", path, got, answer.Header)
		}
		answer, _ = raw(t, s.addr, "GET "+path+" HTTP/1.1\r\nHost: x")
		if got := answer.Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s without an origin may be read by %q", path, got)
		}
	}
	answer, _ := raw(t, s.addr, "OPTIONS /api/v1/sensors HTTP/1.1\r\nHost: x\r\nOrigin: https://panel.example\r\nAccess-Control-Request-Method: PUT")
	if answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a page asks whether it may PUT: %s", answer.Status)
	}
}

// Browsers that came with TLS use nothing but TLS from then on, unless the
// configuration says no.
func TestStrictTransportSecurity(t *testing.T) {
	for _, tt := range []struct {
		hsts, tls bool
		want      string
	}{{true, true, "max-age=2592000"}, {true, false, ""}, {false, true, ""}} {
		s := start(t, func(o *Options) { o.HSTS = tt.hsts })
		r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
		if tt.tls {
			r.TLS = &tls.ConnectionState{}
		}
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, r)
		if got := w.Header().Get("Strict-Transport-Security"); got != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}

// A page of any origin may send a token in a header and read the answer. Without a
// token it may not read it, nor send anything else.
func TestPagesWithAToken(t *testing.T) {
	s := start(t, func(o *Options) {
		o.Access = refuse401{}
	})
	ask := func(request string) *http.Response {
		answer, _ := raw(t, s.addr, request+" HTTP/1.1\r\nHost: x\r\nOrigin: https://elsewhere.example")
		return answer
	}
	preflight := func(method, headers string) *http.Response {
		answer, _ := raw(t, s.addr, "OPTIONS /api/v1/sensors HTTP/1.1\r\nHost: x\r\nOrigin: https://elsewhere.example\r\nAccess-Control-Request-Method: "+method+"\r\nAccess-Control-Request-Headers: "+headers)
		return answer
	}
	if got := preflight("GET", "authorization"); got.StatusCode != http.StatusNoContent || got.Header.Get("Access-Control-Allow-Origin") != "*" || got.Header.Get("Access-Control-Allow-Headers") != "authorization" || got.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("may it send a token: %s %v", got.Status, got.Header)
	}
	for _, asked := range [][2]string{{"POST", "authorization"}, {"DELETE", "authorization"}, {"GET", "x-other"}, {"GET", "authorization,x-other"}, {"GET", ""}} {
		if got := preflight(asked[0], asked[1]); got.StatusCode < 400 || got.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("may it %v: %s %v", asked, got.Status, got.Header)
		}
	}
	for header, want := range map[string]string{"Authorization: Bearer gwt_x": "*", "Authorization: Basic Og==": "", "Cookie: gw-x=y": ""} {
		answer, _ := raw(t, s.addr, "GET /api/v1/sensors HTTP/1.1\r\nHost: x\r\nOrigin: https://elsewhere.example\r\n"+header)
		if got := answer.Header.Get("Access-Control-Allow-Origin"); answer.StatusCode != http.StatusUnauthorized || got != want {
			t.Errorf("%s: %s, to be read by %q, want %q", header, answer.Status, got, want)
		}
	}
	if got := ask("GET /api/v1/sensors").Header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("without a token, the refusal may be read by %q", got)
	}
}

// refuse401 knows nobody.
type refuse401 struct{}

func (refuse401) Identify(*http.Request) (*access.Identity, *access.Refusal) {
	return nil, &access.Refusal{Status: http.StatusUnauthorized, Reason: access.ReasonToken, Err: errors.New("who are you")}
}
