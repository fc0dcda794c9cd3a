package enroll

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var brokers = []string{"mqtts://broker-1.example", "mqtts://broker-2.example", "mqtts://broker-3.example"}

// fleet is a hub that listens.
type fleet struct {
	t         *testing.T
	dir       string
	authority *Authority
	members   *Members
	url       *url.URL
	cut       func(http.ResponseWriter) http.ResponseWriter // what an answer goes through; nil: nothing
}

// A file that cannot be read is an error at the start of a hub. Later it is logged once, and the
// members that were in it still belong to the fleet.
func TestMembersCannotBeRead(t *testing.T) {
	f := newFleet(t)
	f.want(f.enroll(f.device(), f.code("lab", ""), "pi-1"), "")
	var log strings.Builder
	m := OpenMembers(f.dir)
	if err := m.Watch(slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Get("pi-1"); !ok {
		t.Fatal("pi-1 is not in the fleet")
	}
	if err := os.WriteFile(filepath.Join(f.dir, "members.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		m.checked = time.Time{}
		if _, ok := m.Get("pi-1"); !ok {
			t.Error("pi-1 is in the fleet no longer")
		}
	}
	if n := strings.Count(log.String(), "members.json is damaged"); n != 1 {
		t.Errorf("%d lines: %s", n, log.String())
	}
	if err := OpenMembers(f.dir).Check(); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Error(err)
	}
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir()}
	var err error
	if f.authority, err = InitAuthority(f.dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	f.members = OpenMembers(f.dir)
	hub := NewHub(HubOptions{
		Authority: f.authority, Members: f.members, Brokers: brokers, Log: slog.New(slog.DiscardHandler),
		Keys: func() ([]byte, error) { return []byte("a key\n"), nil },
		CheckName: func(name string) error {
			if !regexp.MustCompile(`^[a-z][a-z0-9-]*$`).MatchString(name) {
				return errors.New("no name")
			}
			return nil
		},
	})
	pages := hub.Pages()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.cut != nil {
			w = f.cut(w)
		}
		pages[r.URL.Path].ServeHTTP(w, r)
	}))
	if server.TLS, err = hub.TLS(nil); err != nil {
		t.Fatal(err)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	f.url, _ = url.Parse(server.URL)
	return f
}

