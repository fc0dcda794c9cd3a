package enroll

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEnrollOnce holds that a code that was used gives its device nothing but the same
// certificate again: no second name, and no way back after it was replaced or revoked.
func TestEnrollOnce(t *testing.T) {
	f := newFleet(t)
	d, code := f.device(), f.code("lab", "")
	f.want(f.enroll(d, code, "pi-1"), "")
	if _, err := f.another(d).Enroll(context.Background(), f.url, code, "pi-2", false); err == nil || !strings.Contains(err.Error(), "another name") {
		t.Errorf("a second name: %v", err)
	}
	if _, ok := f.members.Get("pi-2"); ok {
		t.Error("pi-2 is in the fleet")
	}

	old, named := f.device(), f.code("lab", "pi-3")
	f.want(f.enroll(old, named, "pi-3"), "")
	f.want(f.members.Revoke(f.authority, "pi-3", time.Now()), "")
	f.want(f.enroll(old, named, "pi-3"), "revoked")
	f.want(f.enroll(f.device(), f.code("lab", "pi-3"), "pi-3"), "")
	f.want(f.enroll(old, named, "pi-3"), "replaced")
}

// another returns a device with the key of one, which has forgotten that it is a member.
func (f *fleet) another(d Device) Device {
	f.t.Helper()
	key, err := os.ReadFile(filepath.Join(d.Dir, KeyFile))
	if err != nil {
		f.t.Fatal(err)
	}
	again := f.device()
	if err := os.WriteFile(filepath.Join(again.Dir, KeyFile), key, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return again
}
