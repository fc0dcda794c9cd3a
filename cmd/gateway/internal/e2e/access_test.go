package e2e

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/wire"
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
	time.Sleep(max(time.Second, time.Until(soon)+time.Second)) // what was changed holds within a second
	return all
}

// awaitToken waits until a running gateway knows a token.
func awaitToken(t *testing.T, base, token string) {
	t.Helper()
	for late := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		r, _ := http.NewRequest(http.MethodPost, base+"/api/v1/tickets", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		if answer, err := http.DefaultClient.Do(r); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				r, _ := http.NewRequest(http.MethodGet, base+"/api/v1/sensors", nil)
				if answer, err := http.DefaultClient.Do(r); err == nil {
					answer.Body.Close()
					if answer.StatusCode == http.StatusUnauthorized {
						return
					}
				}
			}
		}
		if time.Now().After(late) {
			t.Fatal("a new token is not known")
		}
	}
}

func logIn(t *testing.T, base, token string) string {
	t.Helper()
	body, _ := json.Marshal(map[string]string{"token": token})
	answer, err := http.Post(base+"/login", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	for _, c := range answer.Cookies() {
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode {
			t.Errorf("the cookie is %v", c)
		}
		gatewayCookie = c.Name
		return c.Value
	}
	t.Fatalf("no cookie: %s", answer.Status)
	return ""
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

// TestRoles holds what each role may do to motors, and what hello says of it.
func TestRoles(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0", "--state", state)
	add := func(args ...string) string {
		out, err := exec.Command(buildGateway(t), append([]string{"token", "add", "--state", state}, args...)...).Output()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	roles := map[string]string{
		"viewer": add("viewer"), "operator": add("operator", "--role", "operator"), "admin": add("admin", "--role", "admin"),
	}
	last := add("no motors", "--role", "operator", "--motors", "another")
	awaitToken(t, strings.TrimSuffix("http"+strings.TrimPrefix(p.URL, "ws"), "/"), last)
	for role, token := range roles {
		c := dialWith(t, p.URL, token)
		var hello wire.Hello
		c.read("hello", &hello)
		if hello.You.Name != role || hello.You.Role != role || slices.Contains(hello.You.May, "command") != (role != "viewer") {
			t.Errorf("%s: hello says %+v", role, hello.You)
		}
		for _, action := range []string{"start", "set", "status", "stop"} {
			extra, want := "", role != "viewer" || action == "status" || action == "stop"
			if action == "set" {
				extra = `,"speed":0.5`
			}
			if got := c.command(fmt.Sprintf(`{"action":%q,"target":"motor_1"%s}`, action, extra)); (got == "ack") != want {
				t.Errorf("%s, %s: %s", role, action, got)
			}
		}
		if got := c.command(`{"action":"estop"}`); got != "ack" {
			t.Errorf("%s, estop: %s", role, got)
		}
		if got := c.command(`{"action":"reset"}`); (got == "ack") != (role != "viewer") {
			t.Errorf("%s, reset: %s", role, got)
		}
		if role == "viewer" {
			o := dialWith(t, p.URL, roles["operator"])
			o.read("hello", nil)
			if got := o.command(`{"action":"reset"}`); got != "ack" {
				t.Fatalf("reset: %s", got)
			}
		}
	}
	c := dialWith(t, p.URL, last)
	var hello wire.Hello
	if c.read("hello", &hello); len(hello.Motors) > 0 {
		t.Errorf("motors out of the scope are shown: %+v", hello.Motors)
	}
	for action, want := range map[string]string{"start": "error", "stop": "error", "status": "error"} {
		if got := c.command(fmt.Sprintf(`{"action":%q,"target":"motor_1"}`, action)); got != want {
			t.Errorf("out of the scope, %s: %s", action, got)
		}
	}
	if got := c.command(`{"action":"estop"}`); got != "ack" {
		t.Errorf("an e-stop is for everybody: %s", got)
	}
}

// TestRevoked holds that who is revoked while it drives a motor and reads is closed
// within a second, that its motor stops, and that nobody else notices.
func TestRevoked(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0", "--state", state)
	base := strings.TrimSuffix("http"+strings.TrimPrefix(p.URL, "ws"), "/")
	var watcher string
	edit := func(change func(f *tokens.File) error) {
		if err := tokens.Edit(state, change); err != nil {
			t.Fatal(err)
		}
	}
	edit(func(f *tokens.File) (err error) {
		watcher, err = f.Add(tokens.Token{Name: "watcher", Role: tokens.Viewer})
		return err
	})
	awaitToken(t, base, watcher)
	w := dialWith(t, p.URL, watcher)
	w.read("hello", nil)
	w.write(`{"type":"subscribe","payload":{"topic":"motors"}}`)
	for i := range tenth(t, 100, "revocations") {
		var token string
		name := fmt.Sprint("driver ", i)
		expires := time.Time{}
		if i%2 == 1 {
			expires = time.Now().Add(2 * time.Second)
		}
		edit(func(f *tokens.File) (err error) {
			token, err = f.Add(tokens.Token{Name: name, Role: tokens.Operator, Expires: expires})
			return err
		})
		awaitToken(t, base, token)
		c := dialWith(t, p.URL, token)
		c.read("hello", nil)
		if got := c.command(`{"action":"start","target":"motor_1"}`); got != "ack" {
			t.Fatalf("start: %s", got)
		}
		begin, want := expires, "Token expired"
		if expires.IsZero() {
			edit(func(f *tokens.File) error { return f.Revoke(name) })
			begin, want = time.Now(), "Token revoked"
		}
		_ = c.SetReadDeadline(time.Now().Add(patience))
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				if !websocket.IsCloseError(err, websocket.ClosePolicyViolation) || !strings.Contains(err.Error(), want) {
					t.Fatalf("%s: %v, want %s", name, err, want)
				}
				break
			}
		}
		if took := time.Since(begin); took > 1200*time.Millisecond { // an expiry is stored in whole seconds
			t.Errorf("%s: closed after %v", name, took)
		}
		var state wire.MotorState
		for state.Running || state.Reason != wire.ReasonRevoked || state.By != name {
			w.read("state", &state)
		}
		if got := tryToken(base, token); got != http.StatusUnauthorized {
			t.Errorf("%s is let in again: %d", name, got)
		}
	}
}

func tryToken(base, token string) int {
	code, _ := present(base, "bearer", credential{token: token}, "/api/v1/sensors", "")
	return code
}

// TestCommandsShowTheirToken holds that the commands take a token from a file or the
// environment, and say what helps without one.
func TestCommandsShowTheirToken(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0", "--state", state)
	out, err := exec.Command(buildGateway(t), "token", "add", "watcher", "--state", state).Output()
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(out))
	awaitToken(t, strings.TrimSuffix("http"+strings.TrimPrefix(p.URL, "ws"), "/"), token)
	file := writeFile(t, "token", token+"\n")
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args        []string
		environment string
		want        string
	}{
		"nothing":        {nil, "", "this gateway asks for a token"},
		"a file":         {[]string{"--token-file", file}, "", `"sensor":"indoor"`},
		"environment":    {nil, "GATEWAY_TOKEN=" + token, `"sensor":"indoor"`},
		"a wrong one":    {nil, "GATEWAY_TOKEN=" + token[:40], "the token is cut off"},
		"it is no flag":  {[]string{"--token", token}, "", "unknown flag"},
		"the file first": {[]string{"--token-file", file}, "GATEWAY_TOKEN=x", `"sensor":"indoor"`},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		cmd := exec.CommandContext(ctx, buildGateway(t), append([]string{"watch", p.URL}, tt.args...)...)
		cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GATEWAY_") }), "HOME="+t.TempDir(), tt.environment)
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = cmd.Stdout
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		seen := ""
		for lines := bufio.NewScanner(pipe); !strings.Contains(seen, tt.want) && lines.Scan(); {
			seen += lines.Text() + "\n"
		}
		cancel()
		_ = cmd.Wait() // it was killed, or has failed as it should
		if !strings.Contains(seen, tt.want) || strings.Contains(seen, token[:20]) && name != "it is no flag" {
			t.Errorf("%s: no %q in\n%s", name, tt.want, seen)
		}
	}
}

