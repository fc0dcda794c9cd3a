// Package member says who the gateway is in its fleet, and how it gets there: what the
// configuration says, and for the rest the membership that gateway enroll has made.
//
// It refuses to know how a connection is used.
package member

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sensorgateway/cmd/gateway/internal/address"
	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/enroll"
	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/uplink"
)

// Member is the gateway in its fleet.
type Member struct {
	Config config.Uplink
	State  string // the gateway's state directory; "": there is none, and no membership
	Log    string // the directory of the log of readings
	Now    func() time.Time
	Synced func() bool // whether the system clock is synchronised; nil: it is not known

	keys    keys
	hubKeys atomic.Pointer[string] // the file of the hubs' keys; nil: nobody has connected yet

	mu       sync.Mutex
	sessions tls.ClientSessionCache // a session that is resumed costs half the bytes
	shown    []byte                 // the certificate that was shown when they began
}

// Identity returns who the gateway is now. All files are read again each time: a
// certificate is renewed, and a gateway enrolls, while the program runs.
func (m *Member) Identity() (*uplink.Identity, error) {
	c := m.Config
	brokers := c.Brokers
	membership, err := m.membership()
	if err != nil {
		return nil, err
	}
	if membership != nil {
		own := func(name string) string { return filepath.Join(m.State, name) }
		if c.Gateway == (fleet.Gateway{}) {
			c.Gateway = fleet.Gateway{Site: membership.Site, Name: membership.Name}
		}
		if c.CA == "" && c.Cert == "" {
			c.CA, c.Cert, c.Key = own(enroll.AuthorityFile), own(enroll.CertFile), own(enroll.KeyFile)
		}
		c.HubKeys = cmp.Or(c.HubKeys, own(enroll.HubKeysFile))
		if len(brokers) == 0 {
			if brokers, err = parseBrokers(membership.Brokers); err != nil {
				return nil, err
			}
		}
	}
	m.hubKeys.Store(&c.HubKeys)
	id := &uplink.Identity{Gateway: c.Gateway, Brokers: brokers, User: c.User}
	if slices.ContainsFunc(brokers, func(u *url.URL) bool { return u.Scheme == "mqtts" }) {
		if id.TLS, err = m.tls(c); err != nil {
			return nil, err
		}
	}
	if c.PasswordFile != "" {
		password, err := atomicfile.Read(c.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("%w; fix: let the user who runs the gateway read it, or correct uplink.password_file", err)
		}
		id.Password = []byte(strings.TrimRight(string(password), "\r\n"))
	}
	if c.HubKeys != "" {
		if _, err := m.keys.read(c.HubKeys); err != nil {
			return nil, fmt.Errorf("the keys with which hubs sign orders: %w; fix: enroll again, or correct uplink.hub_keys", err)
		}
	}
	id.Keys = func() []ed25519.PublicKey {
		all, _ := m.keys.read(c.HubKeys) // what could be read last, if it cannot now
		return all
	}
	return id, nil
}

// membership returns the gateway's membership, nil if there is none and the configuration
// says who the gateway is.
func (m *Member) membership() (*enroll.Membership, error) {
	err := error(fs.ErrNotExist)
	var membership *enroll.Membership
	if m.State != "" {
		membership, err = enroll.Device{Dir: m.State}.Membership()
	}
	if errors.Is(err, fs.ErrNotExist) {
		if m.Config.Gateway != (fleet.Gateway{}) {
			return nil, nil
		}
		return nil, fmt.Errorf("this gateway is in no fleet yet, by its state directory %q; fix: sudo gateway enroll https://HUB:8443 --name NAME --code CODE, or write site, name and brokers under uplink", m.State)
	}
	return membership, err
}

func parseBrokers(texts []string) (all []*url.URL, err error) {
	for _, text := range texts {
		u, err := address.ParseBroker(text, "leave it out there")
		if err != nil {
			return nil, fmt.Errorf("a broker that the hub has named: %w; fix: correct --broker there, or write brokers under uplink", err)
		}
		all = append(all, u)
	}
	if len(all) == 0 {
		return nil, errors.New("the hub has named no broker; fix: start it with --broker, and enroll again, or write brokers under uplink")
	}
	return all, nil
}

// tls returns how brokers are known, and what they know the gateway by.
func (m *Member) tls(c config.Uplink) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	var shown []byte
	after := time.Time{}
	if c.CA != "" {
		pem, err := atomicfile.Read(c.CA)
		if err != nil {
			return nil, fmt.Errorf("the authority of brokers: %w; fix: enroll again, or correct uplink.ca", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the authority of brokers: %s: no certificate in PEM; fix: enroll again, or correct uplink.ca", c.CA)
		}
	}
	if c.Cert != "" {
		pair, err := enroll.LoadPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("the gateway's certificate: %w; fix: enroll again, or correct uplink.cert and uplink.key", err)
		}
		t.Certificates, shown, after = []tls.Certificate{pair}, pair.Certificate[0], pair.Leaf.NotBefore
	}
	t.ClientSessionCache = m.sessionsOf(shown)
	t.Time = func() time.Time { return m.latest(after) }
	return t, nil
}

// sessionsOf returns the TLS sessions that whoever shows a certificate can resume. Those that
// began with another certificate are forgotten: when one is resumed, none is shown, and the
// broker still takes the gateway for who it was then.
func (m *Member) sessionsOf(cert []byte) tls.ClientSessionCache {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sessions == nil || !bytes.Equal(m.shown, cert) {
		m.sessions, m.shown = tls.NewLRUClientSessionCache(8), cert
	}
	return m.sessions
}

// latest returns the time by which certificates are checked. A machine without a battery
// for its clock begins in 1970. By that time it would refuse all certificates, before it has
// a connection by which it could learn the time. But the true time is later than when its
// own certificate was made and the program was installed. A clock before that is wrong, and
// then the dates of the log count too. Beside a clock that may be right they do not: a file
// that was written while the clock was ahead has a date in the future for as long as it is kept.
func (m *Member) latest(after time.Time) time.Time {
	now := time.Now()
	if m.Now != nil {
		now = m.Now()
	}
	if m.Synced != nil && m.Synced() {
		return now
	}
	if program, err := os.Executable(); err == nil {
		after = later(after, modified(program))
	}
	if !now.Before(after) {
		return now
	}
	files, _ := filepath.Glob(filepath.Join(m.Log, "*")) // the pattern is good
	for _, file := range files {
		after = later(after, modified(file))
	}
	return after
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func modified(file string) time.Time {
	info, err := os.Stat(file)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// Renew renews the certificate by which the gateway is a member of a fleet, if it is one,
// until ctx ends: it is stored beside the readings.
func Renew(ctx context.Context, state string, log *slog.Logger) error {
	if state == "" {
		<-ctx.Done()
		return nil
	}
	return enroll.Device{Dir: state}.Renew(ctx, log)
}
