package enroll

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"sensorgateway/gateway/statefile"
)

const (
	membersFile    = "members.json"
	membersVersion = 1
	maxMembers     = 96 << 20 // bytes of the file: 200,000 gateways

	// A gateway that has this many older certificates gets another one each olderPause at most:
	// all are kept for years, and a device that loses the answers asks every hour.
	maxOlder   = 32
	olderPause = 24 * time.Hour

	// CodeTime is how long a code is good.
	CodeTime = time.Hour
	// checkEvery is how often the file is checked: a revocation takes effect within it.
	checkEvery = 250 * time.Millisecond
)

// Member is a gateway of the fleet.
type Member struct {
	Name     string        `json:"name"` // unique in the fleet
	Site     string        `json:"site"`
	Key      string        `json:"key"`    // SHA-256 of its public key
	Serial   string        `json:"serial"` // of its newest certificate
	Enrolled time.Time     `json:"enrolled"`
	Expires  time.Time     `json:"expires"`         // of that certificate
	Older    []certificate `json:"older,omitempty"` // those before it that may be valid, the oldest first
	Revoked  time.Time     `json:"revoked,omitzero"`
}

// certificate is one that a gateway had before its newest.
type certificate struct {
	Serial  string    `json:"serial"`
	Expires time.Time `json:"expires"`
	Until   time.Time `json:"until"` // the next one was signed then
}

// invitation is a code, of which only the hash of its secret is stored.
type invitation struct {
	Hash    string    `json:"sha256"`
	Site    string    `json:"site"`
	Gateway string    `json:"gateway,omitempty"` // the only name that it is for, even if another device has it
	By      string    `json:"by"`                // who made it
	Expires time.Time `json:"expires"`
	Key     string    `json:"key,omitempty"` // of the device that has used it
}

// members is the content of the file.
type members struct {
	Version     int          `json:"version"`
	Invitations []invitation `json:"codes"`
	Gateways    []Member     `json:"gateways"`
	Revoked     []revoked    `json:"revoked"` // certificates that may be valid
	List        int64        `json:"list"`    // number of the list of those
}

type revoked struct {
	Serial  string    `json:"serial"`
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires"`
}

// Members is who belongs to the fleet, as stored in a file that all hubs share.
type Members struct {
	dir string
	log *slog.Logger // nil: none

	mu      sync.Mutex
	byName  map[string]Member
	seen    fs.FileInfo
	checked time.Time
	failed  bool // the file could not be read
}

// OpenMembers returns the members in a directory.
func OpenMembers(dir string) *Members { return &Members{dir: dir} }

// Watch returns why the file cannot be read, nil if it can, or is not there yet. If it
// cannot be read later, that is logged.
func (m *Members) Watch(log *slog.Logger) error {
	m.log = log
	return m.Check()
}

// Check returns why the file cannot be read, nil if it can, or is not there yet.
func (m *Members) Check() error {
	_, err := readMembers(m.dir)
	return err
}

// Get returns a member, also one that is revoked. The file is checked if the last check is
// older than checkEvery; if it cannot be read, its last content holds.
func (m *Members) Get(name string) (Member, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refresh(time.Now())
	g, ok := m.byName[name]
	if !ok { // it may have enrolled at this moment, at another hub: what it sends must not be refused
		m.checked = time.Time{}
		m.refresh(time.Now())
		g, ok = m.byName[name]
	}
	return g, ok
}

