package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// A route is a way from a client to a gateway: its own, TLS or a proxy's.
type route struct {
	base      string // http(s)://HOST:PORT, which is the page's origin too
	transport *http.Transport
	cookie    string // the name of the gateway's, once somebody has logged in
}

// routeTo returns the route to the address that a gateway on this machine has announced.
func routeTo(p *gatewayProcess) route {
	return routeAt(strings.TrimSuffix("http"+strings.TrimPrefix(p.URL, "ws"), "/"))
}

func routeAt(base string) route {
	return route{base: base, transport: http.DefaultTransport.(*http.Transport)}
}

func startOnLoopback(t *testing.T, state string) (*gatewayProcess, route) {
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0", "--state", state)
	return p, routeTo(p)
}

// startWithTLS starts a gateway with a certificate of its own.
func startWithTLS(t *testing.T, state string) (*gatewayProcess, route) { return startTLS(t, state, "") }

// startTLS does the same with more lines of tls: in the configuration.
func startTLS(t *testing.T, state, more string) (*gatewayProcess, route) {
	dir := t.TempDir()
	trusted := makeCert(t, dir)
	config := writeFile(t, "gateway.yaml", fmt.Sprintf("%s\nhosts: [greenhouse.example]\ntls: {cert: %s, key: %s%s}\n", simulatedWithoutInterlocks(t),
		filepath.Join(dir, "gateway.crt"), filepath.Join(dir, "gateway.key"), more))
	p := startGateway(t, buildGateway(t), "--simulate", "--config", config, "--listen", "127.0.0.1:0", "--state", state)
	l := routeTo(p)
	address := strings.TrimPrefix(l.base, "https://")
	_, port, _ := net.SplitHostPort(address)
	l.base = "https://greenhouse.example:" + port
	l.transport = dialing(t, address, trusted)
	return p, l
}

// startBehindNginx starts a gateway and nginx before it, as configs/nginx.conf has it.
func startBehindNginx(t *testing.T, state string) (*gatewayProcess, route) {
	nginx, dir := proxyPrograms[0], t.TempDir()
	findTool(t, nginx.name, nginx.pkg)
	trusted := makeCert(t, dir)
	config := writeFile(t, "gateway.yaml", string(simulatedWithoutInterlocks(t))+gatewayLines(t, nginx.text(t)))
	p := startGateway(t, buildGateway(t), "--simulate", "--config", config, "--listen", "127.0.0.1:0", "--state", state)
	address := nginx.startFor(t, p, dir)
	_, port, _ := net.SplitHostPort(address)
	return p, route{base: "https://greenhouse.example:" + port, transport: dialing(t, address, trusted)}
}

// dialing returns a transport that connects to an address, whatever the URL's host is.
func dialing(t *testing.T, address string, trusted *x509.CertPool) *http.Transport {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trusted},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// request sends a credential in one of the ways, for a path; "ws " before the path asks for an upgrade.
func (l route) request(way string, c credential, path, origin string) (*http.Request, error) {
	path, upgrade := strings.CutPrefix(path, "ws ")
	r, err := http.NewRequest(http.MethodGet, l.base+path, nil)
	if err != nil {
		return nil, err
	}
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	if upgrade {
		for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
			r.Header.Set(name, value)
		}
	}
	cookie := func(value string) { r.Header.Set("Cookie", l.cookie+"="+value) }
	inQuery := func(name, value string) {
		q := r.URL.Query()
		q.Set(name, value)
		r.URL.RawQuery = q.Encode()
	}
	switch way {
	case "bearer":
		r.Header.Set("Authorization", "Bearer "+c.token)
	case "basic":
		r.SetBasicAuth("anybody", c.token)
	case "subprotocol":
		r.Header.Set("Sec-WebSocket-Protocol", wire.ReadingsJSON+", gateway.token."+c.token)
	case "cookie":
		cookie(c.cookie)
	case "ticket":
		ticket := "WRONG" + c.token
		if c.good {
			if ticket, err = l.ticket(c.token, r.URL.Path); err != nil {
				return nil, err
			}
		}
		inQuery("ticket", ticket)
	case "query":
		inQuery("token", c.token)
	case "bearer beside a wrong cookie":
		r.Header.Set("Authorization", "Bearer "+c.token)
		cookie("wrong")
	case "cookie beside a wrong bearer":
		r.Header.Set("Authorization", "Bearer wrong")
		cookie(c.cookie)
	case "basic of a proxy beside the cookie":
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("user:password")))
		cookie(c.cookie)
	}
	return r, nil
}

// dial connects to the readings and commands of all sensors and motors.
func (l route) dial(t *testing.T, way string, c credential, origin string) (tokenClient, error) {
	t.Helper()
	r, err := l.request(way, c, "/", origin)
	if err != nil {
		return tokenClient{}, err
	}
	dialer := websocket.Dialer{HandshakeTimeout: patience, NetDialContext: l.transport.DialContext, TLSClientConfig: l.transport.TLSClientConfig}
	if r.Header.Get("Sec-WebSocket-Protocol") == "" {
		r.Header.Set("Sec-WebSocket-Protocol", wire.ReadingsJSON)
	}
	conn, _, err := dialer.Dial("ws"+strings.TrimPrefix(r.URL.String(), "http"), r.Header)
	if err != nil {
		return tokenClient{}, err
	}
	t.Cleanup(func() { conn.Close() })
	return tokenClient{conn, t}, nil
}

// logIn logs a browser in, and returns its cookie.
func (l *route) logIn(t *testing.T, token string) string {
	t.Helper()
	body, _ := json.Marshal(map[string]string{"token": token})
	client := http.Client{Transport: l.transport}
	answer, err := client.Post(l.base+"/login", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	cookies := answer.Cookies()
	if len(cookies) != 1 {
		t.Fatalf("%d cookies: %s", len(cookies), answer.Status)
	}
	c, secure := cookies[0], strings.HasPrefix(l.base, "https:")
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure != secure || strings.HasPrefix(c.Name, "__Host-") != secure {
		t.Errorf("the cookie is %v", c)
	}
	l.cookie = c.Name
	return c.Value
}

// ticket asks for a ticket for a path.
func (l route) ticket(token, path string) (string, error) {
	body, _ := json.Marshal(map[string]string{"path": path})
	r, err := http.NewRequest(http.MethodPost, l.base+"/api/v1/tickets", strings.NewReader(string(body)))
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := l.transport.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var got struct{ Ticket string }
	err = json.NewDecoder(answer.Body).Decode(&got)
	return got.Ticket, err
}
