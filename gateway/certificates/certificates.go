// Package certificates has the certificate that the gateway shows to TLS clients, and
// the authorities of the certificates that clients show: both are files that can be
// replaced while it runs.
//
// It refuses to know what a client whose certificate it has verified may do.
package certificates

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// A pair is two files, of which the second may come some seconds after the first.
	watchEvery = 10 * time.Second
	// A client that may no longer connect is disconnected within a second.
	watchClientsEvery = 250 * time.Millisecond

	expiresSoon = 14 * 24 * time.Hour
	remindEvery = 24 * time.Hour
)

// Set is the certificate of the gateway's TLS listeners, and the authorities
// whose certificates identify clients. Both can be replaced while the gateway runs.
type Set struct {
	certFile, keyFile string
	clientsFile       string // "": clients are not asked for one
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]
	clients           atomic.Pointer[authorities]
	holders           holders

	mu                      sync.Mutex // held while files are read
	pairTried, clientsTried tried
}

// tried is the last reading of files that are followed.
type tried struct {
	of     fileStates
	failed bool // it is repeated: the cause may have been another than the files
}

// Read reads a certificate, with its chain, and its key, both PEM, and a file
// with the certificates of the clients' authorities, "" for none.
//
// One that has expired is accepted: a gateway that starts must measure, and the
// clock may be wrong. Clients refuse it, and Watch warns.
func Read(certFile, keyFile, clientsFile string, log *slog.Logger) (*Set, error) {
	c := &Set{certFile: certFile, keyFile: keyFile, clientsFile: clientsFile, log: log}
	c.pairTried.of, c.clientsTried.of = c.statPair(), c.statClients()
	pair, err := c.read()
	if err != nil {
		return nil, err
	}
	clients, err := c.readClients()
	if err != nil {
		return nil, err
	}
	c.warnReadable()
	c.current.Store(pair)
	c.clients.Store(clients)
	return c, nil
}

// Config returns the configuration of a listener, for [tls.NewListener]:
// HTTP/1.1 only, because WebSocket needs it. Connections that begin after a reload
// get the new certificate.
func (c *Set) Config() *tls.Config {
	config := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
	if c.clientsFile != "" {
		c.askClients(config)
	}
	return config
}

// Reload reads the files again. After an error the old certificate stays in use, or the
// old authorities; a new certificate that clients would refuse for its dates is an error
// too.
func (c *Set) Reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.reloadPair(), c.reloadClients())
}

// reloadPair reads the certificate and its key. c.mu is held.
func (c *Set) reloadPair() error {
	c.pairTried.of = c.statPair() // before reading: what changes meanwhile is a change
	old := c.current.Load()
	pair, err := c.read()
	if err == nil {
		err = c.checkDates(pair.Leaf)
	}
	if c.pairTried.failed = err != nil; err != nil {
		return fmt.Errorf("%w; until then the old one is used, which expires on %s", err, date(old.Leaf.NotAfter))
	}
	c.warnReadable()
	c.current.Store(pair)
	if !pair.Leaf.Equal(old.Leaf) {
		c.log.Info("new certificate", "names", pair.Leaf.DNSNames, "addresses", pair.Leaf.IPAddresses, "expires", date(pair.Leaf.NotAfter))
	}
	return nil
}

// Watch reloads the files when they have changed and then stayed as they are
// for a while, and warns once a day of a certificate that clients refuse, or
// soon will. It returns when ctx ends.
func (c *Set) Watch(ctx context.Context) {
	pairs, clients := time.NewTicker(watchEvery), time.NewTicker(watchClientsEvery)
	defer pairs.Stop()
	defer clients.Stop()
	if c.clientsFile == "" {
		clients.Stop()
	}
	c.mu.Lock()
	pair, authorities := c.pairTried.of, c.clientsTried.of
	c.mu.Unlock()
	reminded, remindedClients := c.remind(time.Time{}), c.remindClients(time.Time{})
	for {
		select {
		case <-pairs.C:
			pair = c.follow(pair, &c.pairTried, c.statPair, c.reloadPair)
			reminded, remindedClients = c.remind(reminded), c.remindClients(remindedClients)
		case <-clients.C:
			authorities = c.follow(authorities, &c.clientsTried, c.statClients, c.reloadClients)
			c.holders.expire(c.clients.Load().pool)
		case <-ctx.Done():
			return
		}
	}
}

// follow reloads files that have changed since they were read, but not since they were
// seen: those that are still being written, or of which only one is new, are not read yet.
// A reload that has failed is repeated, and what is wrong with the same files is logged
// once. It returns their present states.
func (c *Set) follow(seen fileStates, last *tried, stat func() fileStates, reload func() error) fileStates {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := stat()
	again := now.equal(last.of)
	if now.equal(seen) && (last.failed || !again) {
		if err := reload(); err != nil && !again {
			c.log.Warn("the new certificate is not used", "err", err)
		}
	}
	return now
}

// remind warns before the certificate expires, unless it did less than a day ago,
// and returns when it last did.
func (c *Set) remind(last time.Time) time.Time {
	now, leaf := time.Now(), c.current.Load().Leaf
	invalid := c.checkDates(leaf)
	switch {
	case invalid == nil && leaf.NotAfter.Sub(now) > expiresSoon:
		return time.Time{}
	case !last.IsZero() && now.Sub(last) < remindEvery:
		return last
	case invalid != nil:
		c.log.Warn("clients refuse the certificate", "err", invalid)
	default:
		c.log.Warn("the certificate expires soon", "file", c.certFile, "expires", date(leaf.NotAfter),
			"fix", "renew it; a new one is used without a restart")
	}
	return now
}

// Expires returns an error if the certificate has expired, or soon will; else nil.
func (c *Set) Expires() error {
	leaf := c.current.Load().Leaf
	if time.Until(leaf.NotAfter) > expiresSoon {
		return nil
	}
	return fmt.Errorf("the certificate expires on %s; fix: renew it; a new one is used without a restart", date(leaf.NotAfter))
}

// checkDates refuses a certificate that clients would refuse now.
func (c *Set) checkDates(leaf *x509.Certificate) error {
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("certificate %s has expired on %s; fix: renew it", c.certFile, date(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("certificate %s is valid from %s only, and it is %s; fix: check the clock",
			c.certFile, leaf.NotBefore.UTC().Format(time.DateTime), now.UTC().Format(time.DateTime))
	}
	return nil
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// fileStates is what shows that files have changed; nil is a missing file.
type fileStates []fs.FileInfo

func (c *Set) statPair() fileStates    { return stat(c.certFile, c.keyFile) }
func (c *Set) statClients() fileStates { return stat(c.clientsFile) }

func stat(files ...string) (s fileStates) {
	for _, file := range files {
		info, _ := os.Stat(file) // reading says what is wrong
		s = append(s, info)
	}
	return s
}

func (s fileStates) equal(other fileStates) bool { return slices.EqualFunc(s, other, sameFile) }

func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
