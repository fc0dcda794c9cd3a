package e2e

import (
	"crypto/tls"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestCertVerifiesInPython(t *testing.T) {
	t.Parallel()
	python := findTool(t, "python3", "python3")
	dir := t.TempDir()
	if out, err := exec.Command(buildGateway(t), "cert", "--host", "gw.example", "--host", "10.9.8.7", "--out", dir).CombinedOutput(); err != nil {
		t.Fatalf("gateway cert: %v\n%s", err, out)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "gateway.crt"), filepath.Join(dir, "gateway.key"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, c) // the client's result is the one that counts
			_ = c.Close()
		}
	}()
	defer func() { l.Close(); <-ended }()

	// VERIFY_X509_STRICT is the default from Python 3.13 on.
	const script = `
import socket, ssl, sys
ca, port, wrong, *names = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.verify_flags |= ssl.VERIFY_X509_STRICT
def connect(name):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
        context.wrap_socket(s, server_hostname=name).close()
for name in names:
    connect(name)
try:
    connect(wrong)
    sys.exit("it is for " + wrong + " too")
except ssl.SSLCertVerificationError:
    pass
`
	_, port, _ := net.SplitHostPort(l.Addr().String())
	args := append([]string{"-c", script, filepath.Join(dir, "gateway.crt"), port, "evil.example"}, pair.Leaf.DNSNames...)
	for _, ip := range pair.Leaf.IPAddresses {
		args = append(args, ip.String())
	}
	if out, err := exec.CommandContext(t.Context(), python, args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
