package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/access/tokens"
)

// A credential is what somebody may present, and what is known of it here.
type credential struct {
	name, token string
	cookie      string // of a browser that logged in with it; the token itself where that failed
	good        bool
	blind       bool // may not see the sensor indoor
}

// TestAccessMatrix asks the built program in each way with each credential for each
// path, from pages and from none, and compares with rules, which are those of
// wire/README.md and not the implementation.
func TestAccessMatrix(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0", "--state", state)
	base := strings.TrimSuffix("http"+strings.TrimPrefix(p.URL, "ws"), "/")
	all := makeCredentials(t, state, base)
	paths := []string{
		"/", "/sensors/indoor", "/sensors/outdoor", "/api/v1/sensors", "/api/v1/motors", "/api/v1/readings?sensor=indoor", "/metrics", "/readyz", "/nope",
		"/healthz", "/login", "ws /", "ws /sensors/indoor", "ws /chat", "ws /metrics", "ws /nope",
	}
	ways := []string{"nothing", "bearer", "basic", "subprotocol", "cookie", "ticket", "query", "bearer beside a wrong cookie", "cookie beside a wrong bearer", "basic of a proxy beside the cookie"}
	cells, wrong := 0, 0
	for _, way := range ways {
		for _, c := range all {
			for _, path := range paths {
				for _, origin := range []string{"", base, "https://evil.example", "null"} {
					if cells++; testing.Short() && cells%7 != 0 { // no multiple of a dimension
						continue
					}
					got, err := present(base, way, c, path, origin)
					if err != nil {
						t.Fatal(err)
					}
					if want := expected(way, c, path, origin, base); !slices.Contains(want, got) {
						if wrong++; wrong < 20 {
							t.Errorf("%s, %s, %s, origin %q: %d, want %v", way, c.name, path, origin, got, want)
						}
					}
				}
			}
		}
	}
	t.Logf("%d cells, %d wrong", cells, wrong)
	if cells < 5000 {
		t.Errorf("%d cells are too few", cells)
	}
	for _, c := range all {
		if len(c.token) > 20 && (strings.Contains(p.Output(), c.token) || c.cookie != c.token && strings.Contains(p.Output(), c.cookie)) {
			t.Errorf("the token of %s is in the log", c.name)
		}
	}
}

// expected are the rules: the statuses that are right.
func expected(way string, c credential, path, origin, base string) []int {
	path, upgrade := strings.CutPrefix(path, "ws ")
	foreign := origin != "" && origin != base
	unasked := way == "nothing" || way == "basic" || strings.Contains(way, "cookie") && way != "bearer beside a wrong cookie" && way != "cookie beside a wrong bearer"
	switch {
	case path == "/healthz":
		return []int{200}
	case path == "/login" && foreign:
		return []int{403}
	case path == "/login":
		return []int{200}
	case way == "query":
		return []int{400}
	case foreign && unasked: // a browser sends it for whatever page
		return []int{403}
	case way == "nothing", way == "cookie beside a wrong bearer", !c.good:
		return []int{401}
	case c.blind && strings.Contains(path, "indoor"):
		return []int{403}
	case upgrade:
		return []int{101}
	case path == "/nope":
		return []int{404}
	case path == "/readyz":
		return []int{200, 503}
	}
	return []int{200}
}

// present asks for a path, and returns the status.
func present(base, way string, c credential, path, origin string) (int, error) {
	path, upgrade := strings.CutPrefix(path, "ws ")
	r, err := http.NewRequest(http.MethodGet, base+path, nil)
	if err != nil {
		return 0, err
	}
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	if upgrade {
		for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
			r.Header.Set(name, value)
		}
	}
	cookie := func(value string) { r.Header.Set("Cookie", gatewayCookie+"="+value) }
	switch way {
	case "bearer":
		r.Header.Set("Authorization", "Bearer "+c.token)
	case "basic":
		r.SetBasicAuth("anybody", c.token)
	case "subprotocol":
		r.Header.Set("Sec-WebSocket-Protocol", "readings.v2, gateway.token."+c.token)
	case "cookie":
		cookie(c.cookie)
	case "ticket":
		ticket := "WRONG" + c.token
		if c.good {
			if ticket, err = fetchTicket(base, c.token, r.URL.Path); err != nil {
				return 0, err
			}
		}
		q := r.URL.Query()
		q.Set("ticket", ticket)
		r.URL.RawQuery = q.Encode()
	case "query":
		q := r.URL.Query()
		q.Set("token", c.token)
		r.URL.RawQuery = q.Encode()
	case "bearer beside a wrong cookie":
		r.Header.Set("Authorization", "Bearer "+c.token)
		cookie("wrong")
	case "cookie beside a wrong bearer":
		r.Header.Set("Authorization", "Bearer wrong")
		cookie(c.cookie)
	case "basic of a proxy beside the cookie":
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("user:password")))
		cookie(c.cookie)
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0, fmt.Errorf("%s, %s, %s: %w", way, c.name, path, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusSwitchingProtocols {
		if chosen := answer.Header.Get("Sec-WebSocket-Protocol"); strings.Contains(chosen, "gwt_") {
			return 0, fmt.Errorf("the subprotocol %q is chosen", chosen)
		}
		return answer.StatusCode, nil
	}
	_, err = io.Copy(io.Discard, answer.Body) // the connection is for the next cell
	return answer.StatusCode, err
}