func (f *fleet) code(site, gateway string) Code {
	f.t.Helper()
	c, err := f.members.Invite(f.authority, site, gateway, "me", time.Now())
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// device returns one that was just unpacked.
func (f *fleet) device() Device { return Device{Dir: f.t.TempDir()} }

func (f *fleet) enroll(d Device, c Code, name string) error {
	f.t.Helper()
	_, err := d.Enroll(context.Background(), f.url, c, name, false)
	return err
}

func (f *fleet) want(err error, text string) {
	f.t.Helper()
	switch {
	case text == "" && err != nil:
		f.t.Errorf("%v", err)
	case text != "" && (err == nil || !strings.Contains(err.Error(), text)):
		f.t.Errorf("%v, want %q", err, text)
	}
}

func leaf(t *testing.T, d Device) *x509.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(d.Dir, CertFile), filepath.Join(d.Dir, KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

func TestEnroll(t *testing.T) {
	f := newFleet(t)
	d := f.device()
	f.want(f.enroll(d, f.code("lab", ""), "pi-1"), "")
	cert := leaf(t, d)
	roots := x509.NewCertPool()
	roots.AddCert(f.authority.cert)
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err == nil {
		t.Error("a gateway's certificate is good for a hub")
	}
	if years := time.Until(cert.NotAfter).Hours() / 24 / 365; cert.Subject.CommonName != "pi-1" || years < 1.99 || years > 2.01 {
		t.Errorf("%s for %.2f years", cert.Subject, years)
	}
	m, err := d.Membership()
	if err != nil || m.Site != "lab" || m.Name != "pi-1" || m.Hub != f.url.String() || len(m.Brokers) != len(brokers) {
		t.Errorf("%+v, %v", m, err)
	}
	if keys, err := os.ReadFile(filepath.Join(d.Dir, HubKeysFile)); err != nil || string(keys) != "a key\n" {
		t.Errorf("%s, %v", keys, err)
	}
	other := OpenMembers(f.dir) // another hub's
	if _, ok := other.Get("pi-2"); ok {
		t.Error("pi-2 is in the fleet")
	}
	f.want(f.enroll(f.device(), f.code("lab", ""), "pi-2"), "")
	if _, ok := other.Get("pi-2"); !ok {
		t.Error("another hub does not know who has just enrolled")
	}
	if g, ok := f.members.Get("pi-1"); !ok || g.Site != "lab" || g.Serial != cert.SerialNumber.Text(16) {
		t.Errorf("%+v, %v", g, ok)
	}
}

// Each gateway is told of all brokers, and a fleet does not begin with the same one: the
// first node of a cluster would have all connections.
func TestBrokersAreSpread(t *testing.T) {
	f := newFleet(t)
	first := map[string]int{}
	for n := range 30 {
		m, err := f.device().Enroll(context.Background(), f.url, f.code("lab", ""), fmt.Sprintf("pi-%d", n), false)
		if err != nil {
			t.Fatal(err)
		}
		if all := slices.Sorted(slices.Values(m.Brokers)); !slices.Equal(all, brokers) {
			t.Fatalf("%q", m.Brokers)
		}
		first[m.Brokers[0]]++
	}
	for _, b := range brokers {
		if first[b] < 3 {
			t.Errorf("of 30 gateways, %d begin with %s: %v", first[b], b, first)
		}
	}
}

// TestEnrollRefused holds which codes, names and keys let nobody in.
func TestEnrollRefused(t *testing.T) {
	f := newFleet(t)
	first, code := f.device(), f.code("lab", "")
	f.want(f.enroll(first, code, "pi-1"), "")
	f.want(f.enroll(f.device(), code, "pi-2"), "used by another device")
	f.want(f.enroll(f.device(), f.code("lab", ""), "pi-1"), "--gateway pi-1")
	f.want(f.enroll(f.device(), f.code("lab", "pi-1"), "pi-2"), "for the gateway pi-1 alone")
	f.want(f.enroll(f.device(), Code{Authority: f.authority.Pin()}, "pi-2"), "no such code")
	f.want(f.enroll(f.device(), f.code("lab", ""), "Pi 2"), "no name")

	late, err := f.members.Invite(f.authority, "lab", "", "me", time.Now().Add(-CodeTime-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	f.want(f.enroll(f.device(), late, "pi-2"), "expired")

	// Another fleet's hub learns nothing, not even the code.
	other, stranger := newFleet(t), f.device()
	other.cut = func(w http.ResponseWriter) http.ResponseWriter {
		t.Error("something was sent to a hub whose authority is not the code's")
		return w
	}
	_, err = stranger.Enroll(context.Background(), other.url, f.code("lab", ""), "pi-2", false)
	f.want(err, "another fleet")

	// A code with the gateway's name lets a device replace it; the old certificate is revoked.
	old := leaf(t, first).SerialNumber
	replacement := f.device()
	f.want(f.enroll(replacement, f.code("lab", "pi-1"), "pi-1"), "")
	f.wantRevoked(old)
	second := leaf(t, replacement).SerialNumber
	f.want(first.renewNow(t), "of no gateway of this fleet")
	f.want(f.members.Revoke(f.authority, "pi-1", time.Now()), "")
	f.want(f.enroll(replacement, f.code("lab", ""), "pi-1"), "was revoked")
	f.want(replacement.renewNow(t), "was revoked")
	f.want(f.enroll(replacement, f.code("lab", "pi-1"), "pi-1"), "")
	f.want(f.members.Revoke(f.authority, "pi-9", time.Now()), "no gateway")

	f.wantRevoked(old, second)
}

// wantRevoked holds that the list for brokers has these certificates, and no others.
func (f *fleet) wantRevoked(serials ...*big.Int) {
	f.t.Helper()
	data, err := os.ReadFile(filepath.Join(f.dir, revokedList))
	if err != nil {
		f.t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	list, err := x509.ParseRevocationList(block.Bytes)
	if err != nil || list.CheckSignatureFrom(f.authority.cert) != nil {
		f.t.Fatalf("the list of revoked certificates: %v", err)
	}
	var listed []*big.Int
	for _, r := range list.RevokedCertificateEntries {
		listed = append(listed, r.SerialNumber)
	}
	if !slices.EqualFunc(listed, serials, func(a, b *big.Int) bool { return a.Cmp(b) == 0 }) {
		f.t.Errorf("revoked are %v, want %v", listed, serials)
	}
}

// TestEnrollAgain holds that whatever a power cut has left, the same command with the
// same code completes it.
func TestEnrollAgain(t *testing.T) {
	f := newFleet(t)
	d, code := f.device(), f.code("lab", "")
	f.cut = func(http.ResponseWriter) http.ResponseWriter { panic(http.ErrAbortHandler) } // before the hub knows
	f.want(f.enroll(d, code, "pi-1"), "EOF")
	f.cut = func(w http.ResponseWriter) http.ResponseWriter { return cutWriter{w} } // after it has signed
	f.want(f.enroll(d, code, "pi-1"), "EOF")
	if _, err := d.Membership(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("it is enrolled: %v", err)
	}
	f.cut = nil
	f.want(f.enroll(d, code, "pi-1"), "")
	for _, lost := range []string{AuthorityFile, HubKeysFile, CertFile, membershipFile} {
		if err := os.Remove(filepath.Join(d.Dir, lost)); err != nil {
			t.Fatal(err)
		}
		f.want(f.enroll(d, code, "pi-1"), "")
		leaf(t, d)
	}
	f.want(f.enroll(d, f.code("lab", ""), "pi-2"), "--force")
	if _, err := d.Enroll(context.Background(), f.url, f.code("lab", ""), "pi-2", true); err != nil {
		t.Error(err)
	}
}

// cutWriter ends the connection in place of an answer.
type cutWriter struct{ http.ResponseWriter }

func (cutWriter) Write([]byte) (int, error) { panic(http.ErrAbortHandler) }

// TestEnrollInThePast holds that a device whose clock begins in 1970 can enroll and
// renew; one whose clock is right refuses a hub's certificate that has expired.
func TestEnrollInThePast(t *testing.T) {
	f := newFleet(t)
	d := f.device()
	d.Now = func() time.Time { return time.Unix(17, 0) }
	f.want(f.enroll(d, f.code("lab", ""), "pi-1"), "")
	f.want(d.renewNow(t), "")
	d.Now = func() time.Time { return time.Now().AddDate(gatewayYears, 1, 0) }
	f.want(d.renewNow(t), "expired")
}

func (d Device) renewNow(t *testing.T) error {
	t.Helper()
	m, err := d.Membership()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(d.Dir, CertFile), filepath.Join(d.Dir, KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	var expires time.Time
	return d.renew(context.Background(), m, pair, &expires)
}

// TestRenew holds that a certificate is renewed when two thirds of its time have passed,
// for the same key, and not before.
func TestRenew(t *testing.T) {
	f := newFleet(t)
	d := f.device()
	f.want(f.enroll(d, f.code("lab", ""), "pi-1"), "")
	before := leaf(t, d)
	for _, c := range []struct {
		months int
		due    bool
	}{{15, false}, {17, true}} {
		d.Now = func() time.Time { return time.Now().AddDate(0, c.months, 0) }
		if _, due, err := d.renewIfDue(context.Background()); due != c.due || err != nil {
			t.Errorf("after %d months: %v, %v", c.months, due, err)
		}
		after := leaf(t, d)
		if renewed := after.SerialNumber.Cmp(before.SerialNumber) != 0; renewed != c.due || !bytesEqual(after, before) {
			t.Errorf("after %d months: serial %s, before %s", c.months, after.SerialNumber, before.SerialNumber)
		}
	}
	// Without a certificate nothing is renewed.
	response, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: d.trust(f.authority.Pin(), nil)}}).Post(f.url.JoinPath(RenewPath).String(), "", nil)
	if err != nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("without a certificate: %v, %v", response, err)
	}
}

func bytesEqual(a, b *x509.Certificate) bool {
	return string(a.RawSubjectPublicKeyInfo) == string(b.RawSubjectPublicKeyInfo)
}

// TestHubName holds that a browser, which asks for the hub by its host, is shown the
// certificate for browsers.
func TestHubName(t *testing.T) {
	f := newFleet(t)
	people, err := f.authority.Server("people", []string{"hub.example"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	config, err := NewHub(HubOptions{Authority: f.authority}).TLS(&tls.Config{Certificates: []tls.Certificate{*people}})
	if err != nil {
		t.Fatal(err)
	}
	for asked, device := range map[string]bool{HubName: true, "hub.example": false, "": false} {
		got, err := config.GetConfigForClient(&tls.ClientHelloInfo{ServerName: asked})
		if err != nil || (got != nil) != device {
			t.Errorf("%q: %v, %v", asked, got, err)
		}
	}
}

func TestCode(t *testing.T) {
	c := newCode(Pin{1, 2, 3})
	text := c.String()
	for _, form := range []string{text, strings.ToLower(text), strings.ReplaceAll(text, "-", ""), " " + strings.ReplaceAll(text, "0", "O") + " "} {
		if got, err := ParseCode(form); err != nil || got != c {
			t.Errorf("%q: %v, %v", form, got, err)
		}
	}
	wrong := []byte(text)
	wrong[3] ^= 1
	for form, why := range map[string]string{"": "missing", text[:20]: "characters", string(wrong): "typo", text + "7": "characters", strings.Repeat("U", len(text)): "characters"} {
		if _, err := ParseCode(form); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v", form, err)
		}
	}
}

// FuzzParseCode holds that a code which is accepted is one, and that an error shows
// nothing of it.
func FuzzParseCode(f *testing.F) {
	f.Add(newCode(Pin{9}).String())
	f.Add("0000-0000")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCode(text)
		if err != nil {
			return
		}
		if again, err := ParseCode(c.String()); err != nil || again != c {
			t.Errorf("%q: %v, %v", text, again, err)
		}
	})
}
