package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/wire"
)

// TestClientCertificates: the gateway identifies clients by certificates that "gateway cert"
// makes, with curl and over WebSocket, as long as the token is valid.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	curl := findTool(t, "curl", "curl")
	ours, foreign, state, bin := t.TempDir(), t.TempDir(), t.TempDir(), buildGateway(t)
	for _, args := range [][]string{{"--out", ours}, {"--out", ours, "--client", "ahmet"}, {"--out", foreign, "--client", "ahmet"}} {
		if out, err := exec.Command(bin, append([]string{"cert"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	in := func(dir, name string) string { return filepath.Join(dir, name) }
	config := writeFile(t, "gateway.yaml", fmt.Sprintf("tls: {cert: %s, key: %s, clients: %s}\nsensors:\n  - {name: a, chip: sht3x}\nmotors:\n  - {name: fan, kind: on_off, pin: GPIO17}\n",
		in(ours, "gateway.crt"), in(ours, "gateway.key"), in(ours, "clients.crt")))
	edit := func(change func(f *tokens.File) error) {
		t.Helper()
		if err := tokens.Edit(state, change); err != nil {
			t.Fatal(err)
		}
	}
	edit(func(f *tokens.File) error {
		_, err := f.Add(tokens.Token{Name: "ahmet", Role: tokens.Operator})
		return err
	})
	p := startGateway(t, bin, "--config", config, "--simulate", "--listen", "127.0.0.1:0", "--state", state)
	base := "https" + strings.TrimSuffix(strings.TrimPrefix(p.URL, "wss"), "/")
	get := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), curl, append([]string{"-sS", "--cacert", in(ours, "gateway.crt"), "-w", "\n%{http_code}"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("curl: %v: %s", err, out)
		}
		return string(out)
	}
	identified := func(dir string) []string {
		return []string{"--cert", in(dir, "ahmet.client.crt"), "--key", in(dir, "ahmet.client.key")}
	}
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{identified(ours), []string{`"sensors"`, "\n200"}},
		{nil, []string{"asks for a token", "\n401"}},
		{identified(foreign), []string{"not of an authority in tls.clients", "CN=Clients", "\n401"}},
		{append(identified(ours), "-H", "Origin: https://evil.example"), []string{"evil.example", "\n403"}},
	} {
		got := get(append(tt.args, base+"/api/v1/sensors")...)
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%v: %s, want %q", tt.args, got, want)
			}
		}
	}
	if got := get(append(identified(foreign), base+"/healthz")...); !strings.HasSuffix(got, "\n200") {
		t.Errorf("/healthz is open to all: %s", got)
	}

	pair, err := tls.LoadX509KeyPair(in(ours, "ahmet.client.crt"), in(ours, "ahmet.client.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(mustRead(t, in(ours, "gateway.crt"))))
	dialer := websocket.Dialer{Subprotocols: []string{wire.ReadingsJSON}, TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}
	dial := func() tokenClient {
		t.Helper()
		ws, _, err := dialer.Dial(p.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ws.Close() })
		return tokenClient{ws, t}
	}
	watch := launchGateway(t, bin, "watch", p.URL, "--ca", in(ours, "gateway.crt"), "--client-cert", in(ours, "ahmet.client.crt"), "--client-key", in(ours, "ahmet.client.key"))
	watch.await(t, `"sensor":"a"`)
	if err := watch.Stop(t); err != nil {
		t.Errorf("gateway watch: %v", err)
	}
	driver, watcher := dial(), dial()
	var hello wire.Hello
	if driver.read("hello", &hello); hello.You.Name != "ahmet" || hello.You.Role != "operator" {
		t.Errorf("%+v", hello.You)
	}
	if got := driver.command(`{"action":"start","target":"fan"}`); got != "ack" {
		t.Fatal(got)
	}
	// Another authority: connected clients are closed, and the motor stops.
	if err := os.WriteFile(in(ours, "clients.crt"), []byte(mustRead(t, in(foreign, "clients.crt"))), 0o600); err != nil {
		t.Fatal(err)
	}
	driver.closedWith("Token revoked")
	watcher.closedWith("Token revoked")
	p.await(t, "reason=revoked")
	if got := get(append(identified(ours), base+"/api/v1/sensors")...); !strings.HasSuffix(got, "\n401") {
		t.Errorf("of the authority that was removed: %s", got)
	}
	if got := get(append(identified(foreign), base+"/api/v1/sensors")...); !strings.HasSuffix(got, "\n200") {
		t.Errorf("of the new authority: %s", got)
	}
	if pair, err = tls.LoadX509KeyPair(in(foreign, "ahmet.client.crt"), in(foreign, "ahmet.client.key")); err != nil {
		t.Fatal(err)
	}
	dialer.TLSClientConfig = &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}
	driver = dial()
	edit(func(f *tokens.File) error { return f.Revoke("ahmet") })
	driver.closedWith("Token revoked")
	if got := get(append(identified(foreign), base+"/api/v1/sensors")...); !strings.Contains(got, "no such token") || !strings.HasSuffix(got, "\n401") {
		t.Errorf("revoked: %s", got)
	}
}

// TestAccessMatrixOfCertificates asks as TestAccessMatrix does, with a certificate in the
// name of each credential.
func TestAccessMatrixOfCertificates(t *testing.T) {
	t.Parallel()
	ours, foreign, state := t.TempDir(), t.TempDir(), t.TempDir()
	clientCert := func(dir, name string, args ...string) tls.Certificate {
		t.Helper()
		if out, err := exec.Command(buildGateway(t), append([]string{"cert", "--out", dir, "--client", name}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".client.crt"), filepath.Join(dir, name+".client.key"))
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	first := clientCert(ours, "somebody")
	_, l := startTLS(t, state, ", clients: "+filepath.Join(ours, "clients.crt"))
	all := makeCredentials(t, state, &l)
	names := map[string]string{"outdoor only": "outdoor", "until tomorrow": "tomorrow"} // of tokens; else as the credential
	cells, wrong := 0, 0
	for _, c := range all {
		pair, name := first, c.name
		switch {
		case c.name == "another gateway's":
			pair = clientCert(foreign, "admin")
		case c.name == "a typo", c.name == "cut", c.name == "empty": // somebody is no token
		default:
			if names[c.name] != "" {
				name = names[c.name]
			}
			pair = clientCert(ours, name)
		}
		holder := c
		if c.name == "rotated" { // the token has another text, and the same name
			holder.good, holder.role = true, "admin"
		}
		with := l
		with.transport = l.transport.Clone()
		with.transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		t.Cleanup(with.transport.CloseIdleConnections)
		n, bad := checkWays(t, with, []string{"certificate"}, []credential{holder}, 1)
		m, worse := checkWays(t, with, []string{"bearer beside a wrong cookie"}, []credential{c}, 1) // which goes first
		cells, wrong = cells+n+m, wrong+bad+worse
	}
	t.Logf("%d cells, %d wrong", cells, wrong)
	if cells < 1500 {
		t.Errorf("%d cells are too few", cells)
	}
}
