package enroll

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sensorgateway/gateway/statefile"
)

// Files of a hub: the key with which it signs orders, and the public ones of all hubs.
const (
	signingFile = "hub.key"
	hubsFile    = "hubs.keys"
)

// SigningKey returns the key with which a hub signs orders. The first time it is made,
// and its line is added to those of all hubs, which gateways are given.
func SigningKey(dir string, line func(ed25519.PublicKey) string) (ed25519.PrivateKey, error) {
	unlock, err := statefile.Lock(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	key, err := readSigningKey(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if _, key, err = ed25519.GenerateKey(rand.Reader); err == nil {
			err = writeKey(dir, signingFile, key)
		}
	}
	if err != nil {
		return nil, err
	}
	all, err := HubKeys(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	own := []byte(line(key.Public().(ed25519.PublicKey)))
	if bytes.Contains(all, own) {
		return key, nil
	}
	return key, statefile.Write(dir, hubsFile, append(all, own...))
}

func readSigningKey(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, signingFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM; fix: restore it, or remove it: then gateways take this hub's orders once they have its new key", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s is no key that a hub signs with (Ed25519, PKCS #8)", path)
	}
	return key, nil
}

// HubKeys returns the public keys of all hubs of a directory, a line each.
func HubKeys(dir string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, hubsFile)) }
