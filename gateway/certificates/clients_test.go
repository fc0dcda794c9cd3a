package certificates

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// authority makes certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	made := a.make(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.cert, a.key = made.Leaf, made.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// make makes a certificate, with the usual values for what the template lacks.
func (a *authority) make(template *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// client makes a certificate for a client.
func (a *authority) client(name string) tls.Certificate {
	return a.make(&x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// withClients writes a pair, and the authorities of clients, and loads them.
func withClients(t *testing.T, authorities ...*authority) (files, *Set) {
	t.Helper()
	f := newFiles(t)
	f.putPair(pair(t, "gateway.example", -time.Hour, 90*day))
	clients := filepath.Join(f.dir, "clients.crt")
	var all []byte
	for _, a := range authorities {
		all = append(all, a.pem()...)
	}
	f.put(clients, all)
	c, err := Read(f.cert, f.key, clients, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return f, c
}

// handshake connects with a certificate, nil for none, and returns what the gateway
// knows of the connection.
func handshake(t *testing.T, c *Set, cert *tls.Certificate) *tls.ConnectionState {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	config := &tls.Config{InsecureSkipVerify: true}
	if cert != nil { // whatever authorities the gateway names
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		client := tls.Client(far, config)
		_ = client.Handshake() // the server's result counts
		_, _ = io.Copy(io.Discard, client)
	}()
	server := tls.Server(near, c.Config())
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	state := server.ConnectionState()
	_ = server.Close()
	<-done
	return &state
}

// TestClientCertificates holds which certificates name a client, and the errors of the
// others.
func TestClientCertificates(t *testing.T) {
	ours, also, foreign := newAuthority(t, "Our clients"), newAuthority(t, "Others of ours"), newAuthority(t, "Our clients")
	_, c := withClients(t, ours, also)
	middle := ours.make(&x509.Certificate{Subject: pkix.Name{CommonName: "Middle"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	below := (&authority{t, middle.Leaf, middle.PrivateKey.(*ecdsa.PrivateKey)}).client("ayşe")
	alone := below
	below.Certificate = append(below.Certificate, middle.Certificate...)
	long := below
	long.Certificate = slices.Concat(below.Certificate, below.Certificate, below.Certificate)
	for name, tt := range map[string]struct {
		tls.Certificate
		want, err string
	}{
		"of ours":               {ours.client("ayşe"), "ayşe", ""},
		"of another of ours":    {also.client("mehmet"), "mehmet", ""},
		"of one below ours":     {below, "ayşe", ""},
		"for anything":          {ours.make(&x509.Certificate{Subject: pkix.Name{CommonName: "x"}}), "x", ""},
		"without the one above": {alone, "", "not of an authority in tls.clients"},
		"of another's":          {foreign.client("ayşe"), "", "not of an authority in tls.clients (it was issued by \"CN=Our clients\")"},
		"of nobody":             {(&authority{t: t}).client("ayşe"), "", "not of an authority in tls.clients"},
		"with a long chain":     {long, "", "5 more"},
		"for servers":           {ours.make(&x509.Certificate{Subject: pkix.Name{CommonName: "x"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), "", "extended key usage clientAuth"},
		"expired":               {ours.make(&x509.Certificate{Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Now().Add(-2 * day), NotAfter: time.Now().Add(-day)}), "", "has expired on"},
		"of tomorrow":           {ours.make(&x509.Certificate{Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Now().Add(day), NotAfter: time.Now().Add(2 * day)}), "", "check the clocks"},
		"without a name":        {ours.client(""), "", "no common name"},
	} {
		got, valid, err := c.Client(handshake(t, c, &tt.Certificate))
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v; want %q, %q", name, got, err, tt.want, tt.err)
		}
		if err == nil && valid.Err() != nil {
			t.Errorf("%s: good no longer", name)
		}
	}
	if state := handshake(t, c, nil); len(state.PeerCertificates) != 0 {
		t.Error("a client without a certificate has one")
	}
	f := newFiles(t)
	f.putPair(pair(t, "gateway.example", -time.Hour, 90*day))
	plain, _ := f.load()
	mine := ours.client("ayşe")
	if state := handshake(t, plain, &mine); len(state.PeerCertificates) != 0 {
		t.Error("one is asked for without tls.clients")
	}
	if _, _, err := plain.Client(handshake(t, c, &mine)); err == nil {
		t.Error("without authorities, those of the system would do")
	}
}

// TestClientsReloaded holds that the file of authorities is taken over like the pair, on
// open connections too, and that a bad file changes nothing.
func TestClientsReloaded(t *testing.T) {
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	f, c := withClients(t, first)
	old, young := first.client("ayşe"), second.client("ayşe")
	connected := handshake(t, c, &old)
	good := func(state *tls.ConnectionState) bool { _, _, err := c.Client(state); return err == nil }
	if !good(connected) || good(handshake(t, c, &young)) {
		t.Fatal("it begins with another authority")
	}
	_, key := pair(t, "x", -time.Hour, day)
	for name, bad := range map[string][]byte{
		"empty": nil, "no PEM": []byte("clients"), "cut off": first.pem()[:100], "a key": append(second.pem(), key...),
		"no certificate": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}),
	} {
		f.put(c.clientsFile, bad)
		if err := c.Reload(); err == nil || !strings.Contains(err.Error(), "clients") || !strings.Contains(err.Error(), "the old authorities are used") {
			t.Errorf("%s: %v", name, err)
		}
		if !good(connected) {
			t.Errorf("%s: the old authority is lost", name)
		}
		if _, err := Read(f.cert, f.key, c.clientsFile, c.log); err == nil || !strings.Contains(err.Error(), c.clientsFile) {
			t.Errorf("%s, at the start: %v", name, err)
		}
	}
	f.put(c.clientsFile, second.pem())
	if err := c.Reload(); err != nil {
		t.Fatal(err)
	}
	if good(connected) || good(handshake(t, c, &old)) || !good(handshake(t, c, &young)) {
		t.Error("the new authority does not count, or the old one still does")
	}
	if err := os.Remove(c.clientsFile); err != nil {
		t.Fatal(err)
	}
	if err := c.Reload(); err == nil || !good(handshake(t, c, &young)) {
		t.Errorf("without the file: %v", err)
	}
}

// TestClientsEnd holds that a certificate is good until its authority is taken out of the
// file, which is seen within a second, or until its dates end, and that others stay.
func TestClientsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newAuthority(t, "first"), newAuthority(t, "second")
		f, c := withClients(t, first, second)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); c.Watch(ctx) }()
		defer func() { cancel(); <-done }()
		good := func(a *authority, name string, until time.Duration) context.Context {
			cert := a.make(&x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(until)})
			_, valid, err := c.Client(handshake(t, c, &cert))
			if err != nil {
				t.Fatal(err)
			}
			_, again, err := c.Client(handshake(t, c, &cert))
			if err != nil || again != valid {
				t.Fatalf("the same certificate is another: %v", err)
			}
			return valid
		}
		removed, short, stays := good(first, "ayşe", 50*time.Minute), good(second, "mehmet", 30*time.Second), good(second, "ayşe", 50*time.Minute)
		pass(29 * time.Second)
		if removed.Err() != nil || short.Err() != nil || stays.Err() != nil {
			t.Fatal("one has ended early")
		}
		pass(2 * time.Second)
		if context.Cause(short) != context.DeadlineExceeded || stays.Err() != nil {
			t.Errorf("after its end: %v; another: %v", context.Cause(short), stays.Err())
		}
		f.put(c.clientsFile, []byte("nonsense"))
		pass(time.Second)
		if removed.Err() != nil {
			t.Error("nonsense in place of the authorities ends who is connected")
		}
		f.put(c.clientsFile, second.pem())
		pass(time.Second)
		if removed.Err() == nil || context.Cause(removed) == context.DeadlineExceeded || stays.Err() != nil {
			t.Errorf("a second after its authority was taken out: %v; another's: %v", context.Cause(removed), stays.Err())
		}
		if n := len(c.holders.of); n != 1 {
			t.Errorf("%d are stored, of which one is good", n)
		}
	})
}
