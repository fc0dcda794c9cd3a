package member

import (
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/gateway/enroll"
	"sensorgateway/gateway/fleet"
)

var hubKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// enrolled is the state directory of a gateway that is in a fleet, and its authority with
// the file of its certificate.
func enrolled(t *testing.T, at time.Time) (state string, authority *enroll.Authority, root string) {
	t.Helper()
	state, root = t.TempDir(), t.TempDir()
	authority, err := enroll.InitAuthority(root, at)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Server("pi-7", []string{"localhost"}, at)
	if err != nil {
		t.Fatal(err)
	}
	if err := enroll.WritePair(state, "fleet", pair); err != nil {
		t.Fatal(err)
	}
	membership, err := json.Marshal(enroll.Membership{Site: "lab", Name: "pi-7", Brokers: []string{"mqtts://broker.example"}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, state, "fleet.json", string(membership))
	write(t, state, enroll.HubKeysFile, fleet.KeyLine(hubKey.Public().(ed25519.PublicKey), "hub-a"))
	return state, authority, filepath.Join(root, "ca.crt")
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// The configuration comes first, then the membership; without either, it is said what to do.
func TestIdentity(t *testing.T) {
	empty := &Member{State: t.TempDir()}
	if _, err := empty.Identity(); err == nil || !strings.Contains(err.Error(), "fix: sudo gateway enroll") {
		t.Errorf("without a membership: %v", err)
	}
	plain := &Member{Config: config.Uplink{Gateway: fleet.Gateway{Site: "lab", Name: "pi-8"}, Brokers: []*url.URL{parse(t, "mqtt://localhost")}, User: "u"}}
	if id, err := plain.Identity(); err != nil || id.Gateway.Name != "pi-8" || id.TLS != nil || len(id.Keys()) > 0 || id.User != "u" {
		t.Errorf("without TLS: %+v, %v", id, err)
	}
	state, _, _ := enrolled(t, time.Now())
	m := &Member{State: state}
	write(t, state, enroll.AuthorityFile, "no PEM")
	if _, err := m.Identity(); err == nil || !strings.Contains(err.Error(), enroll.AuthorityFile) || !strings.Contains(err.Error(), "fix: ") {
		t.Errorf("an authority that is none: %v", err)
	}
	chain, err := os.ReadFile(filepath.Join(state, enroll.CertFile))
	if err != nil {
		t.Fatal(err)
	}
	write(t, state, enroll.AuthorityFile, string(chain))
	id, err := m.Identity()
	if err != nil {
		t.Fatal(err)
	}
	if id.Gateway != (fleet.Gateway{Site: "lab", Name: "pi-7"}) || id.Brokers[0].Host != "broker.example" || len(id.TLS.Certificates) != 1 || len(id.Keys()) != 1 {
		t.Errorf("%+v", id)
	}
	// Another list of keys counts without another connection; one that is damaged does not.
	file := filepath.Join(state, enroll.HubKeysFile)
	other := ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", ed25519.SeedSize))).Public().(ed25519.PublicKey)
	change := func(text string, at time.Time) {
		t.Helper()
		write(t, state, enroll.HubKeysFile, text)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	change(fleet.KeyLine(other, "hub-b"), time.Now().Add(time.Minute))
	if keys := id.Keys(); len(keys) != 1 || !keys[0].Equal(other) {
		t.Errorf("keys: %v", keys)
	}
	change("nonsense", time.Now().Add(2*time.Minute))
	if keys := id.Keys(); len(keys) != 1 || !keys[0].Equal(other) {
		t.Errorf("keys of a damaged list: %v", keys)
	}
	if _, err := m.Identity(); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a damaged list of keys: %v", err)
	}
}

// A gateway that believes in 1970 takes a broker's certificate that is valid now: it knows
// that it is later.
func TestClock(t *testing.T) {
	made := time.Now().Add(-time.Hour)
	state, authority, root := enrolled(t, made)
	m := &Member{State: state, Log: filepath.Join(state, "log"), Now: func() time.Time { return time.Unix(0, 0) }}
	if at := m.latest(made); at.Before(made) {
		t.Errorf("the latest time is %s", at)
	}
	written := time.Now().Add(time.Hour)
	if err := os.MkdirAll(m.Log, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, m.Log, "1.segment", "")
	if err := os.Chtimes(filepath.Join(m.Log, "1.segment"), written, written); err != nil {
		t.Fatal(err)
	}
	if at := m.latest(made); at.Sub(written).Abs() > time.Second {
		t.Errorf("the latest time is %s, the log was written at %s", at, written)
	}

	dir := t.TempDir()
	pair, err := authority.Server("localhost", []string{"localhost"}, made)
	if err != nil {
		t.Fatal(err)
	}
	if err := enroll.WritePair(dir, "broker", pair); err != nil {
		t.Fatal(err)
	}
	config, err := m.tls(config.Uplink{CA: root, Cert: filepath.Join(state, enroll.CertFile), Key: filepath.Join(state, enroll.KeyFile)})
	if err != nil {
		t.Fatal(err)
	}
	config.ServerName = "localhost"
	near, far := net.Pipe()
	served := make(chan error, 1)
	go func() {
		c := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{*pair}})
		_, err := io.Copy(io.Discard, c)
		served <- err
	}()
	c := tls.Client(near, config)
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Errorf("a certificate that is valid now: %v", err)
	}
	_ = c.Close()
	if err := <-served; err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

