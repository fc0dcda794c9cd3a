package access

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"sensorgateway/gateway/access/tokens"
)

// TestPerToken holds that a token has a limited number of clients at a time, in whatever
// way they show it, and that others are not affected.
func TestPerToken(t *testing.T) {
	dir := t.TempDir()
	text := addToken(t, dir, tokens.Token{Name: "ayşe", Role: tokens.Viewer})
	other := addToken(t, dir, tokens.Token{Name: "mehmet", Role: tokens.Viewer})
	g := newGuard(t, dir, Options{PerToken: 3, Open: true})
	cookie, _, err := g.Tokens.LogIn(text, "")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	connect := func(header ...string) (*Identity, error) {
		t.Helper()
		r := requestFrom("127.0.0.1", "/")
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		id, refusal := g.Identify(r)
		if refusal != nil {
			t.Fatal(refusal.Err)
		}
		n++
		return id, id.Connect("c"+strconv.Itoa(n), "/")
	}
	bearer := []string{"Authorization", "Bearer " + text}
	first, err := connect(bearer...)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := connect("Cookie", "gw-"+g.Tokens.Gateway()+"="+cookie); err != nil {
			t.Fatal(err)
		}
	}
	late, err := connect(bearer...)
	if err == nil || !strings.Contains(err.Error(), "ayşe") || !strings.Contains(err.Error(), "clients_per_token") {
		t.Errorf("the fourth: %v", err)
	}
	late.Disconnect() // was never counted
	if _, err := connect("Authorization", "Bearer "+other); err != nil {
		t.Errorf("another token: %v", err)
	}
	for range 10 {
		if _, err := connect(); err != nil {
			t.Errorf("without a token: %v", err)
		}
	}
	if got, all := g.MostOfOneToken(), len(g.Connected()); got != 3 || all != 14 {
		t.Errorf("%d of one token of %d", got, all)
	}
	first.Disconnect()
	if _, err := connect(bearer...); err != nil {
		t.Errorf("when one has left: %v", err)
	}
}

// TestDismiss holds that one client alone is dismissed, and that counts stay right while
// many come, leave and are dismissed.
func TestDismiss(t *testing.T) {
	dir := t.TempDir()
	text := addToken(t, dir, tokens.Token{Name: "ayşe", Role: tokens.Viewer})
	g := newGuard(t, dir, Options{})
	identify := func() *Identity {
		r := requestFrom("127.0.0.1", "/")
		r.Header.Set("Authorization", "Bearer "+text)
		id, _ := g.Identify(r)
		return id
	}
	one, two := identify(), identify()
	if one.Connect("c1", "/") != nil || two.Connect("c2", "/chat") != nil {
		t.Fatal("not connected")
	}
	if g.Dismiss("c3") != nil || g.Dismiss("c1") != one {
		t.Error("another is dismissed")
	}
	if one.Ended() != "Session ended" || two.Ended() != "" || identify().Ended() != "" {
		t.Errorf("%q, %q", one.Ended(), two.Ended())
	}
	one.Disconnect()
	if g.Dismiss("c1") != nil {
		t.Error("it has left")
	}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			id, name := identify(), "d"+strconv.Itoa(i)
			if err := id.Connect(name, "/"); err != nil {
				t.Error(err)
			}
			g.Connected()
			g.Dismiss(name)
			if id.Ended() == "" {
				t.Errorf("%s is not dismissed", name)
			}
			id.Disconnect()
		})
	}
	all.Wait()
	if len(g.Connected()) != 1 || g.MostOfOneToken() != 1 {
		t.Errorf("%d, %d are left", len(g.Connected()), g.MostOfOneToken())
	}
}
