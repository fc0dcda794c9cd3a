package setup

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sensorgateway/cmd/gateway/internal/console"
)

// TestCertClient holds that all clients' certificates of a directory are of one authority
// and for clients alone, and that nothing is replaced unasked.
func TestCertClient(t *testing.T) {
	dir, out := makeCert(t, "--client", "ayşe")
	if _, err := runCert("--client", "wall display", "--out", dir); err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(filepath.Join(dir, "clients.crt"))
	if err != nil || !strings.Contains(out, "clients: "+filepath.Join(dir, "clients.crt")) && !strings.Contains(out, filepath.Join(dir, "clients.crt")) {
		t.Fatal(err, out)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	for _, name := range []string{"ayşe", "wall display"} {
		key := filepath.Join(dir, name+".client.key")
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".client.crt"), key)
		if err != nil {
			t.Fatal(err)
		}
		for usage, want := range map[x509.ExtKeyUsage]bool{x509.ExtKeyUsageClientAuth: true, x509.ExtKeyUsageServerAuth: false} {
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}}); (err == nil) != want {
				t.Errorf("%s, usage %d: %v", name, usage, err)
			}
		}
		if pair.Leaf.Subject.CommonName != name || pair.Leaf.IsCA {
			t.Errorf("%s: %+v", name, pair.Leaf.Subject)
		}
		if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", key, info.Mode(), err)
		}
	}
	if _, err := runCert("--client", "ayşe", "--out", dir); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("it is replaced: %v", err)
	}
	if _, err := runCert("--client", "ayşe", "--out", dir, "--force"); err != nil {
		t.Error(err)
	}
	if now, err := os.ReadFile(filepath.Join(dir, "clients.crt")); err != nil || string(now) != string(authority) {
		t.Errorf("another authority: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "clients.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := runCert("--client", "mehmet", "--out", dir); err == nil {
		t.Error("the authority without its key is replaced")
	}
	for _, args := range [][]string{{"--client", "../x"}, {"--client", ""}, {"--client", "a", "--host", "b.example"}} {
		var usage console.UsageError
		if _, err := runCert(append(args, "--out", t.TempDir())...); args[1] != "" && !errors.As(err, &usage) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
