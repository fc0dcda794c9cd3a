package certificates

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"runtime"
	"slices"
	"strconv"
)

// maxPEM is how many bytes a certificate or key has at most.
const maxPEM = 1 << 20

// kindClients is the file of the clients' authorities, in errors.
const kindClients = "clients"

// read returns the pair of files as a certificate that a server can show.
func (c *Set) read() (*tls.Certificate, error) {
	cert, err := readPEM("certificate", c.certFile)
	if err != nil {
		return nil, err
	}
	key, err := readPEM("key", c.keyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	switch {
	case err != nil && bytes.Contains(key, []byte("ENCRYPTED")):
		return nil, fmt.Errorf("key %s has a passphrase; fix: remove it with openssl pkey -in %[1]s -out NEW", c.keyFile)
	case err != nil:
		return nil, fmt.Errorf("certificate %s with key %s: %w; fix: name a certificate and the key it was made for, both PEM (gateway cert makes a pair for a first try)",
			c.certFile, c.keyFile, err)
	case !isForServers(pair.Leaf):
		return nil, fmt.Errorf("certificate %s is not for servers; fix: have one made with the extended key usage serverAuth", c.certFile)
	}
	return &pair, nil
}

// isForServers checks the extended key usage; without one, any use is allowed.
func isForServers(leaf *x509.Certificate) bool {
	return len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) == 0 ||
		slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// warnReadable warns of a key that every user of this machine can read. (A group
// may read it, such as Debian's ssl-cert. On Windows the mode has no meaning.)
func (c *Set) warnReadable() {
	info, err := os.Stat(c.keyFile)
	if err == nil && info.Mode()&0o004 != 0 && runtime.GOOS != "windows" {
		c.log.Warn("everybody on this machine can read the key", "file", c.keyFile, "fix", "chmod o= "+c.keyFile)
	}
}

// readPEM reads a file that consists of whole PEM blocks; kind is its name in errors.
func readPEM(kind, path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, explain(kind, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s %s: not a regular file", kind, path) // reading a pipe would wait
	case info.Size() > maxPEM:
		return nil, fmt.Errorf("%s %s: %d bytes are too many for a PEM file", kind, path, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, explain(kind, err)
	}
	// The parser skips what it does not understand, such as a last block that was cut
	// off.
	whole := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		whole++
	}
	switch begun := bytes.Count(data, []byte("-----BEGIN ")); {
	case begun == 0:
		return nil, fmt.Errorf("%s %s: no PEM in it; fix: convert it (openssl) or name another file", kind, path)
	case whole < begun:
		return nil, fmt.Errorf("%s %s: cut off or damaged; fix: write it again", kind, path)
	}
	return data, nil
}

func explain(kind string, err error) error {
	switch {
	case kind == kindClients && errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w; fix: correct tls.clients in the configuration, or make an authority for a first try: gateway cert --client NAME", kind, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w; fix: correct tls: in the configuration, or make a pair for a first try: gateway cert", kind, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w; fix: let %s read it and enter its directory (chown, chmod)", kind, err, certificateReader())
	}
	return fmt.Errorf("%s: %w", kind, err)
}

// certificateReader returns the user that needs to read the pair: the one that runs this process, by name
// or else by number.
func certificateReader() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "user " + strconv.Itoa(os.Geteuid())
}
