// Package tokens stores who may use a gateway: one file in its state directory,
// which the gateway and the command "gateway token" change, each under a lock. A
// [Store] is the copy of it in a running gateway, and follows its changes.
//
// It knows files and secrets, of which it stores hashes only. It refuses to know
// HTTP, and how a client sent a secret.
package tokens

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Why an entry is no longer valid: the cause of its context's end.
var (
	ErrRevoked = errors.New("the token was revoked or changed")
	ErrExpired = errors.New("the token has expired")
	ErrNeeded  = errors.New("a token is needed now") // why [Store.NoneMade] ended
)

// An Entry is a token, or the login of a browser with one, for as long as it is valid
// and does not change.
type Entry struct {
	Token
	Login *Login          // nil: the token itself
	Valid context.Context // ends when the entry is no longer valid; its cause says why
	end   context.CancelCauseFunc
	id    string // of the login, or of the token

	connected atomic.Int64 // clients
}

// Connect counts a client that stays connected with the entry: until Disconnect, the entry
// is in use, although no request presents it.
func (e *Entry) Connect() { e.connected.Add(1) }

// Disconnect ends what Connect began.
func (e *Entry) Disconnect() { e.connected.Add(-1) }

func newEntry(t Token, l *Login, id string) *Entry {
	e := &Entry{Token: t, Login: l, id: id}
	e.Valid, e.end = context.WithCancelCause(context.Background())
	return e
}

// Store is what is stored in a directory, in memory.
type Store struct {
	// Changed is called for each token that was made, changed, rotated or revoked, also
	// while no gateway ran; nil: nobody is told. It must be set before Run.
	Changed func(Change)
	// Watch reports when files of the directory change, until stop is called, and closes
	// the channel when it no longer can ([statefile.Watch]); nil: the file is polled. It
	// must be set before Run.
	Watch func(dir string) (changed <-chan struct{}, stop func())

	dir   string // "": nothing is stored, and nobody has a token
	log   *slog.Logger
	load  func(dir string) (*File, error) // Read; tests have others
	edits sync.Mutex                      // held by Edit: check has seen its changes before the next ones are made

	checks  sync.Mutex    // held by check, also while it reads: Changed is called in the order of the changes
	unknown chan struct{} // 1: known has changed, and is to be written

	mu       sync.RWMutex // not held while the disk is read
	file     *File
	known    *File           // as Changed was last called with
	expected []Change        // of an Edit, which check has not seen yet
	none     context.Context // ends when a token is made: the gateway is no longer open to everybody then
	set      context.CancelCauseFunc
	entries  map[hash]*Entry
	seen     fs.FileInfo // of the file when it was last read; nil: it was missing
	failed   bool        // it could not be read
	used     used
}

// Open reads the tokens in a state directory. If they cannot be read, nobody has a
// token, but this does not make the gateway open to everybody.
func Open(dir string, log *slog.Logger) *Store {
	s := &Store{dir: dir, log: log, load: Read, file: &File{}, entries: map[hash]*Entry{}, unknown: make(chan struct{}, 1)}
	s.none, s.set = context.WithCancelCause(context.Background())
	if dir == "" {
		return s
	}
	s.used.load(dir, log)
	s.known = readKnown(dir, log)
	s.check(true)
	return s
}

// Made returns whether a token was ever made, revoked or not. It waits for no lock.
func (s *Store) Made() bool { return s.none.Err() != nil }

// NoneMade returns a context that ends when the first token is made.
func (s *Store) NoneMade() context.Context { return s.none }

// Gateway returns the gateway's ID, "" before the first token is made.
func (s *Store) Gateway() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.file.Gateway
}

// Find returns the entry of a secret: a token's text, or a login's cookie. The error is
// [ErrRevoked] if the secret is not stored, since it may have been, and [ErrExpired],
// with the entry, if it has expired.
//
// It looks up the hash: how long that takes says nothing about how much of the
// secret was right. from is where it was presented, for people.
func (s *Store) Find(secret, from string) (*Entry, error) {
	h := hashOf(secret)
	return s.use(s.find(func() *Entry { return s.entries[h] }), from)
}

// Named returns the entry of the token with this name, or else with this ID, for a client
// that was identified without a secret. Its errors are those of Find.
func (s *Store) Named(name, from string) (*Entry, error) {
	return s.use(s.find(func() *Entry {
		t := s.file.Find(name)
		if t == nil {
			t = s.file.ByID(name)
		}
		if t == nil {
			return nil
		}
		return s.entries[t.Hash]
	}), from)
}

// find looks an entry up. One that is not there may have been made a moment ago, and one
// that has expired may be valid again because the clock was set: so it is looked up again
// after a check. While the file cannot be read, Run repeats that, and no client waits for it.
func (s *Store) find(in func() *Entry) *Entry {
	look := func() (e *Entry, failed bool) {
		s.mu.RLock()
		defer s.mu.RUnlock()
		return in(), s.failed
	}
	e, failed := look()
	if !failed && (e == nil || e.Valid.Err() != nil) {
		s.check(false)
		e, _ = look()
	}
	return e
}

