package hub

import (
	"strings"
	"testing"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/hub/twin"
)

// Two devices with one identity are distinguished from one that restarts again and again;
// for an hour it is shown that there were two. A revoked gateway is shown as revoked, without
// its former state.
func TestTwins(t *testing.T) {
	h := newHub(t, t.TempDir())
	var r *Remote
	say := func(nonces ...string) string {
		t.Helper()
		for i, nonce := range nonces {
			n, err := fleet.ParseNews(helloOf(nonce, uint64(i+1)))
			if err != nil {
				t.Fatal(err)
			}
			r.news(n, false)
			r.news(n, false) // a hello because something has changed
		}
		return r.Overview().Twin
	}
	New(Options{Registry: h.g, Site: "lab"})
	r = h.g.remote(pi)
	for _, nonces := range []string{"a b c d e", "f g f", "h i h j i", "k k k l l k"} {
		if said := say(strings.Fields(nonces)...); said != "" {
			t.Errorf("%s: %s", nonces, said)
		}
	}
	version := h.g.Version()
	if said := say("m", "n", "m", "n"); !strings.Contains(said, "fix: ") {
		t.Errorf("of two devices it says %q", said)
	}
	if all, _ := h.g.Changed(version, func(fleet.Gateway) bool { return true }); len(all) != 1 || all[0].Twin == "" {
		t.Errorf("%+v", all)
	}
	h.ahead.Store(int64(twin.Time))
	if said := r.Overview().Twin; said != "" {
		t.Errorf("an hour later: %s", said)
	}

	h.members = nil
	h.g.o.Revoked = func() map[fleet.Gateway]int64 {
		return map[fleet.Gateway]int64{pi: 1_700_000_000_000, {Site: "other", Name: "pi-8"}: 1}
	}
	all, total := h.g.Changed(h.g.Version(), func(fleet.Gateway) bool { return true })
	if total != 1 || len(all) != 1 || all[0].Presence != (Presence{Revoked, 1_700_000_000_000}) || all[0].Readings != nil || all[0].Title != "" {
		t.Errorf("%d: %+v", total, all)
	}
	if _, total := h.g.Changed(0, func(fleet.Gateway) bool { return false }); total != 0 {
		t.Error("it is shown to whoever may not see it")
	}
}

// A hub that has the name of another detects that, and says what to do.
func TestHubOfTheSameName(t *testing.T) {
	broker := startBroker(t)
	h, other := newHub(t, t.TempDir()), newHub(t, t.TempDir())
	h.run(broker)
	other.run(broker)
	h.await("the reason", func() bool { return strings.Contains(h.g.Sites()[0].Reason, "another hub has the name hub-a") })
}
