package certificates

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const day = 24 * time.Hour

// pair makes a self-signed certificate for name and its key, both PEM.
func pair(t *testing.T, name string, from, to time.Duration, usage ...x509.ExtKeyUsage) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, ExtKeyUsage: usage,
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// files is a pair on disk.
type files struct {
	t              *testing.T
	dir, cert, key string
}

func newFiles(t *testing.T) files {
	dir := t.TempDir()
	return files{t, dir, filepath.Join(dir, "gateway.crt"), filepath.Join(dir, "gateway.key")}
}

// put replaces a file, as a careful program does.
func (f files) put(path string, data []byte) {
	f.t.Helper()
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		f.t.Fatal(err)
	}
}

func (f files) putPair(cert, key []byte) {
	f.t.Helper()
	f.put(f.cert, cert)
	f.put(f.key, key)
}

// logged is what was logged, one line a record.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// take returns the lines since the last take.
func (l *logged) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return strings.Split(strings.TrimSuffix(l.text.String(), "\n"), "\n")[:bytes.Count(l.text.Bytes(), []byte("\n"))]
}

func (f files) load() (*Set, *logged) {
	f.t.Helper()
	l := &logged{}
	c, err := Read(f.cert, f.key, "", slog.New(slog.NewTextHandler(l, nil)))
	if err != nil {
		f.t.Fatal(err)
	}
	return c, l
}

// shown is the name on the certificate that clients are shown.
func shown(t *testing.T, c *Set) string {
	t.Helper()
	cert, err := c.Config().GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return cert.Leaf.Subject.CommonName
}

func TestHandshake(t *testing.T) {
	f := newFiles(t)
	first, key := pair(t, "first.example", -time.Hour, 90*day)
	f.putPair(first, key)
	c, _ := f.load()

	l, err := tls.Listen("tcp", "127.0.0.1:0", c.Config())
	if err != nil {
		t.Fatal(err)
	}
	var server sync.WaitGroup
	defer server.Wait()
	defer l.Close()
	server.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			server.Go(func() { // an echo
				defer conn.Close()
				b := make([]byte, 1)
				for {
					if _, err := conn.Read(b); err != nil {
						return
					}
					if _, err := conn.Write(b); err != nil {
						return
					}
				}
			})
		}
	})
	dial := func(trusted []byte, name string, change func(*tls.Config)) (*tls.Conn, error) {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(trusted)
		config := &tls.Config{RootCAs: roots, ServerName: name, NextProtos: []string{"h2", "http/1.1"}}
		change(config)
		return tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", l.Addr().String(), config)
	}
	as := func(*tls.Config) {}
	echo := func(conn *tls.Conn) error {
		b := []byte{7}
		if _, err := conn.Write(b); err != nil {
			return err
		}
		_, err := conn.Read(b)
		return err
	}

	old, err := dial(first, "first.example", as)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if got := old.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("protocol %q, want http/1.1", got)
	}
	for name, change := range map[string]func(*tls.Config){
		"TLS 1.1": func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 },
		"h2 only": func(c *tls.Config) { c.NextProtos = []string{"h2"} },
	} {
		if conn, err := dial(first, "first.example", change); err == nil {
			conn.Close()
			t.Errorf("%s is spoken", name)
		}
	}

	second, key := pair(t, "second.example", -time.Hour, 90*day)
	f.putPair(second, key)
	if err := c.Reload(); err != nil {
		t.Fatal(err)
	}
	fresh, err := dial(second, "second.example", as)
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if conn, err := dial(first, "first.example", as); err == nil {
		conn.Close()
		t.Error("the old certificate is still shown")
	}
	for _, conn := range []*tls.Conn{old, fresh} {
		if err := echo(conn); err != nil {
			t.Errorf("a connection did not survive: %v", err)
		}
	}
}

