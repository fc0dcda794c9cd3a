// Package enroll makes gateways members of a fleet: the hubs' [Authority] signs their
// certificates, [Members] has who they are and the codes that let others in, [Hub]
// answers a device, and [Device] is that device.
//
// It knows certificates, files and HTTP. It refuses to know brokers, readings, and what a
// member of the fleet may do.
package enroll

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"sensorgateway/gateway/statefile"
)

const (
	authorityCert = "ca.crt"
	authorityKey  = "ca.key"
	revokedList   = "ca.crl"

	// HubName is the name in the certificate that every hub has for devices, whatever its
	// host is called. Devices ask for it; browsers are shown another certificate.
	HubName = "hub.gateway.internal"

	authorityYears = 20
	gatewayYears   = 2
	clockSkew      = time.Hour
)

// Authority signs the certificates of a fleet: of gateways, hubs and brokers. All hubs
// have the same.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// InitAuthority makes the authority in a directory that has none.
func InitAuthority(dir string, now time.Time) (*Authority, error) {
	unlock, err := statefile.Lock(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := os.Lstat(filepath.Join(dir, authorityCert)); err == nil {
		return nil, fmt.Errorf("%s has an authority already: with another one, all gateways would have to enroll again", dir)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{
		Subject:  pkix.Name{Organization: []string{"Sensor gateway"}, CommonName: "Fleet"},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		NotBefore: now.UTC().Add(-clockSkew), NotAfter: now.UTC().AddDate(authorityYears, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the authority's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make the authority's certificate: %w", err)
	}
	none, err := (&Authority{cert: cert, key: key}).revoke(nil, 0, now) // a broker does not start without the file
	if err != nil {
		return nil, err
	}
	// The certificate is written last: once it is there, the authority can sign and revoke.
	if err := writeKey(dir, authorityKey, key); err != nil {
		return nil, err
	}
	if err := statefile.Write(dir, revokedList, none); err != nil {
		return nil, err
	}
	if err := statefile.Write(dir, authorityCert, certPEM(der)); err != nil {
		return nil, err
	}
	return OpenAuthority(dir)
}

// LoadPair reads the files of a certificate and its key, as [tls.LoadX509KeyPair] does, but
// does not block if one is a pipe.
func LoadPair(cert, key string) (tls.Certificate, error) {
	certText, err := statefile.Read(filepath.Split(cert))
	if err != nil {
		return tls.Certificate{}, err
	}
	keyText, err := statefile.Read(filepath.Split(key))
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certText, keyText)
}

// OpenAuthority reads the authority of a directory.
func OpenAuthority(dir string) (*Authority, error) {
	pair, err := LoadPair(filepath.Join(dir, authorityCert), filepath.Join(dir, authorityKey))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w; fix: make the fleet's authority with gateway hub ca init, or copy %s and %s of another hub", err, authorityCert, authorityKey)
	case err != nil:
		return nil, fmt.Errorf("the authority in %s: %w", dir, err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("the certificate in %s is no authority's", filepath.Join(dir, authorityCert))
	}
	return &Authority{cert: pair.Leaf, key: key}, nil
}

// Pin returns the hash by which devices recognise the authority.
func (a *Authority) Pin() Pin { return pinOf(a.cert.Raw) }

// PEM returns its certificate.
func (a *Authority) PEM() []byte { return certPEM(a.cert.Raw) }

// CheckClock returns why the clock of a hub must be wrong, nil if it may be right: what is
// signed by a clock that is years behind has expired when it is signed.
func (a *Authority) CheckClock(now time.Time) error {
	if now.Before(a.cert.NotBefore) || now.After(a.cert.NotAfter) {
		return &refusal{fmt.Sprintf("the clock of the hub says %s, and the authority of its fleet is valid from %s to %s; fix: set the clock there (sudo timedatectl set-ntp true), and repeat this",
			now.UTC().Format(time.RFC3339), a.cert.NotBefore.Format(time.DateOnly), a.cert.NotAfter.Format(time.DateOnly))}
	}
	return nil
}

// gateway signs the certificate of a gateway of a site.
func (a *Authority) gateway(name, site string, public any, now time.Time) (*x509.Certificate, error) {
	if err := a.CheckClock(now); err != nil {
		return nil, err
	}
	return a.sign(&x509.Certificate{
		Subject:  pkix.Name{CommonName: name, OrganizationalUnit: []string{site}},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotAfter: now.AddDate(gatewayYears, 0, 0),
	}, public, now)
}

// Server makes a key and a certificate for a hub, or a broker, and its hosts, which are
// names and addresses.
func (a *Authority) Server(commonName string, hosts []string, now time.Time) (*tls.Certificate, error) {
	template := &x509.Certificate{Subject: pkix.Name{CommonName: commonName}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return a.pair(template, now)
}

// pair makes a key and a certificate.
func (a *Authority) pair(template *x509.Certificate, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	template.KeyUsage, template.NotAfter = x509.KeyUsageDigitalSignature, now.AddDate(gatewayYears, 0, 0)
	leaf, err := a.sign(template, key.Public(), now)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw, a.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// hubUser is the prefix of a hub's user name at the broker. No gateway's name has a dot, so
// none can be taken for a hub's.
const hubUser = "hub."

// Client returns the configuration of a hub's connections to a broker: by its certificate,
// the hub is the user "hub.NAME"; the broker's must be one of the authority.
func (a *Authority) Client(hub string, now time.Time) (*tls.Config, error) {
	pair, err := a.pair(&x509.Certificate{Subject: pkix.Name{CommonName: hubUser + hub}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, now)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{*pair}, MinVersion: tls.VersionTLS12}, nil
}

// sign signs a certificate, which is valid from a little before now on, because clocks
// differ.
func (a *Authority) sign(template *x509.Certificate, public any, now time.Time) (*x509.Certificate, error) {
	template.NotBefore, template.NotAfter = now.UTC().Add(-clockSkew), template.NotAfter.UTC()
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", template.Subject.CommonName, err)
	}
	return x509.ParseCertificate(der)
}

// revoke returns the list of revoked certificates (RFC 5280, section 5), for
// brokers. It is valid for as long as the authority: a broker that has no newer list must
// not refuse everybody.
func (a *Authority) revoke(all []revoked, number int64, now time.Time) ([]byte, error) {
	list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: now.UTC().Add(-clockSkew), NextUpdate: a.cert.NotAfter}
	for _, r := range all {
		n, ok := new(big.Int).SetString(r.Serial, 16)
		if !ok {
			return nil, fmt.Errorf("serial number %q is no hexadecimal number", r.Serial)
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: r.At.UTC()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign the list of revoked certificates: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), nil
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// KeyPEM returns a private key as PKCS #8.
func KeyPEM(key crypto.PrivateKey) ([]byte, error) {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

func writeKey(dir, name string, key crypto.PrivateKey) error {
	data, err := KeyPEM(key)
	if err != nil {
		return err
	}
	return statefile.Write(dir, name, data)
}

// WritePair writes a certificate with its chain, and its key, as NAME.crt and NAME.key.
func WritePair(dir, name string, pair *tls.Certificate) error {
	if err := writeKey(dir, name+".key", pair.PrivateKey); err != nil {
		return err
	}
	var chain []byte
	for _, der := range pair.Certificate {
		chain = append(chain, certPEM(der)...)
	}
	return statefile.Write(dir, name+".crt", chain)
}
