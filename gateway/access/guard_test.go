package access

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/access/tokens"
)

// newGuard returns a guard with the tokens of a directory, "" for none.
func newGuard(t *testing.T, dir string, o Options) *Guard {
	t.Helper()
	o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	o.Tokens = tokens.Open(dir, o.Log)
	if o.Policy == nil {
		o.Policy = &Policy{}
	}
	if o.Refused == nil {
		o.Refused = func(string, string, string) {}
	}
	return NewGuard(o)
}

func addToken(t *testing.T, dir string, token tokens.Token) (text string) {
	t.Helper()
	if err := tokens.Edit(dir, func(f *tokens.File) (err error) { text, err = f.Add(token); return err }); err != nil {
		t.Fatal(err)
	}
	return text
}

// requestFrom is one to a gateway at 127.0.0.1, or at 192.0.2.1 for other machines.
func requestFrom(from, path string) *http.Request {
	host := "192.0.2.1"
	if strings.HasPrefix(from, "127.") {
		host = "127.0.0.1"
	}
	r := request(host+":8765", host+":8765")
	r.Method, r.RemoteAddr = http.MethodGet, from+":50000"
	r.URL, _ = url.Parse(path) // of this file
	return r
}

// TestDefaults is the table of who may do what without a token.
func TestDefaults(t *testing.T) {
	const here, elsewhere = "127.0.0.1", "192.0.2.7"
	type may struct{ see, command bool }
	var no, see, all = may{}, may{see: true}, may{true, true}
	for name, tt := range map[string]struct {
		Options
		none, noneElsewhere may // without tokens
		made, madeElsewhere may // once there is one, for who has none
	}{
		"a simulation on this machine":      {Options{Policy: &Policy{Commands: LocalCommands}}, all, see, no, no},
		"a demonstration":                   {Options{Demonstration: true, Exposed: true}, all, all, no, no},
		"this machine only":                 {Options{}, see, see, no, no},
		"this machine only, local commands": {Options{Policy: &Policy{Commands: LocalCommands}}, all, see, no, no},
		"exposed":                           {Options{Exposed: true}, see, no, no, no},
		"exposed, local commands":           {Options{Exposed: true, Policy: &Policy{Commands: LocalCommands}}, all, no, no, no},
		"exposed, open":                     {Options{Exposed: true, Open: true}, see, see, see, see},
		"exposed, commands for everybody":   {Options{Exposed: true, Policy: &Policy{Commands: AnybodyCommands}}, all, all, no, no},
		"exposed, open, local commands":     {Options{Exposed: true, Open: true, Policy: &Policy{Commands: LocalCommands}}, all, see, see, see},
	} {
		dir := t.TempDir()
		check := func(when string, g *Guard, from string, want may) {
			t.Helper()
			id, refusal := g.Identify(requestFrom(from, "/"))
			got := may{id != nil, id != nil && id.Denied == nil}
			if got != want {
				t.Errorf("%s, %s, from %s: %+v, want %+v (%+v)", name, when, from, got, want, refusal)
			}
			if refusal != nil && (refusal.Status != http.StatusUnauthorized || !strings.Contains(refusal.Err.Error(), "fix: ")) {
				t.Errorf("%s, %s: %+v", name, when, refusal)
			}
		}
		g := newGuard(t, dir, tt.Options)
		check("no token", g, here, tt.none)
		check("no token", g, elsewhere, tt.noneElsewhere)
		if closed := g.Closed() != nil; closed == tt.noneElsewhere.see && tt.Exposed {
			t.Errorf("%s: warned %t", name, closed)
		}
		addToken(t, dir, tokens.Token{Name: "ayşe", Role: tokens.Viewer})
		g = newGuard(t, dir, tt.Options)
		check("a token", g, here, tt.made)
		check("a token", g, elsewhere, tt.madeElsewhere)
		if g.Closed() != nil {
			t.Errorf("%s: with a token, somebody can connect", name)
		}
	}
}

// TestFirstToken holds that a client that is connected without a token has to show one as
// soon as there is one.
func TestFirstToken(t *testing.T) {
	dir := t.TempDir()
	g := newGuard(t, dir, Options{})
	id, refusal := g.Identify(requestFrom("127.0.0.1", "/"))
	if refusal != nil || id.Ended() != "" {
		t.Fatal(refusal, id.Ended())
	}
	text := addToken(t, dir, tokens.Token{Name: "ayşe", Role: tokens.Viewer})
	if _, _, err := g.Tokens.LogIn(text, ""); err != nil { // which reads the file again
		t.Fatal(err)
	}
	if id.Ended() == "" {
		t.Error("it stays connected")
	}
}

// TestMetricsOpen holds that metrics: open opens nothing else.
func TestMetricsOpen(t *testing.T) {
	dir := t.TempDir()
	addToken(t, dir, tokens.Token{Name: "ayşe", Role: tokens.Viewer})
	g := newGuard(t, dir, Options{Exposed: true, Metrics: true})
	if id, _ := g.Identify(requestFrom("192.0.2.7", "/metrics")); id == nil || id.Denied == nil || id.Chats {
		t.Errorf("/metrics: %+v", id)
	}
	for _, path := range []string{"/", "/metrics/", "/api/v1/sensors", "//metrics"} {
		if id, _ := g.Identify(requestFrom("192.0.2.7", path)); id != nil {
			t.Errorf("%s is open", path)
		}
	}
}