// Which pairs are bad, why, and whether the gateway starts with them.
func TestBadPairs(t *testing.T) {
	goodCert, goodKey := pair(t, "good.example", -time.Hour, 90*day)
	otherCert, _ := pair(t, "other.example", -time.Hour, 90*day)
	expiredCert, expiredKey := pair(t, "expired.example", -2*day, -day)
	earlyCert, earlyKey := pair(t, "early.example", day, 2*day)
	clientCert, clientKey := pair(t, "client.example", -time.Hour, day, x509.ExtKeyUsageClientAuth)
	block, _ := pem.Decode(goodCert)
	encrypted := []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
	half := func(b []byte) []byte { return b[:len(b)/2] }

	for _, tt := range []struct {
		name      string
		cert, key []byte
		err       string
		starts    bool
	}{
		{"mismatched", otherCert, goodKey, "does not match", false},
		{"half a certificate", half(goodCert), goodKey, "gateway.crt: cut off", false},
		{"half a key", goodCert, half(goodKey), "gateway.key: cut off", false},
		{"half a chain", append(bytes.Clone(goodCert), half(otherCert)...), goodKey, "gateway.crt: cut off", false},
		{"a chain that lacks its last line's end", append(bytes.Clone(goodCert), otherCert[:len(otherCert)-10]...), goodKey, "gateway.crt: cut off", false},
		{"empty certificate", []byte{}, goodKey, "gateway.crt: no PEM in it", false},
		{"empty key", goodCert, []byte{}, "gateway.key: no PEM in it", false},
		{"not PEM", block.Bytes, goodKey, "gateway.crt: no PEM in it", false},
		{"exchanged", goodKey, goodCert, "switched", false},
		{"damaged", bytes.Replace(goodCert, goodCert[100:110], []byte("**********"), 1), goodKey, "gateway.crt: cut off or damaged", false},
		{"other content", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("nonsense")}), goodKey, "x509", false},
		{"passphrase", goodCert, encrypted, "openssl pkey", false},
		{"too large", bytes.Repeat(goodCert, 5000), goodKey, "too many", false},
		{"no certificate", nil, goodKey, "certificate: ", false},
		{"no key", goodCert, nil, "key: ", false},
		{"for clients", clientCert, clientKey, "not for servers", false},
		{"expired", expiredCert, expiredKey, "has expired on", true},
		{"from tomorrow", earlyCert, earlyKey, "clock", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFiles(t)
			f.putPair(goodCert, goodKey)
			c, l := f.load()
			for path, data := range map[string][]byte{f.cert: tt.cert, f.key: tt.key} {
				f.put(path, data)
				if data == nil {
					if err := os.Remove(path); err != nil {
						t.Fatal(err)
					}
				}
			}
			err := c.Reload()
			if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), "the old one is used") {
				t.Fatalf("Reload: %v, want %q", err, tt.err)
			}
			if bytes.Contains([]byte(err.Error()), goodKey[30:60]) {
				t.Errorf("the key is in the error: %v", err)
			}
			if got := shown(t, c); got != "good.example" {
				t.Errorf("%s is shown", got)
			}
			_, err = Read(f.cert, f.key, "", c.log)
			if (err == nil) != tt.starts || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Read: %v, want %q", err, tt.err)
			}
			f.putPair(goodCert, goodKey)
			if err := c.Reload(); err != nil {
				t.Error(err)
			}
			if lines := l.take(); len(lines) != 0 {
				t.Errorf("logged %q", lines) // errors are returned, and nothing else is new
			}
		})
	}
}

func TestFilesThatAreNone(t *testing.T) {
	f := newFiles(t)
	f.putPair(pair(t, "good.example", 0, day))
	if _, err := Read(f.dir, f.key, "", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
	_, err := Read(f.cert, f.key+"x", "", slog.New(slog.DiscardHandler))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "; fix: ") {
		t.Errorf("a missing key: %v", err)
	}
	// Root may read everything, so the test cannot make a file that is unreadable.
	err = explain("key", &os.PathError{Op: "open", Path: f.key, Err: os.ErrPermission})
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "; fix: let "+certificateReader()+" read it") {
		t.Errorf("an unreadable key: %v", err)
	}
}

func TestReadableKey(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such modes")
	}
	f := newFiles(t)
	f.putPair(pair(t, "good.example", 0, day))
	for mode, warns := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		if err := os.Chmod(f.key, mode); err != nil {
			t.Fatal(err)
		}
		_, l := f.load()
		if lines := l.take(); (len(lines) == 1 && strings.Contains(lines[0], "chmod")) != warns {
			t.Errorf("mode %o: logged %q", mode, lines)
		}
	}
}
