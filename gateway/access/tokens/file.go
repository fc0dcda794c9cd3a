package tokens

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Role is what a token's holder may do. Each may do what those before it may.
type Role string

// The roles.
const (
	Viewer   Role = "viewer"   // sees, and stops
	Operator Role = "operator" // commands motors, and writes in the operators' room
	Admin    Role = "admin"    // makes and revokes tokens
)

// Roles are all roles, the lowest first.
func Roles() []Role { return []Role{Viewer, Operator, Admin} }

// AtLeast returns whether the role may do what another may. No role is below all.
func (r Role) AtLeast(other Role) bool {
	return slices.Index(Roles(), r) >= slices.Index(Roles(), other)
}

// A Token is a token as it is stored. An empty scope is everything.
type Token struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"` // of its holder, as clients and log lines show it; unique
	Role    Role     `json:"role"`
	Sensors []string `json:"sensors,omitempty"` // those that it may see
	Motors  []string `json:"motors,omitempty"`  // those that it may see and command
	// Gateways are those of a fleet that it is for, on a hub: names, and site:NAME for all
	// of a site.
	Gateways []string  `json:"gateways,omitempty"`
	Expires  time.Time `json:"expires,omitzero"`
	Created  time.Time `json:"created"`
	By       string    `json:"by"` // who made it
	Hash     hash      `json:"sha256"`
}

// A Code logs in the holder of a token once.
type Code struct {
	Token   string    `json:"token"` // its ID
	Expires time.Time `json:"expires"`
	Hash    hash      `json:"sha256"`
}

// A Login is a browser that the holder of a token has logged in.
type Login struct {
	ID      string    `json:"id"`
	Token   string    `json:"token"` // its ID
	Created time.Time `json:"created"`
	From    string    `json:"from"` // where it was, for people
	Hash    hash      `json:"sha256"`
}

// A File is the content of the file.
type File struct {
	Version int     `json:"version"`
	Gateway string  `json:"gateway"` // its ID, in the name of its cookie
	Tokens  []Token `json:"tokens"`
	Codes   []Code  `json:"codes"`
	Logins  []Login `json:"logins"`
}

const (
	version = 1
	// maxFile bounds what is read: more than a file of the limits below has.
	maxFile   = 4 << 20
	maxTokens = 1000
	maxLogins = 20 // of a token; the oldest makes room
	maxCodes  = 20 // likewise
	maxName   = 40
)

var errTooLarge = errors.New("it is larger than any file of tokens")

// nameForm keeps names fit for log lines, metrics and terminals.
var nameForm = regexp.MustCompile(`^[\pL\pN][\pL\pN ._@-]*$`)

// CheckName returns what is wrong with the name of a token's holder.
func CheckName(name string) error {
	if len(name) > maxName || !nameForm.MatchString(name) || strings.HasSuffix(name, " ") {
		return fmt.Errorf("%q is no name: it has letters, digits, spaces and ._@-, begins with a letter or a digit, and is %d bytes long at most", name, maxName)
	}
	return nil
}

// parse reads a file. An unknown key is an error: if it were a scope, to ignore it
// would widen rights.
func parse(data []byte) (*File, error) {
	if len(data) > maxFile {
		return nil, errTooLarge
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	f := &File{}
	if err := d.Decode(f); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something behind its end")
	}
	if f.Version != version {
		return nil, fmt.Errorf("its version is %d, and this program knows %d", f.Version, version)
	}
	return f, f.check()
}

// check returns what would make the file ambiguous, or its entries meaningless.
func (f *File) check() error {
	ids, names, hashes := map[string]bool{}, map[string]bool{}, map[hash]bool{}
	one := func(id string, h hash) error {
		if !idForm.MatchString(id) || ids[id] || hashes[h] || h == (hash{}) {
			return fmt.Errorf("entry %q: its id or its hash is missing, wrong or given twice", id)
		}
		ids[id], hashes[h] = true, true
		return nil
	}
	if !idForm.MatchString(f.Gateway) {
		return errors.New("the gateway's id is missing or wrong")
	}
	for _, t := range f.Tokens {
		if err := errors.Join(one(t.ID, t.Hash), CheckName(t.Name)); err != nil {
			return err
		}
		if !slices.Contains(Roles(), t.Role) {
			return fmt.Errorf("token %q: unknown role %q", t.Name, t.Role)
		}
		if names[t.Name] {
			return fmt.Errorf("token %q is there twice", t.Name)
		}
		if slices.Contains(t.Sensors, "") || slices.Contains(t.Motors, "") {
			return fmt.Errorf("token %q: an empty name in its scope", t.Name)
		}
		if err := CheckGateways(t.Gateways); err != nil {
			return fmt.Errorf("token %q: %w", t.Name, err)
		}
		names[t.Name] = true
	}
	tokens := len(ids)
	for _, l := range f.Logins {
		if err := one(l.ID, l.Hash); err != nil {
			return err
		}
		if f.ByID(l.Token) == nil {
			return fmt.Errorf("login %q is of no token", l.ID)
		}
	}
	for _, c := range f.Codes {
		if hashes[c.Hash] || c.Hash == (hash{}) || f.ByID(c.Token) == nil {
			return errors.New("a login code is of no token, or given twice")
		}
		hashes[c.Hash] = true
	}
	if tokens > maxTokens || len(f.Logins) > tokens*maxLogins || len(f.Codes) > tokens*maxCodes {
		return errTooLarge
	}
	return nil
}

// Site is the prefix of a site's name in a scope of gateways.
const Site = "site:"

// gatewayForm is the form of an entry of such a scope.
var gatewayForm = regexp.MustCompile(`^(site:)?[a-z][a-z0-9_-]{0,31}$`)

// CheckGateways returns what is wrong with a scope of gateways.
func CheckGateways(scope []string) error {
	if i := slices.IndexFunc(scope, func(g string) bool { return !gatewayForm.MatchString(g) }); i >= 0 {
		return fmt.Errorf("%q is neither a gateway's name nor %s and a site's", scope[i], Site)
	}
	return nil
}

// idForm is the form of all IDs: fit for the name of a cookie (RFC 6265, section 4.1.1).
var idForm = regexp.MustCompile(`^[a-z0-9]{1,32}$`)

// format returns the file's content: people may read it.
func (f *File) format() []byte {
	f.Version = version
	f.Tokens, f.Codes, f.Logins = nonNil(f.Tokens), nonNil(f.Codes), nonNil(f.Logins)
	data, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		panic(err) // our own types
	}
	return append(data, '\n')
}

func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// ByID returns the token of that ID, nil if there is none.
func (f *File) ByID(id string) *Token {
	if i := slices.IndexFunc(f.Tokens, func(t Token) bool { return t.ID == id }); i >= 0 {
		return &f.Tokens[i]
	}
	return nil
}

// Find returns the token of that name, nil if there is none.
func (f *File) Find(name string) *Token {
	if i := slices.IndexFunc(f.Tokens, func(t Token) bool { return t.Name == name }); i >= 0 {
		return &f.Tokens[i]
	}
	return nil
}

// MarshalText returns the hash in hexadecimal digits.
func (h hash) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h[:])), nil }

// UnmarshalText reads it.
func (h *hash) UnmarshalText(text []byte) error {
	if n, err := hex.Decode(h[:], text[:min(len(text), 2*len(h))]); err != nil || n != len(h) || len(text) != 2*len(h) || string(text) != strings.ToLower(string(text)) {
		return errors.New("a hash is 64 hexadecimal digits")
	}
	return nil
}
