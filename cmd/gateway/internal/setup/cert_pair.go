package setup

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// certPair is a certificate and its key, both PEM.
type certPair struct {
	cert, key []byte
	der       []byte // the certificate
	notAfter  time.Time
}

// makePair makes a certificate for hosts, which are names and addresses, that is
// valid from now for a number of days. The first host is its common name, of 64
// characters at most.
//
// A client that trusts it makes it an authority, and its key is on a machine in
// the field. So name constraints limit it to these hosts (RFC 5280, section
// 4.2.1.10): with a stolen key, somebody can pretend to be this gateway, but not a
// bank.
func makePair(hosts []string, now time.Time, days int) (*certPair, error) {
	template := &x509.Certificate{
		Subject:                     pkix.Name{Organization: []string{"Sensor gateway"}, CommonName: hosts[0]},
		KeyUsage:                    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:                 []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid:       true,
		IsCA:                        true,
		MaxPathLenZero:              true,
		PermittedDNSDomainsCritical: true,
	}
	for _, host := range slices.Compact(slices.Sorted(slices.Values(hosts))) {
		if ip := net.ParseIP(host); ip != nil {
			if v4 := ip.To4(); v4 != nil {
				ip = v4
			}
			whole := net.CIDRMask(8*len(ip), 8*len(ip))
			template.IPAddresses = append(template.IPAddresses, ip)
			template.PermittedIPRanges = append(template.PermittedIPRanges, &net.IPNet{IP: ip, Mask: whole})
			continue
		}
		template.DNSNames = append(template.DNSNames, host)
	}
	template.PermittedDNSDomains = template.DNSNames
	return signedPair(template, nil, now, days)
}

// signedPair makes a key, and its certificate as a template has it, valid from now for a
// number of days. The authority signs it; without one it is its own.
func signedPair(template *x509.Certificate, authority *tls.Certificate, now time.Time, days int) (*certPair, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	template.NotBefore = now.UTC().Add(-time.Hour) // clocks differ
	template.NotAfter = template.NotBefore.AddDate(0, 0, days)
	parent, signer := template, crypto.PrivateKey(private)
	if authority != nil {
		parent, signer = authority.Leaf, authority.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, private.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return &certPair{
		cert:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:      pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		der:      der,
		notAfter: template.NotAfter,
	}, nil
}

// fingerprint is what browsers and openssl show of the certificate: its SHA-256.
func (p *certPair) fingerprint() string {
	sum := sha256.Sum256(p.der)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}
