package tokens

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"

	"sensorgateway/gateway/statefile"
)

// What can happen to a token.
const (
	WasMade    = "made"
	WasChanged = "changed" // its role, its scopes or its expiry
	WasRotated = "rotated"
	WasRevoked = "revoked"
)

// Author is the client that changed a token through the running gateway. The zero Author
// is anybody else who changed the file.
type Author struct {
	ID   string // of the author's own token
	Name string
	How  string // the author was identified
	From string // where the author was
}

// A Change is what happened to a token.
type Change struct {
	What  string
	Token Token // as it is now; as it was if it was revoked
	By    Author
}

// errNothingStored is the error of a change without a state directory.
var errNothingStored = errors.New("this gateway has no state directory, and so no tokens; fix: name one, state: in its configuration or --state")

// Edit changes the file as [Edit] does, on behalf of a client, and follows the change at
// once.
func (s *Store) Edit(by Author, change func(*File) error) error {
	if s.dir == "" {
		return errNothingStored
	}
	s.edits.Lock()
	defer s.edits.Unlock()
	err := Edit(s.dir, func(f *File) error {
		before := &File{Tokens: slices.Clone(f.Tokens)}
		if err := change(f); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.expected = before.compare(f)
		for i := range s.expected {
			s.expected[i].By = by
		}
		return nil
	})
	s.check(true) // also after an error: the file may be replaced all the same
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expected = nil
	return err
}

// compare returns the changes that lead from the tokens of f to those of after.
func (f *File) compare(after *File) (all []Change) {
	for _, t := range f.Tokens {
		now := after.ByID(t.ID)
		if now == nil {
			all = append(all, Change{What: WasRevoked, Token: t})
			continue
		}
		if reflect.DeepEqual(*now, t) {
			continue
		}
		what := WasChanged
		if t.Hash = now.Hash; reflect.DeepEqual(*now, t) {
			what = WasRotated
		}
		all = append(all, Change{What: what, Token: *now})
	}
	for _, t := range after.Tokens {
		if f.ByID(t.ID) == nil {
			all = append(all, Change{What: WasMade, Token: t})
		}
	}
	return all
}

// attribute sets the author of those changes that an Edit expects. s.mu is held.
func (s *Store) attribute(changes []Change) {
	for i, c := range changes {
		at := slices.IndexFunc(s.expected, func(e Change) bool { return e.What == c.What && sameToken(e.Token, c.Token) })
		if at >= 0 {
			changes[i].By = s.expected[at].By
			s.expected = slices.Delete(s.expected, at, at+1)
		}
	}
}

// sameToken compares tokens as they are stored.
func sameToken(a, b Token) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// knownName is the file of the tokens as of the last call of Changed. It shows, at the next
// start, what changed while no gateway ran.
const knownName = "tokens-known.json"

// readKnown returns the tokens as of the last call of Changed, none if there was none.
func readKnown(dir string, log *slog.Logger) *File {
	data, err := statefile.Read(dir, knownName)
	if errors.Is(err, fs.ErrNotExist) {
		return &File{}
	}
	f := &File{}
	if err == nil {
		f, err = parse(data)
	}
	if err != nil {
		log.Warn("which tokens were known cannot be read: all count as made now", "file", filepath.Join(dir, knownName), "err", err)
		return &File{}
	}
	return f
}

func (s *Store) writeKnown() {
	s.mu.RLock()
	known := File{Gateway: cmp.Or(s.known.Gateway, newID()), Tokens: s.known.Tokens} // the form needs an ID: any will do
	s.mu.RUnlock()
	if err := statefile.Write(s.dir, knownName, known.format()); err != nil {
		s.log.Warn("which tokens are known cannot be written: their changes are recorded again after a start", "err", err)
	}
}
