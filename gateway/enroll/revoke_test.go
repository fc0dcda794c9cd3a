package enroll

import (
	"crypto/x509"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// newest returns the newest certificate of a member, which its device may not have.
func (f *fleet) newest(name string) *big.Int {
	f.t.Helper()
	m, ok := f.members.Get(name)
	serial, isSerial := new(big.Int).SetString(m.Serial, 16)
	if !ok || !isSerial {
		f.t.Fatalf("%s: %+v, %v", name, m, ok)
	}
	return serial
}

// TestRevokeAll holds that all certificates of a gateway are revoked that have not expired,
// whichever of them its device has: it does not get every answer, and somebody else may have
// renewed one too. None is listed twice.
func TestRevokeAll(t *testing.T) {
	f := newFleet(t)
	d := f.device()
	f.want(f.enroll(d, f.code("lab", ""), "pi-1"), "")
	all := []*big.Int{leaf(t, d).SerialNumber}
	f.cut = func(w http.ResponseWriter) http.ResponseWriter { return cutWriter{w} }
	f.want(d.renewNow(t), "EOF")
	all = append(all, f.newest("pi-1"))
	f.cut = nil
	f.want(d.renewNow(t), "")
	all = append(all, leaf(t, d).SerialNumber)
	f.want(f.members.Revoke(f.authority, "pi-1", time.Now()), "")
	f.wantRevoked(all...)
	f.want(f.members.Revoke(f.authority, "pi-1", time.Now()), "")
	f.wantRevoked(all...)

	// It is let in again, and then another device takes its place.
	f.want(f.enroll(d, f.code("lab", "pi-1"), "pi-1"), "")
	f.wantRevoked(all...)
	all = append(all, leaf(t, d).SerialNumber)
	f.want(d.renewNow(t), "")
	all = append(all, leaf(t, d).SerialNumber)
	second := f.device()
	f.want(f.enroll(second, f.code("lab", "pi-1"), "pi-1"), "")
	f.wantRevoked(all...)

	// What was revoked is replaced: there is nothing else to revoke.
	all = append(all, leaf(t, second).SerialNumber)
	f.want(f.members.Revoke(f.authority, "pi-1", time.Now()), "")
	f.want(f.enroll(f.device(), f.code("lab", "pi-1"), "pi-1"), "")
	f.wantRevoked(all...)
}

// TestRevokedByAClockAhead holds that what was revoked stays so when the file is changed while
// the clock of the hub is ahead: the certificates are valid again once it is set right.
func TestRevokedByAClockAhead(t *testing.T) {
	f := newFleet(t)
	lost, kept := f.device(), f.device()
	f.want(f.enroll(lost, f.code("lab", ""), "pi-1"), "")
	f.want(f.enroll(kept, f.code("lab", ""), "pi-2"), "")
	all := []*big.Int{leaf(t, lost).SerialNumber, leaf(t, kept).SerialNumber}
	f.want(f.members.Revoke(f.authority, "pi-1", time.Now()), "")
	m, _ := f.members.Get("pi-2")
	ahead := time.Now().AddDate(gatewayYears, 6, 0)
	if _, _, err := f.members.renew("pi-2", m.Key, ahead, numbered(0xa2, ahead)); err != nil {
		t.Fatal(err)
	}
	f.want(f.members.Revoke(f.authority, "pi-2", time.Now()), "")
	f.wantRevoked(append(all, big.NewInt(0xa2))...)
}

// TestMembersOfBefore holds that a file of a version that noted only the newest certificate
// is read, and what is in it revoked.
func TestMembersOfBefore(t *testing.T) {
	f := newFleet(t)
	const file = `{"version": 1, "codes": [], "list": 1, "gateways": [
		{"name": "pi-1", "site": "lab", "key": "ab", "serial": "a1", "enrolled": "2026-01-02T03:04:05Z", "expires": "2099-01-02T03:04:05Z"},
		{"name": "pi-2", "site": "lab", "key": "cd", "serial": "b1", "enrolled": "2026-01-02T03:04:05Z", "expires": "2099-01-02T03:04:05Z", "revoked": "2026-02-02T03:04:05Z"}
	], "revoked": [{"serial": "b1", "at": "2026-02-02T03:04:05Z", "expires": "2099-01-02T03:04:05Z"}]}`
	if err := os.WriteFile(filepath.Join(f.dir, membersFile), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.members.renew("pi-1", "ab", time.Now(), numbered(0xa2, time.Now())); err != nil {
		t.Fatal(err)
	}
	f.want(f.enroll(f.device(), f.code("lab", "pi-2"), "pi-2"), "")
	f.want(f.members.Revoke(f.authority, "pi-1", time.Now()), "")
	f.wantRevoked(big.NewInt(0xb1), big.NewInt(0xa1), big.NewInt(0xa2))
}

// numbered makes a certificate with that serial number, as one that is signed then.
func numbered(serial int64, now time.Time) func(string) (*x509.Certificate, error) {
	return func(string) (*x509.Certificate, error) {
		return &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: now.AddDate(gatewayYears, 0, 0)}, nil
	}
}

// TestOlderAreBounded holds that a gateway that asks every hour for another certificate does
// not fill the hubs' file and the list of brokers, and gets one as soon as it can keep it.
func TestOlderAreBounded(t *testing.T) {
	f := newFleet(t)
	f.want(f.enroll(f.device(), f.code("lab", ""), "pi-1"), "")
	m, _ := f.members.Get("pi-1")
	now, refused := time.Now(), 0
	for hour := range 24 * 10 {
		now = now.Add(time.Hour)
		if _, _, err := f.members.renew("pi-1", m.Key, now, numbered(int64(hour+1), now)); err != nil {
			f.want(err, fmt.Sprintf("has %d certificates already", len(m.Older)+1))
			refused++
		}
		m, _ = f.members.Get("pi-1")
		if len(m.Older) > maxOlder+10 {
			t.Fatalf("%d older certificates after %d hours", len(m.Older), hour)
		}
	}
	if got := 24*10 - refused; got < maxOlder+8 {
		t.Errorf("it got %d certificates in 10 days", got)
	}
	// Those that expired long ago are noted no longer.
	now = now.AddDate(2*gatewayYears, 0, 1)
	if _, _, err := f.members.renew("pi-1", m.Key, now, numbered(1000, now)); err != nil {
		t.Fatal(err)
	}
	if m, _ = f.members.Get("pi-1"); len(m.Older) > 1 || m.Serial != "3e8" {
		t.Errorf("after four years: %+v", m)
	}
}
