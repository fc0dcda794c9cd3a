package enroll

import (
	"crypto/tls"
	"crypto/x509"
	"sync"
	"time"
)

// Listener returns the configuration of a hub's listener, which shows clients a certificate as
// [Authority.Server] makes it. It is made again while the hub runs: a clock that was wrong
// when it was made, and is set since, would let clients refuse it, and so would its end.
func (a *Authority) Listener(commonName string, hosts []string) (*tls.Config, error) {
	s := &shown{authority: a, commonName: commonName, hosts: hosts}
	if _, err := s.pair(time.Now()); err != nil { // at the start rather than to the first client
		return nil, err
	}
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.pair(time.Now()) },
		MinVersion:     tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	}, nil
}

// shown is the certificate that is shown now.
type shown struct {
	authority  *Authority
	commonName string
	hosts      []string

	mu      sync.Mutex // held while it is made: clients that connect then wait for the same one
	current *tls.Certificate
}

func (s *shown) pair(now time.Time) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && !s.authority.outdated(s.current.Leaf, now) {
		return s.current, nil
	}
	pair, err := s.authority.Server(s.commonName, s.hosts, now)
	if err != nil {
		return nil, err
	}
	s.current = pair
	return pair, nil
}

// outdated says whether a certificate should be made again: it is not valid yet, or past half
// of its time. One that ends with the authority cannot be replaced by a better one.
func (a *Authority) outdated(leaf *x509.Certificate, now time.Time) bool {
	half := leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)
	return now.Before(leaf.NotBefore) || now.After(half) && leaf.NotAfter.Before(a.cert.NotAfter)
}
