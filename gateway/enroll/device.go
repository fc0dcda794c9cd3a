package enroll

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/statefile"
)

// Files of a device, in its state directory.
const (
	KeyFile        = "fleet.key"
	CertFile       = "fleet.crt"
	AuthorityFile  = "fleet-ca.crt"
	HubKeysFile    = "fleet-hubs.keys"
	membershipFile = "fleet.json"
	// nextKeyFile is the key of a new identity that is not complete. Its name is not KeyFile with
	// atomicfile.TempSuffix: a file with that is removed when KeyFile is written, and not backed up.
	nextKeyFile = "fleet-next.key"
)

// requestTime is how long a hub may take to answer.
const requestTime = 30 * time.Second

// Device is a gateway that enrolls, or has enrolled.
type Device struct {
	Dir string           // its state directory
	Now func() time.Time // nil: the system's clock, which may be wrong
}

func (d Device) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// Enroll makes the device a member of the fleet of a hub. Whenever it is interrupted, it
// can be repeated with the same code: the key is made once, and a device that has the key
// and the code gets a certificate again. With anew, the device gets a new identity; until
// the hub has given it a certificate, it has the old one.
func (d Device) Enroll(ctx context.Context, hub *url.URL, code Code, name string, anew bool) (*Membership, error) {
	unlock, err := statefile.Lock(d.Dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if old, err := d.Membership(); err == nil && old.Name != name && !anew {
		return nil, fmt.Errorf("this device is %s of the site %s already; fix: take that name, or give the device a new identity with --force", old.Name, old.Site)
	}
	file := KeyFile
	if anew {
		file = nextKeyFile
	}
	key, err := d.key(file)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		return nil, fmt.Errorf("make the request for a certificate: %w", err)
	}
	request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	body, err := json.Marshal(admission{Secret: code.Secret[:], Name: name, Request: string(request)})
	if err != nil {
		return nil, err
	}
	var authority *x509.Certificate
	m, err := d.ask(ctx, hub, EnrollPath, body, d.trust(code.Authority, &authority))
	if err != nil {
		return nil, err
	}
	m.Hub = hub.String()
	if m.Name != name {
		return nil, fmt.Errorf("the hub answered for another gateway: %q", m.Name)
	}
	err = d.store(m, key, authority)
	if err == nil && anew {
		err = d.keepNextKey()
	}
	return m, err
}

// keepNextKey makes the next key that of the device. It is the last step of a new identity: as
// long as the next key is there, the same command asks with it again, and the hub has given the
// code to no other.
func (d Device) keepNextKey() error {
	if err := os.Rename(filepath.Join(d.Dir, nextKeyFile), filepath.Join(d.Dir, KeyFile)); err != nil {
		return err
	}
	return atomicfile.OS{}.SyncDir(d.Dir)
}

// Membership returns what the hub answered last; [fs.ErrNotExist] before the device is
// enrolled.
func (d Device) Membership() (*Membership, error) {
	data, err := statefile.Read(d.Dir, membershipFile)
	if err != nil {
		return nil, err
	}
	m := &Membership{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; fix: enroll this device again", filepath.Join(d.Dir, membershipFile), err)
	}
	return m, nil
}

// key returns the key in a file of the device. A new one is stored before the hub is told of it.
func (d Device) key(file string) (*ecdsa.PrivateKey, error) {
	path := filepath.Join(d.Dir, file)
	data, err := statefile.Read(d.Dir, file)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make a key: %w", err)
		}
		return key, writeKey(d.Dir, file, key)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM; fix: remove it, and repeat this, which makes another one", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s is no key of this program; fix: remove it, and repeat this, which makes another one", path)
	}
	return key, nil
}

// store checks what a hub has answered, and writes it. The file by which the device counts
// as enrolled is written last.
func (d Device) store(m *Membership, key *ecdsa.PrivateKey, authority *x509.Certificate) error {
	block, _ := pem.Decode([]byte(m.Certificate))
	if block == nil {
		return errors.New("the hub has sent no certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	switch {
	case err != nil:
		return fmt.Errorf("the certificate that the hub has sent: %w", err)
	case !key.PublicKey.Equal(cert.PublicKey) || cert.Subject.CommonName != m.Name:
		return errors.New("the certificate that the hub has sent is another gateway's")
	case cert.CheckSignatureFrom(authority) != nil:
		return errors.New("the certificate that the hub has sent is not of its authority")
	}
	stored, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name string
		data []byte
	}{
		{AuthorityFile, certPEM(authority.Raw)}, {HubKeysFile, []byte(m.Keys)}, {CertFile, certPEM(cert.Raw)}, {membershipFile, append(stored, '\n')},
	} {
		if err := statefile.Write(d.Dir, file.name, file.data); err != nil {
			return err
		}
	}
	return nil
}

// trust returns a configuration for connections to a hub whose authority has that pin; the
// authority's certificate is stored in authority. The clock of a device that was just
// switched on may say 1970: a certificate that is not valid yet shows only that this clock
// is wrong, since nobody but the authority can have made it.
func (d Device) trust(pin Pin, authority **x509.Certificate) *tls.Config {
	return &tls.Config{
		ServerName: HubName, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"},
		InsecureSkipVerify: true, // VerifyConnection does, by the pin
		VerifyConnection: func(c tls.ConnectionState) error {
			last := c.PeerCertificates[len(c.PeerCertificates)-1]
			if pinOf(last.Raw) != pin {
				return errAuthority
			}
			roots, at := x509.NewCertPool(), d.now()
			roots.AddCert(last)
			for _, cert := range c.PeerCertificates {
				if at.Before(cert.NotBefore) {
					at = cert.NotBefore
				}
			}
			_, err := c.PeerCertificates[0].Verify(x509.VerifyOptions{
				Roots: roots, DNSName: HubName, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			})
			if invalid := (x509.CertificateInvalidError{}); errors.As(err, &invalid) && invalid.Reason == x509.Expired {
				return fmt.Errorf("%w; the clock of the hub, which has signed its certificate at %s and does so again before it expires, or that of this device, which says %s, is wrong; fix: set it (sudo timedatectl set-ntp true)",
					err, c.PeerCertificates[0].NotBefore.Format(time.RFC3339), d.now().UTC().Format(time.RFC3339))
			}
			if err == nil && authority != nil {
				*authority = last
			}
			return err
		},
	}
}

var errAuthority = errors.New("the hub at this address is of another fleet: its authority is not the one in the code; nothing was sent to it; fix: check the address, or make a code at that hub")

// ask posts a request to a hub.
func (d Device) ask(ctx context.Context, hub *url.URL, path string, body []byte, trust *tls.Config) (*Membership, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, hub.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: trust, Proxy: http.ProxyFromEnvironment}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(request)
	if err != nil {
		if errors.Is(err, errAuthority) {
			return nil, errAuthority
		}
		return nil, fmt.Errorf("ask the hub: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask the hub: %w", err)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the hub refused: %s", firstLine(answer, response.Status))
	}
	m := &Membership{}
	if err := json.Unmarshal(answer, m); err != nil {
		return nil, fmt.Errorf("the hub's answer: %w", err)
	}
	return m, nil
}

// firstLine returns what a hub says, or else the status of its answer.
func firstLine(answer []byte, status string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(answer)), "\n")
	if line == "" {
		return status
	}
	return strings.ToValidUTF8(line, "?")
}
