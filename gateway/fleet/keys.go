package fleet

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sensorgateway/wire"
)

// MaxHubKeys is how many keys of hubs a gateway has at most.
const MaxHubKeys = 64

// HubKey is a key with which a hub signs orders, and what people call the hub.
type HubKey struct {
	Key  ed25519.PublicKey
	Name string
}

// Entry returns the key as a line of a list has it, for [ParseHubKey].
func (k HubKey) Entry() string {
	return base64.StdEncoding.EncodeToString(k.Key) + " " + k.Name
}

// Fingerprint names a key: 16 hexadecimal digits.
func (k HubKey) Fingerprint() string { return Fingerprint(k.Key) }

// Fingerprint names a public key: 16 hexadecimal digits, the beginning of its SHA-256.
func Fingerprint(key ed25519.PublicKey) string { return idOf(key).String() }

// Fingerprints returns the names of keys, in their order.
func Fingerprints(keys []ed25519.PublicKey) []string {
	all := make([]string, 0, len(keys))
	for _, k := range keys {
		all = append(all, Fingerprint(k))
	}
	return all
}

// ParseHubKey reads a key and its name, as a line of a list has them.
func ParseHubKey(line string) (HubKey, error) {
	word, name, _ := strings.Cut(strings.TrimSpace(line), " ")
	key, err := base64.StdEncoding.Strict().DecodeString(word)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return HubKey{}, fmt.Errorf("not a key: want %d bytes in base64, then a name", ed25519.PublicKeySize)
	}
	return HubKey{key, strings.TrimSpace(name)}, nil
}

// ParseHubKeys reads a list of hubs' public keys: each line has a key, 32 bytes in base64, a
// space, and the hub's name. Empty lines and those that begin with # are ignored.
func ParseHubKeys(text []byte) (keys []HubKey, err error) {
	for i, line := range strings.Split(string(text), "\n") {
		if !hasKey(line) {
			continue
		}
		k, err := ParseHubKey(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("no key")
	}
	return keys, nil
}

func hasKey(line string) bool {
	line = strings.TrimSpace(line)
	return line != "" && line[0] != '#'
}

// AppendHubKey returns a list with one key more, on a line of its own.
func AppendHubKey(list []byte, k HubKey) []byte {
	list = slices.Clone(list)
	if len(list) > 0 && list[len(list)-1] != '\n' {
		list = append(list, '\n')
	}
	return append(list, k.Entry()+"\n"...)
}

// RemoveHubKey returns a list without the key of that fingerprint. Other lines stay as they
// are.
func RemoveHubKey(list []byte, fingerprint string) (rest []byte) {
	for line := range strings.Lines(string(list)) {
		if hasKey(line) {
			if k, err := ParseHubKey(line); err == nil && k.Fingerprint() == fingerprint {
				continue
			}
		}
		rest = append(rest, line...)
	}
	return rest
}

// CheckFingerprint returns what is wrong with the name of a key.
func CheckFingerprint(text string) error {
	if id, err := hex.DecodeString(text); err != nil || len(id) != len(keyID{}) || hex.EncodeToString(id) != text {
		return fmt.Errorf("want a fingerprint, %d hexadecimal digits", 2*len(keyID{}))
	}
	return nil
}

// ParseKeys reads a list as [ParseHubKeys] does, without the names.
func ParseKeys(text []byte) (keys []ed25519.PublicKey, err error) {
	all, err := ParseHubKeys(text)
	for _, k := range all {
		keys = append(keys, k.Key)
	}
	return keys, err
}

// KeyLine returns the line of a key for [ParseKeys].
func KeyLine(key ed25519.PublicKey, name string) string { return HubKey{key, name}.Entry() + "\n" }

// KeyChange is the body of an order of the kind [Keys]: a key that the gateway is to know
// from now on, or one that it is to know no longer. Exactly one of them is set.
type KeyChange struct {
	Add    string `json:"add,omitempty"`    // as in a line of the list
	Remove string `json:"remove,omitempty"` // the fingerprint
}

// KeyChanged is the payload of the answer, of type ack.
type KeyChanged struct {
	KeyChange
	Changed bool     `json:"changed"` // false: the list was so already
	Keys    []string `json:"keys"`    // the fingerprints in the list
}

// KeyChange returns the body of an order of the kind [Keys].
func (o Order) KeyChange() (c KeyChange, err error) {
	if err := strict(o.Body, &c); err != nil {
		return KeyChange{}, wire.Errorf(422, "keys: %v", err)
	}
	switch {
	case (c.Add == "") == (c.Remove == ""):
		return KeyChange{}, wire.Errorf(422, "keys: it needs add or remove, one of both")
	case c.Add != "":
		k, err := ParseHubKey(c.Add)
		if err == nil {
			err = CheckName(k.Name)
		}
		if err != nil {
			return KeyChange{}, wire.Errorf(422, "keys: add: %v", err)
		}
	default:
		if err := CheckFingerprint(c.Remove); err != nil {
			return KeyChange{}, wire.Errorf(422, "keys: remove: %v", err)
		}
	}
	return c, nil
}

// Apply returns a gateway's list of keys after the change, and the key that was added or
// removed. signer is the fingerprint of the key that signed the change. Other lines stay as
// they are. changed is false if the list is so already.
//
// A hub cannot remove its own key, only another hub can: so a list never becomes empty, nor
// one that nobody can change.
func (c KeyChange) Apply(list []byte, signer string) (next []byte, key HubKey, changed bool, err error) {
	keys, err := ParseHubKeys(list)
	if err != nil {
		return nil, HubKey{}, false, wire.Errorf(500, "the list of the hubs' keys: %v", err)
	}
	at := func(fingerprint string) int {
		return slices.IndexFunc(keys, func(k HubKey) bool { return k.Fingerprint() == fingerprint })
	}
	if at(signer) < 0 { // it was removed while this order waited
		return nil, HubKey{}, false, wire.Errorf(403, "the key of the hub that has signed this is no longer known")
	}
	if c.Add != "" {
		if key, err = ParseHubKey(c.Add); err != nil {
			return nil, HubKey{}, false, wire.Errorf(422, "keys: add: %v", err)
		}
		switch {
		case at(key.Fingerprint()) >= 0:
			return list, key, false, nil
		case len(keys) >= MaxHubKeys:
			return nil, HubKey{}, false, wire.Errorf(503, "the gateway knows %d keys already, and has room for no more; fix: remove one that no hub uses", len(keys))
		}
		return AppendHubKey(list, key), key, true, nil
	}
	i := at(c.Remove)
	switch {
	case i < 0:
		return list, HubKey{}, false, nil
	case c.Remove == signer:
		return nil, HubKey{}, false, wire.Errorf(403, "a hub does not remove its own key; fix: have another hub remove it")
	}
	return RemoveHubKey(list, c.Remove), keys[i], true, nil
}

// HubKeys are the keys with which hubs of a fleet sign orders, as a hub has them.
type HubKeys struct {
	Known   []HubKey
	Removed []string // fingerprints of those that gateways are to know no longer
}

// Changes returns the changes that a hub has to send to a gateway that knows the keys of
// these fingerprints. The hub does not remove its own key.
func (h HubKeys) Changes(has []string, own string) (changes []KeyChange) {
	for _, k := range h.Known {
		if f := k.Fingerprint(); !slices.Contains(has, f) && !slices.Contains(h.Removed, f) {
			changes = append(changes, KeyChange{Add: k.Entry()})
		}
	}
	for _, f := range h.Removed {
		if slices.Contains(has, f) && f != own {
			changes = append(changes, KeyChange{Remove: f})
		}
	}
	return changes
}