var gatewayCookie string // its name, once it is known

// makeCredentials makes tokens of all kinds, and what is none.
func makeCredentials(t *testing.T, state, base string) (all []credential) {
	t.Helper()
	make := func(dir string, token tokens.Token) (text string) {
		if err := tokens.Edit(dir, func(f *tokens.File) (err error) { text, err = f.Add(token); return err }); err != nil {
			t.Fatal(err)
		}
		return text
	}
	soon := time.Now().Add(3 * time.Second)
	viewer := make(state, tokens.Token{Name: "viewer", Role: tokens.Viewer})
	all = []credential{
		{name: "viewer", token: viewer, good: true},
		{name: "operator", token: make(state, tokens.Token{Name: "operator", Role: tokens.Operator}), good: true},
		{name: "admin", token: make(state, tokens.Token{Name: "admin", Role: tokens.Admin}), good: true},
		{name: "outdoor only", token: make(state, tokens.Token{Name: "outdoor", Role: tokens.Operator, Sensors: []string{"outdoor"}}), good: true, blind: true},
		{name: "until tomorrow", token: make(state, tokens.Token{Name: "tomorrow", Role: tokens.Viewer, Expires: time.Now().Add(24 * time.Hour)}), good: true},
		{name: "expired", token: make(state, tokens.Token{Name: "expired", Role: tokens.Admin, Expires: soon})},
		{name: "revoked", token: make(state, tokens.Token{Name: "revoked", Role: tokens.Admin})},
		{name: "rotated", token: make(state, tokens.Token{Name: "rotated", Role: tokens.Admin})},
		{name: "another gateway's", token: make(t.TempDir(), tokens.Token{Name: "admin", Role: tokens.Admin})},
		{name: "a typo", token: viewer[:20] + "x" + viewer[21:]},
		{name: "cut", token: viewer[:40]},
		{name: "empty", token: ""},
	}
	awaitToken(t, base, all[7].token)
	for i := range all {
		c := &all[i]
		if c.cookie = c.token; i < 8 {
			c.cookie = logIn(t, base, c.token)
		}
	}
	if err := tokens.Edit(state, func(f *tokens.File) error {
		_, err := f.Rotate("rotated")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(buildGateway(t), "token", "revoke", "revoked", "--state", state).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, c := range all[5:8] {
		await(t, "the token that is "+c.name+" is refused", func() bool { return answered(t, base, c.token) == http.StatusUnauthorized })
	}
	return all
}

// await polls a running gateway, which looks at the file of tokens every 250 ms.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick, late := time.NewTicker(20*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}

// answered returns the status that the bearer of a token gets, of nobody's with "".
func answered(t *testing.T, base, token string) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, base+"/api/v1/sensors", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

// awaitToken waits until a running gateway knows a token, and asks everybody for one.
func awaitToken(t *testing.T, base, token string) {
	t.Helper()
	await(t, "the new token is known", func() bool {
		return answered(t, base, token) == http.StatusOK && answered(t, base, "") == http.StatusUnauthorized
	})
}

func logIn(t *testing.T, base, token string) string {
	t.Helper()
	body, _ := json.Marshal(map[string]string{"token": token})
	answer, err := http.Post(base+"/login", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	cookies := answer.Cookies()
	if len(cookies) != 1 {
		t.Fatalf("%d cookies: %s", len(cookies), answer.Status)
	}
	c := cookies[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode {
		t.Errorf("the cookie is %v", c)
	}
	gatewayCookie = c.Name
	return c.Value
}

func fetchTicket(base, token, path string) (string, error) {
	body, _ := json.Marshal(map[string]string{"path": path})
	r, err := http.NewRequest(http.MethodPost, base+"/api/v1/tickets", strings.NewReader(string(body)))
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var got struct{ Ticket string }
	err = json.NewDecoder(answer.Body).Decode(&got)
	return got.Ticket, err
}
