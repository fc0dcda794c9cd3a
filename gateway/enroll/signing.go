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
	"path/filepath"

	"sensorgateway/gateway/statefile"
)

// Files of a hub: the key with which it signs orders, the public keys of all hubs, and
// those that gateways must forget.
const (
	signingFile = "hub.key"
	hubsFile    = "hubs.keys"
	removedFile = "hubs.removed"
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
	if len(all) > 0 && !bytes.HasSuffix(all, []byte("\n")) { // a person has written it
		all = append(all, '\n')
	}
	own := []byte(line(key.Public().(ed25519.PublicKey)))
	if bytes.Contains(all, own) {
		return key, nil
	}
	return key, statefile.Write(dir, hubsFile, append(all, own...))
}

func readSigningKey(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, signingFile)
	data, err := statefile.Read(dir, signingFile)
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
func HubKeys(dir string) ([]byte, error) { return statefile.Read(dir, hubsFile) }

// RemovedKeys returns the keys of hubs that gateways must forget, a line each.
func RemovedKeys(dir string) ([]byte, error) {
	return readMissing(dir, removedFile)
}

// readMissing reads a file; one that is missing counts as empty.
func readMissing(dir, name string) ([]byte, error) {
	data, err := statefile.Read(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// ChangeHubKeys changes which keys hubs have, and which are removed. If it is interrupted
// between the two files, the removed keys are written already, and take precedence.
func ChangeHubKeys(dir string, change func(keys, removed []byte) (nextKeys, nextRemoved []byte, err error)) error {
	unlock, err := statefile.Lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	keys, err := readMissing(dir, hubsFile)
	if err != nil {
		return err
	}
	removed, err := RemovedKeys(dir)
	if err != nil {
		return err
	}
	nextKeys, nextRemoved, err := change(keys, removed)
	if err != nil {
		return err
	}
	if !bytes.Equal(removed, nextRemoved) {
		if err := statefile.Write(dir, removedFile, nextRemoved); err != nil {
			return err
		}
	}
	if bytes.Equal(keys, nextKeys) {
		return nil
	}
	return statefile.Write(dir, hubsFile, nextKeys)
}

// OwnKey returns the public key with which the hub of a directory signs orders;
// [fs.ErrNotExist] before it has run.
func OwnKey(dir string) (ed25519.PublicKey, error) {
	key, err := readSigningKey(dir)
	if err != nil {
		return nil, err
	}
	return key.Public().(ed25519.PublicKey), nil
}
