package access

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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

// TestConnectedInUse holds that a browser that stays connected is in use, although it sends
// no request: its login does not end. That of one that has left does.
func TestConnectedInUse(t *testing.T) {
	const day = 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		text := addToken(t, dir, tokens.Token{Name: "ayşe", Role: tokens.Operator})
		g := newGuard(t, dir, Options{})
		watched := make(chan struct{})
		g.Tokens.Watch = func(string) (<-chan struct{}, func()) { return watched, func() {} }
		identify := func(cookie string) (*Identity, *Refusal) {
			r := requestFrom("127.0.0.1", "/")
			r.Header.Set("Cookie", "gw-"+g.Tokens.Gateway()+"="+cookie)
			return g.Identify(r)
		}
		connect := func(client string) (*Identity, string) {
			cookie, _, err := g.Tokens.LogIn(text, "")
			if err != nil {
				t.Fatal(err)
			}
			id, refusal := identify(cookie)
			if refusal != nil {
				t.Fatal(refusal.Err)
			}
			if err := id.Connect(client, "/"); err != nil {
				t.Fatal(err)
			}
			return id, cookie
		}
		stays, cookie := connect("c1")
		left, _ := connect("c2")
		left.Disconnect()

		time.Sleep(30*day - time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Tokens.Run(ctx, nil) }()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if stays.Ended() != "" || left.Ended() != "Token expired" {
			t.Errorf("after a month: %q, of the one that has left %q", stays.Ended(), left.Ended())
		}
		stays.Disconnect()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if used := tokens.LastUsed(dir)[stays.Login]; time.Since(used.At) > 2*time.Hour || used.From != stays.From {
			t.Errorf("its last use: %+v", used)
		}
		time.Sleep(28 * day)
		if _, refusal := identify(cookie); refusal != nil {
			t.Errorf("28 days after it has left: %v", refusal.Err)
		}
		time.Sleep(31 * day)
		if _, refusal := identify(cookie); refusal == nil {
			t.Error("it is good a month after its last use")
		}
	})
}
