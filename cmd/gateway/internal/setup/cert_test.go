package setup

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/gateway/access"
)

// makeCert runs gateway cert with args into a new directory.
func makeCert(t *testing.T, args ...string) (dir, output string) {
	t.Helper()
	dir = t.TempDir()
	output, err := runCert(append(args, "--out", dir)...)
	if err != nil {
		t.Fatal(err)
	}
	return dir, output
}

func runCert(args ...string) (output string, err error) {
	var stdout bytes.Buffer
	cmd := Cert(console.Env{Stdout: &stdout}, hostForTest)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err = cmd.Execute()
	return stdout.String(), err
}

// hostForTest refuses what main's check would.
func hostForTest(text string) (string, error) {
	if strings.Contains(text, "*") {
		return "", errors.New("no name stands for others")
	}
	return strings.ToLower(text), nil
}

func loadCert(t *testing.T, dir string) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, certName), filepath.Join(dir, keyName))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// everyHost are the names that a certificate made with makeCert(t,
// "--host", "gw.example", "--host", "10.9.8.7") must be for.
func everyHost(t *testing.T) []string {
	hosts := append(access.MachineNames(), "localhost", "127.0.0.1", "::1", "gw.example", "10.9.8.7")
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip := a.(*net.IPNet).IP; !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			hosts = append(hosts, ip.String())
		}
	}
	return hosts
}

func TestCertVerifies(t *testing.T) {
	dir, _ := makeCert(t, "--host", "GW.example", "--host", "10.9.8.7")
	pair := loadCert(t, dir)
	trusted := x509.NewCertPool()
	trusted.AddCert(pair.Leaf)
	handshake := func(name string) error {
		there, here := net.Pipe()
		defer there.Close()
		defer here.Close()
		server := tls.Server(there, &tls.Config{Certificates: []tls.Certificate{pair}})
		go func() { _ = server.Handshake() }() // the client's result is the one that counts
		return tls.Client(here, &tls.Config{RootCAs: trusted, ServerName: name}).Handshake()
	}
	for _, name := range everyHost(t) {
		if err := handshake(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"evil.example", "gw.example.evil", "www.gw.example", "10.9.8.6", "fe80::1"} {
		if handshake(name) == nil {
			t.Errorf("it is for %s too", name)
		}
	}
}

// A client that trusts the certificate trusts its key for these hosts and no others.
func TestCertIsNoOtherAuthority(t *testing.T) {
	dir, _ := makeCert(t, "--host", "gw.example")
	pair := loadCert(t, dir)
	trusted := x509.NewCertPool()
	trusted.AddCert(pair.Leaf)
	for name, ok := range map[string]bool{"gw.example": true, "bank.example": false, "example": false} {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			Subject: pkix.Name{CommonName: "stolen"}, DNSNames: []string{name},
			NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		}, pair.Leaf, private.Public(), pair.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: trusted}); (err == nil) != ok {
			t.Errorf("a certificate for %s, signed with the gateway's key: %v", name, err)
		}
	}
}

func TestCertFiles(t *testing.T) {
	dir, output := makeCert(t, "--days", "30", "--host", "gw.example", "--host", "fd00::7")
	pair := loadCert(t, dir)
	if valid := pair.Leaf.NotAfter.Sub(pair.Leaf.NotBefore); valid != 30*24*time.Hour {
		t.Errorf("valid for %v, want 30 days", valid)
	}
	if !pair.Leaf.NotBefore.Before(time.Now()) {
		t.Errorf("valid from %v on", pair.Leaf.NotBefore)
	}
	if key, ok := pair.PrivateKey.(*ecdsa.PrivateKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("the key is a %T", pair.PrivateKey)
	}
	cert, key := filepath.Join(dir, certName), filepath.Join(dir, keyName)
	if runtime.GOOS != "windows" {
		for path, want := range map[string]os.FileMode{cert: 0o644, key: 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode() != want {
				t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
			}
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}

	// What is printed can be pasted, and is about these files.
	var config struct {
		TLS   struct{ Cert, Key string }
		Hosts []string
	}
	lines := regexp.MustCompile(`(?m)^(tls: \{.*|hosts: .*)$`).FindAllString(output, -1)
	if err := yaml.Unmarshal([]byte(strings.Join(lines, "\n")), &config); err != nil {
		t.Errorf("%v in\n%s", err, output)
	}
	if config.TLS.Cert != cert || config.TLS.Key != key || strings.Join(config.Hosts, " ") != "gw.example fd00::7" {
		t.Errorf("to paste: %+v", config)
	}
	if want := "gateway watch wss://gw.example:8443/ --ca " + certName; !strings.Contains(output, want) {
		t.Errorf("no %q in\n%s", want, output)
	}
	if openssl, err := exec.LookPath("openssl"); err == nil {
		out, err := exec.Command(openssl, "x509", "-in", cert, "-noout", "-fingerprint", "-sha256").Output()
		_, sum, _ := strings.Cut(strings.TrimSpace(string(out)), "=")
		if err != nil || !strings.Contains(output, "SHA-256  "+sum+"\n") {
			t.Errorf("openssl says %s (%v), we say\n%s", out, err, output)
		}
	}
}

func TestCertDoesNotOverwrite(t *testing.T) {
	dir, _ := makeCert(t)
	before := loadCert(t, dir)
	for _, missing := range []string{"", certName, keyName} {
		if missing != "" {
			path := filepath.Join(dir, missing)
			if err := os.Rename(path, path+".away"); err != nil {
				t.Fatal(err)
			}
		}
		if output, err := runCert("--out", dir); err == nil || !strings.Contains(err.Error(), "--force") || output != "" {
			t.Errorf("without %q: %v, %s", missing, err, output)
		}
		if missing != "" {
			path := filepath.Join(dir, missing)
			if err := os.Rename(path+".away", path); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !loadCert(t, dir).Leaf.Equal(before.Leaf) {
		t.Error("the certificate was replaced")
	}
	if err := os.Chmod(filepath.Join(dir, keyName), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := runCert("--out", dir, "--force"); err != nil {
		t.Fatal(err)
	}
	if loadCert(t, dir).Leaf.Equal(before.Leaf) {
		t.Error("--force replaces nothing")
	}
	if info, err := os.Stat(filepath.Join(dir, keyName)); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("the new key: %v, %v", info.Mode(), err)
	}
}

func TestCertFlags(t *testing.T) {
	for _, args := range [][]string{
		{"--days", "0"},
		{"--days", "-1"},
		{"--days", "3651"},
		{"--host", "*.example"},
		{"extra"},
	} {
		dir := t.TempDir()
		output, err := runCert(append(args, "--out", dir)...)
		var usage console.UsageError
		if !errors.As(err, &usage) || output != "" {
			t.Errorf("%q: %v, %s", args, err, output)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("%q: wrote %v, %v", args, entries, err)
		}
	}
	_, err := runCert("--out", filepath.Join(t.TempDir(), "missing"))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "; fix: mkdir") {
		t.Errorf("a missing directory: %v", err)
	}
}
