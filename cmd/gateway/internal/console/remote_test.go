package console

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/client"
)

func TestCompleteURL(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"localhost:8765", "ws://localhost:8765/"},
		{"localhost", "ws://localhost:8765/"},
		{"pi.local:80/sensors/indoor", "ws://pi.local:80/sensors/indoor"},
		{"pi/sensors/indoor?since=5", "ws://pi:8765/sensors/indoor?since=5"},
		{":9000", "ws://localhost:9000/"},
		{"192.0.2.7", "ws://192.0.2.7:8765/"},
		{"[::1]:9000", "ws://[::1]:9000/"},
		{"[::1]", "ws://[::1]:8765/"},
		{"::1", "ws://[::1]:8765/"},
		{"http://pi:8765", "ws://pi:8765/"},
		{"https://pi.example/gw/", "wss://pi.example/gw/"},
		{"ws://pi.example", "ws://pi.example/"},
		{"wss://pi:8443/", "wss://pi:8443/"},
		{"WS://pi/", "ws://pi/"},
	} {
		got, err := completeURL(tt.in)
		if err != nil || got.String() != tt.want {
			t.Errorf("%q: %v, %v, want %s", tt.in, got, err, tt.want)
		}
	}
	for _, bad := range []string{"ftp://pi/", "file:///etc/passwd", "ws://a b/", "pi:port", "ws://[::1", "%zz"} {
		if got, err := completeURL(bad); err == nil {
			t.Errorf("%q: %v, want an error", bad, got)
		}
	}
}

func TestParseHeaders(t *testing.T) {
	h, err := parseHeaders([]string{"Authorization: Bearer a:b", "x-two:1", "X-Two:  2 "})
	if err != nil || h.Get("Authorization") != "Bearer a:b" || strings.Join(h["X-Two"], ",") != "1,2" {
		t.Errorf("%v, %v", h, err)
	}
	for _, bad := range []string{"", "secret", ": secret", "a b: secret", "a: secret\r\nb: c", "é: secret"} {
		if h, err := parseHeaders([]string{bad}); err == nil {
			t.Errorf("%q: %v, want an error", bad, h)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the value is in %q", bad, err)
		}
	}
}

