package certificates

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// maxChain is how many certificates a client may show: each costs signatures to check,
// before anybody knows who it is.
const maxChain = 5

// authorities are those whose certificates identify clients.
type authorities struct {
	pool  *x509.CertPool
	first *x509.Certificate // to expire
}

// readClients reads the authorities; without a file of them there are none.
func (c *Set) readClients() (*authorities, error) {
	if c.clientsFile == "" {
		return &authorities{}, nil
	}
	data, err := readPEM(kindClients, c.clientsFile)
	if err != nil {
		return nil, err
	}
	all := &authorities{pool: x509.NewCertPool()}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("clients %s: a %s is in it; fix: only the certificates of the authorities belong there", c.clientsFile, block.Type)
		}
		authority, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("clients %s: %w; fix: write it again", c.clientsFile, err)
		}
		all.pool.AddCert(authority)
		if all.first == nil || authority.NotAfter.Before(all.first.NotAfter) {
			all.first = authority
		}
	}
	return all, nil
}

// reloadClients reads the authorities again, and ends clients' certificates that are no
// longer valid by them. c.mu is held.
func (c *Set) reloadClients() error {
	c.clientsTried.of = c.statClients() // before reading: what changes meanwhile is a change
	clients, err := c.readClients()
	if err == nil && c.clientsTried.failed {
		c.log.Info("the authorities of clients' certificates are read again", "file", c.clientsFile)
	}
	if c.clientsTried.failed = err != nil; err != nil {
		return fmt.Errorf("%w; until then the old authorities are used", err)
	}
	c.clients.Store(clients)
	c.holders.recheck(clients.pool)
	return nil
}

// remindClients warns as remind does, of an authority that expires: with it, all of its
// certificates do.
func (c *Set) remindClients(last time.Time) time.Time {
	first, now := c.clients.Load().first, time.Now()
	switch {
	case first == nil || first.NotAfter.Sub(now) > expiresSoon:
		return time.Time{}
	case !last.IsZero() && now.Sub(last) < remindEvery:
		return last
	}
	c.log.Warn("an authority of clients' certificates expires, and with it all of its certificates", "file", c.clientsFile,
		"authority", first.Subject.String(), "expires", date(first.NotAfter), "fix", "renew it; a new one is used without a restart")
	return now
}

// askClients makes a listener ask for a certificate of one of the present authorities. It
// is verified with each request, not in the handshake: so a refusal can say what is wrong,
// and an authority that is taken out of the file no longer counts, on open connections
// either.
func (c *Set) askClients(config *tls.Config) {
	with := config.Clone()
	with.ClientAuth = tls.RequestClientCert
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := with.Clone()
		now.ClientCAs = c.clients.Load().pool // by their names, browsers find one that fits
		return now, nil
	}
}

// Client returns the common name of the certificate that a client has shown on a connection,
// with proof that it has the key; the error says what is wrong with it. The context ends
// when the certificate is no longer valid; its cause is [context.DeadlineExceeded] if the
// certificate has expired.
func (c *Set) Client(state *tls.ConnectionState) (name string, valid context.Context, err error) {
	shown := state.PeerCertificates
	if len(shown) > maxChain {
		return "", nil, fmt.Errorf("%d more certificates come with it; fix: send only its chain", len(shown)-1)
	}
	for valid == nil {
		now := c.clients.Load()
		if now.pool == nil { // nil would mean the system's authorities
			return "", nil, errors.New("this gateway asks for no client certificate")
		}
		until, err := verify(shown, now.pool)
		if err != nil {
			return "", nil, clientError(shown[0], err)
		}
		if shown[0].Subject.CommonName == "" {
			return "", nil, errors.New("it has no common name (CN), which is that of its token")
		}
		valid = c.holders.add(shown, until, func() bool { return c.clients.Load() == now })
	}
	return shown[0].Subject.CommonName, valid, nil
}

// verify returns until when a client's certificate, with its chain, is valid.
func verify(shown []*x509.Certificate, roots *x509.CertPool) (until time.Time, err error) {
	options := x509.VerifyOptions{
		Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, cert := range shown[1:] {
		options.Intermediates.AddCert(cert)
	}
	chains, err := shown[0].Verify(options)
	for _, chain := range chains {
		end := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) }).NotAfter
		if end.After(until) {
			until = end
		}
	}
	return until, err
}

// clientError says why a client's certificate does not verify.
func clientError(leaf *x509.Certificate, err error) error {
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return fmt.Errorf("it is not of an authority in tls.clients (it was issued by %s); fix: have one made by that, or show none", strconv.QuoteToASCII(leaf.Issuer.String()))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().Before(leaf.NotBefore):
		return fmt.Errorf("it is valid from %s only, and it is %s; fix: check the clocks",
			leaf.NotBefore.UTC().Format(time.DateTime), time.Now().UTC().Format(time.DateTime))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().After(leaf.NotAfter):
		return fmt.Errorf("it has expired on %s; fix: renew it", date(leaf.NotAfter))
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return errors.New("it is not for clients; fix: have one made with the extended key usage clientAuth")
	}
	return err
}
