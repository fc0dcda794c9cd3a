package audit

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"sensorgateway/gateway/atomicfile"
)

// mark is where a chain stands.
type mark struct {
	Oldest uint64 `json:"oldest"` // number of the first record that is kept
	Newest uint64 `json:"newest"` // number of the last one, 0 without any
	Code   string `json:"code"`   // of the last one
}

// anchor is the content of the anchor's file: what must be in the log at least.
type anchor struct {
	Version int             `json:"anchor"`
	Chains  map[string]mark `json:"chains"`
}

func writeAnchor(path string, key []byte, marks map[string]mark) error {
	text, err := json.Marshal(anchor{version, marks})
	if err != nil {
		return err
	}
	line, _ := seal(key, code{}, text)
	return atomicfile.Write(path, 0o600, func(f *os.File) error {
		_, err := f.Write(line)
		return err
	})
}

// readAnchor returns no marks if there is no file yet.
func readAnchor(path string, key []byte) (map[string]mark, error) {
	line, err := atomicfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	line = bytes.TrimSuffix(line, []byte("\n"))
	body, rest, _ := cutLast(line, macStart)
	var a anchor
	if err := json.Unmarshal(append(bytes.Clone(body), '}'), &a); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if a.Version > version {
		return nil, fmt.Errorf("%s is of version %d, which a newer gateway wrote", path, a.Version)
	}
	if c := next(key, code{}, body); string(rest) != c.String()+`"}` {
		return nil, fmt.Errorf("%s: %w", path, errForged)
	}
	return a.Chains, nil
}

const keySize = 32

// readKey returns the key in a file, which it makes if there is none and create says so.
func readKey(path string, create bool) ([]byte, error) {
	key, err := atomicfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) && create {
		key = make([]byte, keySize)
		_, _ = rand.Read(key) // never fails
		return key, atomicfile.Write(path, 0o600, func(f *os.File) error {
			_, err := f.Write(key)
			return err
		})
	}
	if err == nil && len(key) != keySize {
		err = fmt.Errorf("%s has %d bytes, a key has %d; fix: restore it from a backup, or remove it together with the audit log", path, len(key), keySize)
	}
	return key, err
}
