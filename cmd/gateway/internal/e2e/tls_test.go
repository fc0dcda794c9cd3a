package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// The steps of the README: a certificate for a first try, the gateway with it, a client that
// trusts it. Then another certificate, loaded by SIGHUP, and a broken one.
func TestTLS(t *testing.T) {
	t.Parallel()
	bin, dir := buildGateway(t), t.TempDir()
	makeCert := func() {
		t.Helper()
		if out, err := exec.Command(bin, "cert", "--out", dir, "--force").CombinedOutput(); err != nil || !strings.Contains(string(out), "tls:") {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	makeCert()
	crt, key := filepath.Join(dir, "gateway.crt"), filepath.Join(dir, "gateway.key")
	config := writeFile(t, "gateway.yaml", fmt.Sprintf("tls: {cert: %s, key: %s}\nsensors:\n  - {name: a, chip: sht3x}\n", crt, key))
	p := startGateway(t, bin, "--config", config, "--simulate", "--listen", "127.0.0.1:0")
	if !strings.HasPrefix(p.URL, "wss://") {
		t.Fatalf("it says %s", p.URL)
	}
	address := strings.TrimSuffix(strings.TrimPrefix(p.URL, "wss://"), "/")

	trusting := func() *tls.Config {
		pem, err := os.ReadFile(crt)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		return &tls.Config{RootCAs: pool}
	}
	serial := func(config *tls.Config) (string, error) {
		c, err := tls.Dial("tcp", address, config)
		if err != nil {
			return "", err
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
	}
	first, err := serial(trusting())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := serial(&tls.Config{}); err == nil {
		t.Error("a client that does not trust it is connected")
	}

	// A stream over TLS: the ticks in order, without those that a busy machine misses.
	d := websocket.Dialer{TLSClientConfig: trusting(), Subprotocols: []string{wire.ReadingsV2}}
	c, _, err := d.Dial(p.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	var last uint32
	for i := 0; i < 20; {
		kind, b, err := c.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if kind != websocket.BinaryMessage {
			continue
		}
		records, err := wire.ParseRecords(b)
		if err != nil || i > 0 && records[0].Seq <= last {
			t.Fatalf("%+v after %d, %v", records, last, err)
		}
		last = records[0].Seq
		i++
	}
	watch := launchGateway(t, bin, "watch", p.URL, "--ca", crt)
	watch.await(t, `"sensor":"a"`)
	if err := watch.Stop(t); err != nil {
		t.Errorf("gateway watch: %v", err)
	}

	// A close frame is answered, over TLS too.
	for range 20 {
		c, _, err := d.Dial(p.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if err := c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "")); err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, _, err = c.ReadMessage()
		}
		if !websocket.IsCloseError(err, 1000) {
			t.Fatalf("a close was answered with %v", err)
		}
		c.Close()
	}

	makeCert()
	hangup := func() {
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hangup()
	p.await(t, "certificate reloaded")
	second, err := serial(trusting())
	if err != nil || second == first {
		t.Fatalf("after SIGHUP: certificate %s, %v, want another than %s", second, err, first)
	}
	if err := os.WriteFile(key, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	hangup()
	p.await(t, "the old one stays")
	if s, err := serial(trusting()); err != nil || s != second {
		t.Errorf("after a broken key: %s %v, want the old certificate", s, err)
	}
	// A client that connects and says nothing is disconnected.
	silent, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_ = silent.SetReadDeadline(time.Now().Add(patience))
	if _, err := silent.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("a silent TLS client is still there: %v", err)
	}
	if err := p.Stop(t); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
}