// TestTickets holds that a ticket is good once, for its path, for 30 s, while its owner's
// identity is valid, and gives no more rights than its owner has.
func TestTickets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		text := addToken(t, dir, tokens.Token{Name: "ayşe", Role: tokens.Operator})
		g := newGuard(t, dir, Options{})
		owner := requestFrom("127.0.0.1", "/api/v1/tickets")
		owner.Header.Set("Authorization", "Bearer "+text)
		fetch := func(body string) (int, string) {
			r := owner.Clone(owner.Context())
			r.Method, r.Body = http.MethodPost, http.NoBody
			if body != "" {
				r.Header.Set("Content-Type", "application/json")
				r.Body = readCloser{strings.NewReader(body)}
			}
			w := httptest.NewRecorder()
			g.serveTickets(w, r)
			_, after, _ := strings.Cut(w.Body.String(), `"ticket":"`)
			ticket, _, _ := strings.Cut(after, `"`)
			return w.Code, ticket
		}
		use := func(ticket, path string) *Identity {
			r := requestFrom("127.0.0.1", path+"?ticket="+ticket+"&since=5")
			id, _ := g.Identify(r)
			if id != nil {
				if r, done := id.With(r); r.URL.RawQuery != "since=5" {
					t.Errorf("the ticket is passed on: %s", r.URL)
				} else {
					done()
				}
			}
			return id
		}
		code, ticket := fetch("")
		if code != http.StatusOK || use(ticket, "/") == nil || use(ticket, "/") != nil {
			t.Errorf("%d: it is good once", code)
		}
		if _, ticket = fetch(`{"path":"/chat"}`); use(ticket, "/") != nil || use(ticket, "/chat") != nil {
			t.Error("it is good for another path, or after it was tried there")
		}
		if _, ticket = fetch(`{"path":"/chat","role":"viewer"}`); true {
			if id := use(ticket, "/chat"); id == nil || id.Role != tokens.Viewer || id.Denied == nil || id.Chats {
				t.Errorf("a viewer's ticket of an operator: %+v", id)
			}
		}
		for body, want := range map[string]int{
			`{"role":"admin"}`: 403, `{"role":"x"}`: 403, `{"path":"chat"}`: 422, `{"path":"/?a"}`: 422, `{`: 422, `"` + strings.Repeat("x", maxRequest) + `"`: 422,
		} {
			if code, _ := fetch(body); code != want {
				t.Errorf("%.20s: %d, want %d", body, code, want)
			}
		}
		_, ticket = fetch("")
		time.Sleep(ticketTime + time.Second)
		if use(ticket, "/") != nil {
			t.Error("it is good after 31 s")
		}
		_, ticket = fetch("")
		if err := tokens.Edit(dir, func(f *tokens.File) error { return f.Revoke("ayşe") }); err != nil {
			t.Fatal(err)
		}
		_ = g.Tokens.LogOut(&tokens.Login{}) // which reads the file again
		if use(ticket, "/") != nil {
			t.Error("it is good longer than its owner's token")
		}
	})
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// TestTries holds that failed tries cost time, that this is bounded in time and memory,
// and that a right token is let in at all times.
func TestTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		text := addToken(t, dir, tokens.Token{Name: "ayşe", Role: tokens.Viewer})
		g := newGuard(t, dir, Options{})
		try := func(from, token string) (seconds int, ok bool) {
			r := requestFrom(from, "/")
			r.Header.Set("Authorization", "Bearer "+token)
			id, refusal := g.Identify(r)
			if id != nil {
				return 0, true
			}
			w := httptest.NewRecorder()
			refusal.ServeHTTP(w, r)
			if h := w.Header().Get("WWW-Authenticate"); w.Code != 401 || h != `Bearer realm="gateway", error="invalid_token"` {
				t.Fatalf("%d, %q", w.Code, h)
			}
			seconds, _ = strconv.Atoi(w.Header().Get("Retry-After"))
			return seconds, false
		}
		for i := range 9 {
			if wait, ok := try("192.0.2.7", "gwt_wrong"); wait != 0 || ok {
				t.Fatalf("try %d waits %d s", i+1, wait)
			}
		}
		for want := 1; want < 3600; want *= 2 {
			if wait, _ := try("192.0.2.7", "gwt_wrong"); wait != want {
				t.Fatalf("the wait is %d s, want %d", wait, want)
			}
			time.Sleep(time.Duration(want)*time.Second + time.Millisecond)
		}
		if wait, _ := try("192.0.2.7", "gwt_wrong"); wait != 3600 {
			t.Errorf("the longest wait is %d s", wait)
		}
		if _, ok := try("192.0.2.7", text); !ok {
			t.Error("a right token is locked out")
		}
		if wait, _ := try("192.0.2.8", "gwt_wrong"); wait != 0 {
			t.Error("another address waits")
		}
		for i := range 3 * maxTriers {
			g.tries.fail(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), time.Now())
		}
		if len(g.tries.of) > maxTriers {
			t.Errorf("%d addresses are remembered", len(g.tries.of))
		}
		a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff")
		for range freeTries {
			g.tries.fail(a, time.Now())
		}
		if g.tries.fail(b, time.Now()) == 0 {
			t.Error("a host on IPv6 has more than one address")
		}
	})
}
