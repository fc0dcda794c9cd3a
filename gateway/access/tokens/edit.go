package tokens

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sensorgateway/gateway/statefile"
)

const (
	fileName = "tokens.json"
	usedName = "tokens-used.json"

	// CodeTime is how long a login code is good.
	CodeTime = 15 * time.Minute

	loginTime = 30 * 24 * time.Hour // without use
)

// Read returns what is stored in a state directory; without a file that is nothing.
func Read(dir string) (*File, error) {
	data, err := statefile.Read(dir, fileName)
	if errors.Is(err, fs.ErrNotExist) {
		return &File{}, nil
	}
	if err != nil {
		return nil, err
	}
	f, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; fix: restore it from a backup, or remove it and make all tokens anew", filepath.Join(dir, fileName), err)
	}
	return f, nil
}

// Edit changes the file in a state directory, which must exist: the file is read
// again, changed and replaced as a whole, while other processes are locked out. It
// belongs to the owner of the directory, whoever calls: what root writes, the
// service must be able to read.
func Edit(dir string, change func(*File) error) error {
	unlock, err := statefile.Lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	f, err := Read(dir)
	if err != nil {
		return err
	}
	if f.Gateway == "" {
		f.Gateway = newID()
	}
	if err := change(f); err != nil {
		return err
	}
	f.prune(time.Now())
	if err := f.check(); err != nil {
		return err
	}
	return statefile.Write(dir, fileName, f.format())
}

// newID returns a random ID.
func newID() string { return strings.ToLower(rand.Text()[:12]) }

// Add adds a token with the name, role, scopes, expiry and maker of t, and returns
// its text, which is not stored.
func (f *File) Add(t Token) (text string, err error) {
	switch {
	case CheckName(t.Name) != nil:
		return "", CheckName(t.Name)
	case f.Find(t.Name) != nil:
		return "", fmt.Errorf("there is a token %q already; fix: take another name, or rotate that one", t.Name)
	case len(f.Tokens) >= maxTokens:
		return "", fmt.Errorf("there are %d tokens already, which is all there can be; fix: revoke some", maxTokens)
	}
	text = newText()
	t.ID, t.Created, t.Hash = newID(), now(), hashOf(text)
	f.Tokens = append(f.Tokens, t)
	return text, nil
}

// Revoke removes a token, and its logins and codes.
func (f *File) Revoke(name string) error {
	t := f.Find(name)
	if t == nil {
		return f.unknown(name)
	}
	f.logOut(t.ID)
	f.Tokens = slices.DeleteFunc(f.Tokens, func(other Token) bool { return other.ID == t.ID })
	return nil
}

// Rotate gives a token another text, and removes its logins and codes.
func (f *File) Rotate(name string) (text string, err error) {
	t := f.Find(name)
	if t == nil {
		return "", f.unknown(name)
	}
	f.logOut(t.ID)
	text = newText()
	t.Hash = hashOf(text)
	return text, nil
}

func (f *File) unknown(name string) error {
	var names []string
	for _, t := range f.Tokens {
		names = append(names, t.Name)
	}
	if names == nil {
		return fmt.Errorf("there is no token %q: there are none", name)
	}
	return fmt.Errorf("there is no token %q: there are %s", name, strings.Join(names, ", "))
}

// LogOut removes a login, and returns whether it was there.
func (f *File) LogOut(id string) bool {
	before := len(f.Logins)
	f.Logins = slices.DeleteFunc(f.Logins, func(l Login) bool { return l.ID == id })
	return len(f.Logins) < before
}

// logOut removes the logins and the codes of a token.
func (f *File) logOut(id string) {
	f.Logins = slices.DeleteFunc(f.Logins, func(l Login) bool { return l.Token == id })
	f.Codes = slices.DeleteFunc(f.Codes, func(c Code) bool { return c.Token == id })
}

// AddCode returns a code that logs in the holder of a token once, within [CodeTime].
func (f *File) AddCode(name string) (text string, err error) {
	t := f.Find(name)
	if t == nil {
		return "", f.unknown(name)
	}
	text = random()
	f.Codes = append(f.Codes, Code{Token: t.ID, Expires: now().Add(CodeTime), Hash: hashOf(text)})
	return text, nil
}

// addLogin adds a login of a token, and returns its secret, which begins with begin.
func (f *File) addLogin(id, from, begin string) (secret string) {
	secret = begin + random()
	f.Logins = append(f.Logins, Login{ID: newID(), Token: id, Created: now(), From: from, Hash: hashOf(secret)})
	return secret
}

// prune removes codes that have expired, and of each token the oldest codes and logins
// beyond their limits.
func (f *File) prune(now time.Time) {
	f.Codes = slices.DeleteFunc(f.Codes, func(c Code) bool { return now.After(c.Expires) })
	f.Codes = newest(f.Codes, maxCodes, func(c Code) string { return c.Token })
	f.Logins = newest(f.Logins, maxLogins, func(l Login) string { return l.Token })
}

// newest keeps the last entries of each token, most of them at most.
func newest[T any](list []T, most int, token func(T) string) []T {
	count := map[string]int{}
	for i := len(list) - 1; i >= 0; i-- {
		if count[token(list[i])]++; count[token(list[i])] > most {
			list = slices.Delete(list, i, i+1)
		}
	}
	return list
}

// now is a time as it is stored.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