// use checks an entry that was presented, nil for none, and notes its use.
func (s *Store) use(e *Entry, from string) (*Entry, error) {
	if e == nil {
		return nil, ErrRevoked
	}
	if s.expired(e, time.Now()) {
		return e, ErrExpired
	}
	if err := context.Cause(e.Valid); err != nil {
		return e, err
	}
	s.used.note(e.id, from)
	return e, nil
}

// read reads the file, of which err is the error of Stat. If it is missing, nobody has a
// token any more, and the gateway stays closed until it starts again. s.checks is held, and
// s.mu is not: a disk may take seconds to say that it cannot be read.
func (s *Store) read(err error) (*File, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return &File{Gateway: s.file.Gateway}, nil
	}
	s.set(ErrNeeded) // whatever is in it
	if err != nil {
		return nil, err
	}
	return s.load(s.dir)
}

// take takes over what was read. If the file could not be read, the known tokens stay.
// s.checks and s.mu are held.
func (s *Store) take(file *File, info fs.FileInfo, err error) {
	s.seen = info
	if err != nil {
		if !s.failed {
			s.log.Error("the tokens cannot be read: those that are known stay as they are", "err", err)
		}
		s.failed = true
		return
	}
	if s.failed {
		s.log.Info("the tokens are read again")
	}
	s.failed, s.file = false, file
	s.replace(file)
}

// replace takes over the entries of a file. One that has changed in any way ends, so
// that clients with it are identified anew. s.mu is held.
func (s *Store) replace(file *File) {
	before := s.entries
	s.entries = map[hash]*Entry{}
	add := func(h hash, t Token, l *Login, id string) {
		if old := before[h]; old != nil && reflect.DeepEqual(old.Token, t) && reflect.DeepEqual(old.Login, l) {
			s.entries[h] = old
			delete(before, h)
			return
		}
		s.entries[h] = newEntry(t, l, id)
	}
	for _, t := range file.Tokens {
		add(t.Hash, t, nil, t.ID)
	}
	for _, l := range file.Logins {
		add(l.Hash, *file.ByID(l.Token), &l, l.ID)
	}
	for _, e := range before {
		e.end(ErrRevoked)
	}
	known := map[string]bool{}
	for _, e := range s.entries {
		known[e.id] = true
	}
	s.used.retain(known)
}

// viewing is the prefix of the secret of a login that may do what a viewer may, and no
// more. The hash covers the prefix too, so nobody can remove it.
const viewing = "view."

// ForViewing returns whether [Store.LogInViewer] has made this secret of a login.
func ForViewing(secret string) bool { return strings.HasPrefix(secret, viewing) }

// LogInViewer makes a login for the holder of a token, by its ID, which may do what a
// viewer may, and returns what the browser is to keep.
func (s *Store) LogInViewer(token, from string) (cookie string, err error) {
	err = Edit(s.dir, func(f *File) error {
		if f.ByID(token) == nil {
			return ErrRevoked
		}
		cookie = f.addLogin(token, from, viewing)
		return nil
	})
	if err == nil {
		s.check(true)
	}
	return cookie, err
}

// LogIn makes a login for the holder of a token's text or of a login code, which is
// then used up. It returns what the browser is to keep, and the name of the token.
// from is where the browser is.
func (s *Store) LogIn(secret, from string) (cookie, name string, err error) {
	if s.dir == "" {
		return "", "", ErrRevoked
	}
	h := hashOf(secret)
	err = Edit(s.dir, func(f *File) error {
		id := ""
		for _, t := range f.Tokens {
			if t.Hash == h {
				id = t.ID
			}
		}
		for i, c := range f.Codes {
			if c.Hash == h && time.Now().Before(c.Expires) {
				id = c.Token
				f.Codes = append(f.Codes[:i:i], f.Codes[i+1:]...)
				break
			}
		}
		t := f.ByID(id)
		switch {
		case t == nil:
			return ErrRevoked
		case !t.Expires.IsZero() && !time.Now().Before(t.Expires):
			return ErrExpired
		}
		name = t.Name
		cookie = f.addLogin(id, from, "")
		return nil
	})
	if err == nil {
		s.check(true)
	}
	return cookie, name, err
}

// CodeName returns the name of the token that a login code is for, "" if it is none.
func (s *Store) CodeName(code string) string {
	h := hashOf(code)
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, c := range s.file.Codes {
		if c.Hash == h && time.Now().Before(c.Expires) {
			return s.file.ByID(c.Token).Name
		}
	}
	return ""
}

// LogOut ends a login.
func (s *Store) LogOut(l *Login) error {
	err := Edit(s.dir, func(f *File) error { f.LogOut(l.ID); return nil })
	s.check(true)
	return err
}

func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
