package member

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/enroll"
	"sensorgateway/gateway/fleet"
)

// The change is reported before the list of hubs' keys is written, and only if it will be
// written: if the program is killed between the two, no change is unreported.
func TestChangeKeys(t *testing.T) {
	state, _, _ := enrolled(t, time.Now())
	m, file := &Member{State: state}, filepath.Join(state, enroll.HubKeysFile)
	m.hubKeys.Store(&file) // as when it has connected
	list := func() string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := fleet.Fingerprint(hubKey.Public().(ed25519.PublicKey))
	other := fleet.HubKey{Key: ed25519.NewKeyFromSeed([]byte(strings.Repeat("b", ed25519.SeedSize))).Public().(ed25519.PublicKey), Name: "hub-b"}
	before := list()
	var begun []string
	begin := func(k fleet.HubKey) {
		begun = append(begun, k.Name)
		if list() != before {
			t.Errorf("the list has changed before %s is said to: %q", k.Name, list())
		}
	}
	for _, tt := range []struct {
		change        fleet.KeyChange
		changed, good bool
	}{
		{fleet.KeyChange{Add: other.Entry()}, true, true},
		{fleet.KeyChange{Add: other.Entry()}, false, true},
		{fleet.KeyChange{Remove: first}, false, false},
		{fleet.KeyChange{Remove: other.Fingerprint()}, true, true},
	} {
		before = list()
		if changed, err := m.ChangeKeys(first, tt.change, begin); changed != tt.changed || (err == nil) != tt.good {
			t.Errorf("%+v: changed %v, %v", tt.change, changed, err)
		}
		if (list() != before) != tt.changed {
			t.Errorf("%+v: the list is %q, it was %q", tt.change, list(), before)
		}
	}
	if !slices.Equal(begun, []string{"hub-b", "hub-b"}) {
		t.Errorf("begun: %q", begun)
	}
}
