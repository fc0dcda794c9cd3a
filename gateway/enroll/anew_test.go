package enroll

import (
	"context"
	"crypto/x509"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// anew gives a device a new identity.
func (f *fleet) anew(d Device, c Code, name string) error {
	f.t.Helper()
	_, err := d.Enroll(context.Background(), f.url, c, name, true)
	return err
}

// identity returns the files by which a device is what it is.
func identity(t *testing.T, d Device) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, name := range []string{KeyFile, CertFile, AuthorityFile, HubKeysFile, membershipFile} {
		text, err := os.ReadFile(filepath.Join(d.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	return files
}

// wantNew holds that a device has the identity of a name, whole, with another key than before.
func wantNew(t *testing.T, d Device, name string, before *x509.Certificate) {
	t.Helper()
	m, err := d.Membership()
	if err != nil || m.Name != name {
		t.Errorf("the membership is %+v, %v; want that of %s", m, err, name)
	}
	if now := leaf(t, d); now.Subject.CommonName != name || bytesEqual(now, before) {
		t.Errorf("the certificate is that of %s, for the key of before: %t", now.Subject, bytesEqual(now, before))
	}
	if _, err := os.Lstat(filepath.Join(d.Dir, nextKeyFile)); err == nil {
		t.Errorf("%s is left", nextKeyFile)
	}
}

// TestEnrollAnew holds that a device which asks for a new identity has the old one, whole,
// until the hub has given it another; and that the same command completes it.
func TestEnrollAnew(t *testing.T) {
	f, other := newFleet(t), newFleet(t)
	d := f.device()
	f.want(f.enroll(d, f.code("lab", ""), "pi-1"), "")
	first, before := leaf(t, d), identity(t, d)
	kept := func() {
		t.Helper()
		if now := identity(t, d); !maps.Equal(now, before) {
			t.Errorf("the device has %v, it had %v", now, before)
		}
	}
	f.want(f.anew(d, Code{Authority: f.authority.Pin()}, "pi-2"), "no such code")
	kept()
	late, err := f.members.Invite(f.authority, "lab", "", "me", time.Now().Add(-CodeTime-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	f.want(f.anew(d, late, "pi-2"), "expired")
	kept()
	code := f.code("lab", "")
	f.want(other.anew(d, code, "pi-2"), "another fleet")
	kept()
	f.cut = func(http.ResponseWriter) http.ResponseWriter { panic(http.ErrAbortHandler) } // before the hub knows
	f.want(f.anew(d, code, "pi-2"), "EOF")
	kept()
	f.cut = func(w http.ResponseWriter) http.ResponseWriter { return cutWriter{w} } // after it has signed
	f.want(f.anew(d, code, "pi-2"), "EOF")
	kept()
	f.cut = nil
	f.want(f.anew(d, code, "pi-2"), "")
	wantNew(t, d, "pi-2", first)

	// The next new identity has another key again, also under the same name.
	second := leaf(t, d)
	f.want(f.anew(d, f.code("lab", "pi-2"), "pi-2"), "")
	wantNew(t, d, "pi-2", second)
}

// TestEnrollAnewIsKilled holds that the same command completes a new identity that was
// interrupted before any of its files was replaced.
func TestEnrollAnewIsKilled(t *testing.T) {
	for _, next := range []string{AuthorityFile, HubKeysFile, CertFile, membershipFile, KeyFile} {
		f := newFleet(t)
		d := f.device()
		f.want(f.enroll(d, f.code("lab", ""), "pi-1"), "")
		first, code := leaf(t, d), f.code("lab", "")
		// What the device has when this file cannot be replaced, because it is a directory for
		// the time, is what a kill before this step leaves.
		path, aside := filepath.Join(d.Dir, next), filepath.Join(t.TempDir(), next)
		do := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		do(os.Rename(path, aside))
		do(os.Mkdir(path, 0o700))
		f.want(f.anew(d, code, "pi-2"), next)
		do(os.Remove(path))
		do(os.Rename(aside, path))
		f.want(f.anew(d, code, "pi-2"), "")
		wantNew(t, d, "pi-2", first)
	}
}