// tokenClient is a client with a token.
type tokenClient struct {
	*websocket.Conn
	t *testing.T
}

func dialWith(t *testing.T, address, token string) tokenClient {
	t.Helper()
	// As libraries send ws://:TOKEN@HOST/ (RFC 7617).
	header := http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(":"+token))}}
	dialer := websocket.Dialer{Subprotocols: []string{wire.ReadingsJSON}, HandshakeTimeout: patience}
	c, _, err := dialer.Dial(address, header)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return tokenClient{c, t}
}

func (c tokenClient) write(message string) {
	c.t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
		c.t.Fatal(err)
	}
}

// read reads until a message of that type.
func (c tokenClient) read(kind string, into any) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	for {
		var m struct {
			Type    string
			Payload json.RawMessage
		}
		if err := c.ReadJSON(&m); err != nil {
			c.t.Fatalf("no %s: %v", kind, err)
		}
		if m.Type == kind {
			if into != nil {
				if err := json.Unmarshal(m.Payload, into); err != nil {
					c.t.Fatal(err)
				}
			}
			return
		}
	}
}

// command returns the type of the answer.
func (c tokenClient) command(payload string) string {
	c.t.Helper()
	c.write(`{"type":"command","id":1,"payload":` + payload + `}`)
	_ = c.SetReadDeadline(time.Now().Add(patience))
	for {
		var m struct {
			Type string
			ID   any
		}
		if err := c.ReadJSON(&m); err != nil {
			c.t.Fatalf("%s: %v", payload, err)
		}
		if m.ID != nil {
			return m.Type
		}
	}
}