// All returns all members by name.
func (m *Members) All() []Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refresh(time.Now())
	all := make([]Member, 0, len(m.byName))
	for _, g := range m.byName {
		all = append(all, g)
	}
	slices.SortStableFunc(all, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (m *Members) refresh(now time.Time) {
	if now.Sub(m.checked) < checkEvery && m.byName != nil {
		return
	}
	m.checked = now
	info, err := os.Stat(filepath.Join(m.dir, membersFile))
	if err != nil || m.seen != nil && os.SameFile(info, m.seen) && info.ModTime().Equal(m.seen.ModTime()) {
		return
	}
	f, err := readMembers(m.dir)
	if err != nil && !m.failed && m.log != nil {
		m.log.Warn("who belongs to the fleet cannot be read: those of before do, whoever was revoked or has enrolled since", "err", err)
	}
	if m.failed = err != nil; m.failed {
		return
	}
	m.seen, m.byName = info, make(map[string]Member, len(f.Gateways))
	for _, g := range f.Gateways {
		m.byName[g.Name] = g
	}
}

// Invite returns a new code for a gateway of a site. If it is for one name alone, it
// lets that gateway enroll again, with another key, and also after it was revoked.
func (m *Members) Invite(authority *Authority, site, gateway, by string, now time.Time) (Code, error) {
	c := newCode(authority.Pin())
	return c, m.edit(now, func(f *members) error {
		f.Invitations = append(f.Invitations, invitation{
			Hash: hashOf(c.Secret[:]), Site: site, Gateway: gateway, By: by, Expires: stored(now.Add(CodeTime)),
		})
		return nil
	})
}

// Revoke revokes a gateway, and writes the list of revoked certificates for brokers.
func (m *Members) Revoke(authority *Authority, name string, now time.Time) error {
	return m.edit(now, func(f *members) error {
		g := f.gateway(name)
		if g == nil {
			return fmt.Errorf("there is no gateway %q in the fleet; fix: gateway hub list shows who is", name)
		}
		f.revoke(g, now)
		return f.writeList(m.dir, authority, now)
	})
}

// enroll lets a device in that has the secret of a code, and returns the certificate that
// sign makes for its site. A device that repeats its request gets another certificate.
func (m *Members) enroll(authority *Authority, secret []byte, name, key string, now time.Time, sign func(site string) (*x509.Certificate, error)) (cert *x509.Certificate, site string, err error) {
	err = m.edit(now, func(f *members) error {
		i := f.invitation(secret)
		switch {
		case i == nil:
			return &refusal{"there is no such code; fix: make one with gateway hub code"}
		case now.After(i.Expires):
			return &refusal{fmt.Sprintf("the code has expired at %s; fix: make another one with gateway hub code", i.Expires.Format(time.RFC3339))}
		case i.Key != "" && i.Key != key:
			return &refusal{"the code was used by another device; fix: make another one with gateway hub code"}
		case i.Gateway != "" && i.Gateway != name:
			return &refusal{fmt.Sprintf("the code is for the gateway %s alone", i.Gateway)}
		}
		g, replaced := f.gateway(name), false
		switch {
		case i.Key != "" && (g == nil || g.Key != key || !g.Revoked.IsZero()): // a code works once: only the device that it let in may repeat it
			return &refusal{"the code was used for another name, or that gateway was replaced or revoked since; fix: make another one with gateway hub code"}
		case g == nil:
			f.Gateways = append(f.Gateways, Member{Name: name, Enrolled: stored(now)})
			g = &f.Gateways[len(f.Gateways)-1]
		case g.Key != key && i.Gateway == "":
			return &refusal{fmt.Sprintf("there is a gateway %s in the fleet already, with another key; fix: take another name, or, if this device replaces it, make the code with --gateway %s", name, name)}
		case !g.Revoked.IsZero() && i.Gateway == "":
			return &refusal{fmt.Sprintf("the gateway %s was revoked; fix: to let it in again, make the code with --gateway %s", name, name)}
		case g.Key != key:
			f.revoke(g, now) // the device it replaces
			replaced = true
		}
		if cert, err = g.certify(i.Site, now, sign); err != nil {
			return err
		}
		i.Key, site = key, i.Site
		g.Site, g.Key, g.Revoked = i.Site, key, time.Time{}
		if replaced {
			return f.writeList(m.dir, authority, now)
		}
		return nil
	})
	return cert, site, err
}

// renew gives a member another certificate, which sign makes.
func (m *Members) renew(name, key string, now time.Time, sign func(site string) (*x509.Certificate, error)) (cert *x509.Certificate, site string, err error) {
	err = m.edit(now, func(f *members) error {
		g := f.gateway(name)
		switch {
		case g == nil || g.Key != key:
			return &refusal{fmt.Sprintf("the certificate is of no gateway of this fleet called %s; fix: enroll it", name)}
		case !g.Revoked.IsZero():
			return &refusal{fmt.Sprintf("the gateway %s was revoked", name)}
		}
		site = g.Site
		cert, err = g.certify(site, now, sign)
		return err
	})
	return cert, site, err
}

// refusal is why a device is not let in: the text is sent to the device.
type refusal struct{ why string }

func (r *refusal) Error() string { return r.why }

// certify notes the certificate that sign makes for a gateway. Those before it are still
// noted: a device that did not get the answer has one of them, and they must be revoked too.
func (g *Member) certify(site string, now time.Time, sign func(site string) (*x509.Certificate, error)) (*x509.Certificate, error) {
	g.Older = slices.DeleteFunc(g.Older, func(c certificate) bool { return forgets(c.Expires, now) })
	if n := len(g.Older); n >= maxOlder && now.Sub(g.Older[n-1].Until).Abs() < olderPause {
		return nil, &refusal{fmt.Sprintf("the gateway %s has %d certificates already, the newest since %s: it gets one a day; fix: see why it does not keep them (its state directory, its disk, its clock)", g.Name, n+1, g.Older[n-1].Until.Format(time.RFC3339))}
	}
	cert, err := sign(site)
	if err != nil {
		return nil, err
	}
	if g.Serial != "" && g.Revoked.IsZero() {
		g.Older = append(g.Older, certificate{g.Serial, g.Expires, stored(now)})
	}
	g.Serial, g.Expires = cert.SerialNumber.Text(16), cert.NotAfter
	return cert, nil
}

func (f *members) gateway(name string) *Member {
	if i := slices.IndexFunc(f.Gateways, func(g Member) bool { return g.Name == name }); i >= 0 {
		return &f.Gateways[i]
	}
	return nil
}

func (f *members) invitation(secret []byte) *invitation {
	hash := []byte(hashOf(secret))
	for i := range f.Invitations {
		if subtle.ConstantTimeCompare([]byte(f.Invitations[i].Hash), hash) == 1 {
			return &f.Invitations[i]
		}
	}
	return nil
}

// revoke revokes all certificates of a gateway, unless that is done.
func (f *members) revoke(g *Member, now time.Time) {
	if !g.Revoked.IsZero() {
		return
	}
	g.Revoked = stored(now)
	for _, c := range append(g.Older, certificate{Serial: g.Serial, Expires: g.Expires}) {
		f.Revoked = append(f.Revoked, revoked{c.Serial, g.Revoked, c.Expires})
	}
	g.Older = nil
}

// forgets returns whether a certificate needs no entry any more. It has expired by then, also
// if the clock of the hub is ahead by as much as a certificate lasts.
func forgets(expires, now time.Time) bool { return now.After(expires.AddDate(gatewayYears, 0, 0)) }

// writeList writes the list of revoked certificates.
func (f *members) writeList(dir string, authority *Authority, now time.Time) error {
	f.List++
	list, err := authority.revoke(f.Revoked, f.List, now)
	if err != nil {
		return err
	}
	return statefile.Write(dir, revokedList, list)
}

// edit changes the file, while no other process does.
func (m *Members) edit(now time.Time, change func(*members) error) error {
	unlock, err := statefile.Lock(m.dir)
	if err != nil {
		return err
	}
	defer unlock()
	f, err := readMembers(m.dir)
	if err != nil {
		return err
	}
	if err := change(f); err != nil {
		return err
	}
	// For one more day, the answer to an expired code says that it has expired.
	f.Invitations = slices.DeleteFunc(f.Invitations, func(i invitation) bool { return now.After(i.Expires.AddDate(0, 0, 1)) })
	f.Revoked = slices.DeleteFunc(f.Revoked, func(r revoked) bool { return forgets(r.Expires, now) })
	data, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.checked = time.Time{}
	m.mu.Unlock()
	return statefile.Write(m.dir, membersFile, append(data, '\n'))
}

func readMembers(dir string) (*members, error) {
	f := &members{Version: membersVersion, Invitations: []invitation{}, Gateways: []Member{}, Revoked: []revoked{}}
	path := filepath.Join(dir, membersFile)
	data, err := statefile.Read(dir, membersFile)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	switch err := d.Decode(f); {
	case len(data) > maxMembers:
		return nil, fmt.Errorf("%s is larger than any fleet", path)
	case err != nil:
		return nil, fmt.Errorf("%s is damaged: %w; fix: restore it from a backup, or copy it from another hub", path, err)
	case f.Version != membersVersion:
		return nil, fmt.Errorf("%s has version %d, and this program knows %d", path, f.Version, membersVersion)
	}
	return f, nil
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// stored is a time as it is stored.
func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
