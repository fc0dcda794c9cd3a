package member

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/statefile"
)

// keys are those of a file, read again when it has changed.
type keys struct {
	mu      sync.Mutex
	changed time.Time
	all     []ed25519.PublicKey
}

func (k *keys) read(file string) ([]ed25519.PublicKey, error) {
	if file == "" {
		return nil, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	info, err := os.Stat(file)
	if err != nil || info.ModTime().Equal(k.changed) {
		return k.all, err
	}
	text, err := atomicfile.Read(file)
	if err != nil {
		return k.all, err
	}
	all, err := fleet.ParseKeys(text)
	if err != nil {
		return k.all, fmt.Errorf("%s: %w", file, err)
	}
	k.all, k.changed = all, info.ModTime()
	return k.all, nil
}

// forget has the file read again, also if it is changed twice within its file system's
// unit of time.
func (k *keys) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changed = time.Time{}
}

// ChangeKeys changes the file of the hubs' keys as the hub with the key of that fingerprint
// has signed, and calls begin before it does, with the key that is added or removed. It is
// replaced as a whole: a power cut leaves the list of before or the one of after.
func (m *Member) ChangeKeys(signer string, c fleet.KeyChange, begin func(fleet.HubKey)) (changed bool, err error) {
	file := m.hubKeys.Load()
	if file == nil || *file == "" {
		return false, errors.New("the gateway has no list of hubs' keys")
	}
	dir, name := filepath.Split(*file)
	dir = filepath.Clean(dir)
	unlock, err := statefile.Lock(dir) // gateway enroll and a renewal write it too
	if err != nil {
		return false, notChanged(err)
	}
	defer unlock()
	list, err := atomicfile.Read(*file)
	if err != nil {
		return false, notChanged(err)
	}
	next, key, changed, err := c.Apply(list, signer)
	if err != nil || !changed {
		return false, err
	}
	begin(key)
	err = statefile.Write(dir, name, next)
	m.keys.forget()
	if err != nil {
		return false, notChanged(err)
	}
	return true, nil
}

func notChanged(err error) error {
	return fmt.Errorf("the list of hubs' keys cannot be changed: %w; fix: let the user who runs the gateway write it, or change it on the device", err)
}
