package setup

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"sensorgateway/gateway/access/tokens"
)

// The authority of clients' certificates, which is made with the first of them.
const (
	authorityCert = "clients.crt"
	authorityKey  = "clients.key" // of no use to the gateway
)

// checkClient checks the flags of a client's certificate.
func (o *certOptions) checkClient() error {
	if len(o.hosts) > 0 {
		return errors.New("--client and --host: a client's certificate is for no host")
	}
	if err := tokens.CheckName(o.client); err != nil {
		return fmt.Errorf("--client: %w", err)
	}
	return nil
}

// makeClient makes a certificate that identifies a client as the holder of a token.
func (o *certOptions) makeClient(dir string, stdout io.Writer) error {
	authority, err := openAuthority(dir)
	if err != nil {
		return err
	}
	pair, err := signedPair(&x509.Certificate{
		Subject:     pkix.Name{CommonName: o.client},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, authority, time.Now(), o.days)
	if err != nil {
		return err
	}
	cert, key := o.client+".client.crt", o.client+".client.key"
	if err := pair.write(dir, cert, key, o.force); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s  the certificate, until %s\n%s  its key: both belong on the client's machine\n%s  the authority that made it; its key, %s, belongs off the gateway\n\n"+
		"In the gateway's configuration:\n\ntls: {clients: %s}  # beside cert and key\n\nIt has the rights of the token of that name: gateway token add %q\n",
		filepath.Join(dir, cert), pair.notAfter.Format(time.DateOnly), filepath.Join(dir, key), filepath.Join(dir, authorityCert), authorityKey,
		yamlText(filepath.Join(dir, authorityCert)), o.client)
	return err
}

// openAuthority returns the authority in a directory; one is made if there is none.
func openAuthority(dir string) (*tls.Certificate, error) {
	cert, key := filepath.Join(dir, authorityCert), filepath.Join(dir, authorityKey)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if errors.Is(err, fs.ErrNotExist) {
		made, err := signedPair(&x509.Certificate{
			Subject:               pkix.Name{Organization: []string{"Sensor gateway"}, CommonName: "Clients"},
			KeyUsage:              x509.KeyUsageCertSign,
			ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		}, nil, time.Now(), maxCertDays)
		if err != nil {
			return nil, err
		}
		if err := made.write(dir, authorityCert, authorityKey, false); err != nil {
			return nil, err
		}
		pair, err = tls.LoadX509KeyPair(cert, key)
		return &pair, err
	}
	if err != nil {
		return nil, fmt.Errorf("the authority of clients' certificates: %w; fix: name another directory with --out", err)
	}
	return &pair, nil
}