func TestRemoteOptions(t *testing.T) {
	dir := t.TempDir()
	noPEM := filepath.Join(dir, "no.pem")
	if err := os.WriteFile(noPEM, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	timely := remote{openTimeout: time.Second, closeTimeout: time.Second, getenv: func(string) string { return "" }}
	for _, tt := range []struct {
		name, url string
		change    func(*remote)
		usage     bool
		want      string
	}{
		{"a bad URL", "ftp://pi", func(*remote) {}, true, "ws://"},
		{"a bad header", "pi", func(r *remote) { r.headers = []string{"x"} }, true, "--header"},
		{"no time to open", "pi", func(r *remote) { r.openTimeout = 0 }, true, "--open-timeout"},
		{"no time to close", "pi", func(r *remote) { r.closeTimeout = -1 }, true, "--close-timeout"},
		{"no token file", "pi", func(r *remote) { r.tokenFile = filepath.Join(dir, "none") }, true, "--token-file"},
		{"no token in the file", "pi", func(r *remote) { r.tokenFile = noPEM }, true, "that is no token"},
		{"a CA without TLS", "pi", func(r *remote) { r.ca = noPEM }, true, "wss://"},
		{"a client's certificate without its key", "wss://pi", func(r *remote) { r.cert = "x" }, true, "go together"},
		{"a client's certificate without TLS", "ws://pi", func(r *remote) { r.cert, r.key = "x", "y" }, true, "not encrypted"},
		{"no client's certificate file", "wss://pi", func(r *remote) { r.cert, r.key = filepath.Join(dir, "none"), "y" }, false, "--client-cert"},
		{"no CA file", "wss://pi", func(r *remote) { r.ca = filepath.Join(dir, "none") }, false, "--ca"},
		{"no CA in the file", "wss://pi", func(r *remote) { r.ca = noPEM }, false, "PEM"},
	} {
		r := timely
		tt.change(&r)
		_, err := r.options(tt.url)
		var usage UsageError
		if err == nil || errors.As(err, &usage) != tt.usage || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// A gateway with a certificate of its own is watched with --ca and not without,
// and what --header says arrives.
func TestWatchTLS(t *testing.T) {
	s := fakeGateway(t, true, func(p *fakePeer) {
		if got := p.request.Header.Get("Authorization"); got != "Bearer x" {
			t.Errorf("Authorization: %q", got)
		}
		p.hello()
		p.wait()
	})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c := startClient(t, Watch, nil, s.URL, "--ca", ca, "--header", "Authorization: Bearer x")
	c.stderr.await(t, "connected to wss://")
	c.interrupt()
	if err := c.end(); err != nil {
		t.Error(err)
	}
	err := startClient(t, Watch, nil, s.URL).end()
	if err == nil || !strings.Contains(err.Error(), "--ca FILE") {
		t.Errorf("%v, want advice to use --ca", err)
	}
}

// A certificate that is not accepted is explained with the fix, as are the wrong
// scheme either way.
func TestExplainCertificates(t *testing.T) {
	var r remote
	for _, tt := range []struct {
		err  error
		want string
	}{
		{x509.HostnameError{Certificate: &x509.Certificate{Subject: pkix.Name{CommonName: "pi\x1b.local"}}, Host: "pi.local"},
			`common name only, "pi\x1b.local", which clients no longer read; give the server one with subject alternative names: gateway cert --host pi.local)`},
		{x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"pi.local", "pi"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 7)}}, Host: "localhost"},
			"(connect to pi.local, pi or 192.0.2.7, or give the server a certificate for localhost: gateway cert --host localhost)"},
		{x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}, "set the clock of this machine"},
		{x509.UnknownAuthorityError{}, "--ca FILE"},
	} {
		err := r.explain(fmt.Errorf("connect: %w", tt.err))
		if !strings.Contains(err.Error(), tt.want) || !errors.As(err, reflect.New(reflect.TypeOf(tt.err)).Interface()) {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
}

// The real thing: certificates as people have them.
func TestCommonNameOnly(t *testing.T) {
	s := fakeGateway(t, true, func(p *fakePeer) { p.wait() })
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s.TLS.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	err = startClient(t, Watch, nil, strings.Replace(s.URL, "127.0.0.1", "localhost", 1), "--ca", ca).end()
	if err == nil || !strings.Contains(err.Error(), "subject alternative names: gateway cert --host localhost") {
		t.Errorf("%v", err)
	}
}

func TestWrongScheme(t *testing.T) {
	plain, secure := fakeGateway(t, false, func(p *fakePeer) { p.wait() }), fakeGateway(t, true, func(p *fakePeer) { p.wait() })
	for url, want := range map[string]string{
		strings.Replace(plain.URL, "http:", "wss:", 1):  strings.Replace(plain.URL, "http:", "ws:", 1),
		strings.Replace(secure.URL, "https:", "ws:", 1): strings.Replace(secure.URL, "https:", "wss:", 1),
	} {
		for name, run := range map[string]*clientCommand{
			"watch": startClient(t, Watch, nil, url), "motor": startClient(t, Motor, nil, url, "status"), "chat": startClient(t, Chat, strings.NewReader(""), url),
		} {
			if err := run.end(); err == nil || !strings.Contains(err.Error(), ": write "+want+"/") {
				t.Errorf("%s %s: %v, want %s", name, url, err, want)
			}
		}
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain, ünïcode, 漢字, 👍🏽":   "plain, ünïcode, 漢字, 👍🏽",
		"\x1b[2Jgone\x07":          "�[2Jgone�",
		"c1 \u009b31m":             "c1 �31m",
		"a\r\nfake: line\ttab":     "a  fake: line tab",
		"\u202egpj.exe\u2066":      "�gpj.exe�",
		"می\u200cخواهم":            "می\u200cخواهم",
		"\u2028\u2029\u00a0|":      "   |",
		"\xff\xfe":                 "��",
		"del\x7f soft\u00adhyphen": "del� soft�hyphen",
	} {
		if got := Printable(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("\x1b[2J\u009b\u202e\r\n\xff")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Printable(s) {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
				t.Errorf("%q lets %U through", s, r)
			}
		}
	})
}

func TestCountdown(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0.0 s", 0: "0.0 s", 1: "0.1 s", 3200 * time.Millisecond: "3.2 s", 3201 * time.Millisecond: "3.3 s", 59 * time.Second: "59.0 s",
		59901 * time.Millisecond: "1 min", time.Minute: "1 min", 5 * time.Minute: "5 min", 299 * time.Second: "4 min 59 s",
	} {
		if got := countdown(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// Text from the network in an error never reaches the terminal raw.
func TestExplainIsPrintable(t *testing.T) {
	var r remote
	err := r.explain(&client.ServerError{Code: 1008, Reason: "x"})
	var refused *client.ServerError
	if !errors.As(err, &refused) {
		t.Errorf("%v lost its cause", err)
	}
	if got := r.explain(errors.New("\x1b[2J")).Error(); got != "�[2J" {
		t.Errorf("%q", got)
	}
	if err := r.explain(nil); err != nil {
		t.Errorf("%v", err)
	}
}