// Dates of the log that lie in the future, because the clock was ahead, do not count once it is
// right: by them the broker's certificate has expired.
func TestClockWasAhead(t *testing.T) {
	now := time.Now()
	m := &Member{Log: t.TempDir(), Now: func() time.Time { return now }}
	write(t, m.Log, "sensors.json", "")
	ahead := now.AddDate(3, 0, 0)
	if err := os.Chtimes(filepath.Join(m.Log, "sensors.json"), ahead, ahead); err != nil {
		t.Fatal(err)
	}
	if at := m.latest(now.Add(-time.Hour)); !at.Equal(now) {
		t.Errorf("certificates are checked as of %s, and it is %s", at, now)
	}
	// Not even that of its own certificate, if the clock is synchronised.
	m.Synced = func() bool { return true }
	if at := m.latest(ahead); !at.Equal(now) {
		t.Errorf("with a synchronised clock they are checked as of %s, and it is %s", at, now)
	}
}

// A gateway that gets a new identity while it runs is known by that at once: a TLS session that
// began with its old certificate is not resumed. One that began with the same is.
func TestSessions(t *testing.T) {
	state, authority, root := enrolled(t, time.Now())
	ca, err := os.ReadFile(root)
	if err != nil {
		t.Fatal(err)
	}
	write(t, state, enroll.AuthorityFile, string(ca))
	pair := func(name string) *tls.Certificate {
		t.Helper()
		pair, err := authority.Server(name, []string{"localhost"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	broker := &tls.Config{Certificates: []tls.Certificate{*pair("broker")}, ClientAuth: tls.RequireAnyClientCert}
	l, err := net.Listen("tcp", "127.0.0.1:0") // a pipe has no room for the ticket
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m := &Member{State: state}
	connect := func() tls.ConnectionState {
		t.Helper()
		id, err := m.Identity()
		if err != nil {
			t.Fatal(err)
		}
		near, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer near.Close()
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		seen := make(chan tls.ConnectionState, 1)
		go func() {
			c := tls.Server(far, broker)
			_, _ = c.Write([]byte("x")) // behind the handshake, and the ticket for the next one
			seen <- c.ConnectionState()
		}()
		config := id.TLS.Clone()
		config.ServerName = "localhost"
		if _, err := io.ReadFull(tls.Client(near, config), make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		return <-seen
	}
	for _, want := range []struct {
		name    string
		resumed bool
	}{{"pi-7", false}, {"pi-7", true}, {"pi-8", false}, {"pi-8", true}} {
		if want.name == "pi-8" && !want.resumed {
			if err := enroll.WritePair(state, "fleet", pair("pi-8")); err != nil {
				t.Fatal(err)
			}
		}
		got := connect()
		if name := got.PeerCertificates[0].Subject.CommonName; name != want.name || got.DidResume != want.resumed {
			t.Errorf("the broker sees %s, resumed %t; want %+v", name, got.DidResume, want)
		}
	}
}
