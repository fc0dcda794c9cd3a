package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/wire"
)

// A credential is one that a client may present, and what the test knows of it.
type credential struct {
	name, token string
	cookie      string // of a browser that logged in with it; the token itself where that failed
	role        string // if it is valid
	good        bool
	blind       bool // may not see the sensor indoor
}

// TestAccessMatrix asks the built program in each way with each credential for each
// path and action, from pages and from none, through each route, and compares with
// rules, which are those of wire/README.md and not the implementation.
func TestAccessMatrix(t *testing.T) {
	t.Parallel()
	for _, l := range []struct {
		name  string
		start func(t *testing.T, state string) (*gatewayProcess, route)
		full  bool // outside scripts/soak too
	}{
		{"loopback", startOnLoopback, true},
		{"another host", startForAnotherHost, false},
		{"TLS", startWithTLS, false},
		{"behind nginx", startBehindNginx, false},
	} {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			state := t.TempDir()
			p, r := l.start(t, state)
			all := makeCredentials(t, state, &r)
			step := 1
			if testing.Short() || !l.full && os.Getenv("GATEWAY_TEST_SOAK") == "" {
				step = 7 // no divisor of a dimension
			}
			cells, wrong := checkPaths(t, r, all, step)
			actions, wrongActions := checkActions(t, r, all, step)
			t.Logf("%d cells, %d wrong; one in %d was asked", cells+actions, wrong+wrongActions, step)
			if cells < 5000 || actions < 300 {
				t.Errorf("%d cells of paths and %d of actions are too few", cells, actions)
			}
			for _, c := range all {
				if len(c.token) > 20 && (strings.Contains(p.Output(), c.token) || c.cookie != c.token && strings.Contains(p.Output(), c.cookie)) {
					t.Errorf("the token of %s is in the log", c.name)
				}
			}
		})
	}
}

var waysToPresent = []string{"nothing", "bearer", "basic", "subprotocol", "cookie", "ticket", "query", "bearer beside a wrong cookie", "cookie beside a wrong bearer", "basic of a proxy beside the cookie"}

// checkPaths asks for each path.
func checkPaths(t *testing.T, l route, all []credential, step int) (cells, wrong int) {
	t.Helper()
	return checkWays(t, l, waysToPresent, all, step)
}

func checkWays(t *testing.T, l route, ways []string, all []credential, step int) (cells, wrong int) {
	t.Helper()
	paths := []string{
		"/", "/sensors/indoor", "/sensors/outdoor", "/api/v1/sensors", "/api/v1/motors", "/api/v1/alarms", "/api/v1/readings?sensor=indoor", "/metrics", "/readyz", "/nope",
		"/healthz", "/login", "/api/v1/tokens", "/api/v1/sessions", "/api/v1/audit", "ws /", "ws /sensors/indoor", "ws /chat", "ws /metrics", "ws /nope",
	}
	for _, way := range ways {
		for _, c := range all {
			for _, path := range paths {
				for _, origin := range []string{"", l.base, "https://evil.example", "null"} {
					if cells++; cells%step != 0 {
						continue
					}
					got, err := present(l, way, c, path, origin)
					if err != nil {
						t.Fatal(err)
					}
					if want := expected(way, c, path, origin, l.base); !slices.Contains(want, got) {
						if wrong++; wrong < 20 {
							t.Errorf("%s, %s, %s, origin %q: %d, want %v", way, c.name, path, origin, got, want)
						}
					}
				}
			}
		}
	}
	return cells, wrong
}

// checkActions sends commands on each connection that the rules allow.
func checkActions(t *testing.T, l route, all []credential, step int) (cells, wrong int) {
	t.Helper()
	connections := 0
	for _, way := range waysToPresent {
		for _, c := range all {
			for _, origin := range []string{"", l.base} {
				if !slices.Contains(expected(way, c, "ws /", origin, l.base), http.StatusSwitchingProtocols) {
					continue
				}
				steps := stepsOf(c)
				cells += len(steps) + 1
				if connections++; connections%step != 0 {
					continue
				}
				conn, err := l.dial(t, way, c, origin)
				if err != nil {
					t.Errorf("%s, %s, origin %q: %v", way, c.name, origin, err)
					wrong += len(steps) + 1
					continue
				}
				var hello wire.Hello
				if conn.read("hello", &hello); hello.You.Role != c.role || slices.Contains(hello.You.May, "command") != c.operates() {
					t.Errorf("%s, %s: hello says %+v", way, c.name, hello.You)
					wrong++
				}
				for _, s := range steps {
					if got := conn.command(s.command); got != s.want {
						t.Errorf("%s, %s, origin %q, %s: %s, want %s", way, c.name, origin, s.command, got, s.want)
						wrong++
					}
				}
				conn.Close()
				if !c.operates() {
					l.resetEStop(t, all[2])
				}
			}
		}
	}
	return cells, wrong
}

// resetEStop resets it as an administrator.
func (l route) resetEStop(t *testing.T, admin credential) {
	t.Helper()
	conn, err := l.dial(t, "bearer", admin, "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.command(`{"action":"reset"}`); got != "ack" {
		t.Fatalf("reset: %s", got)
	}
}

func (c credential) operates() bool { return c.role != "viewer" }

// A stepOf is a command and the answer's type by the rules.
type stepOf struct{ command, want string }

// stepsOf returns the commands for one connection: all clients may stop, an operator may start too.
func stepsOf(c credential) []stepOf {
	operates := "error"
	if c.operates() {
		operates = "ack"
	}
	return []stepOf{
		{`{"action":"status","target":"motor_1"}`, "ack"},
		{`{"action":"start","target":"motor_1"}`, operates},
		{`{"action":"set","target":"motor_1","speed":0.5}`, operates},
		{`{"action":"stop","target":"motor_1"}`, "ack"},
		{`{"action":"estop"}`, "ack"},
		{`{"action":"start","target":"motor_1"}`, "error"},
		{`{"action":"reset"}`, operates},
		{`{"action":"fly","target":"motor_1"}`, "error"},
	}
}

// expected returns the right statuses, by the rules.
func expected(way string, c credential, path, origin, base string) []int {
	path, upgrade := strings.CutPrefix(path, "ws ")
	foreign := origin != "" && origin != base
	unasked := way == "nothing" || way == "basic" || way == "certificate" || strings.Contains(way, "cookie") && way != "bearer beside a wrong cookie" && way != "cookie beside a wrong bearer"
	switch {
	case path == "/healthz":
		return []int{200}
	case path == "/login" && foreign:
		return []int{403}
	case path == "/login":
		return []int{200}
	case way == "query":
		return []int{400}
	case foreign && unasked: // a browser sends it for any page
		return []int{403}
	case way == "nothing", way == "cookie beside a wrong bearer", !c.good:
		return []int{401}
	case c.blind && strings.Contains(path, "indoor"), c.role != "admin" && slices.Contains([]string{"/api/v1/tokens", "/api/v1/sessions", "/api/v1/audit"}, path):
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
func present(l route, way string, c credential, path, origin string) (int, error) {
	r, err := l.request(way, c, path, origin)
	if err != nil {
		return 0, err
	}
	answer, err := l.transport.RoundTrip(r)
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
	_, err = io.Copy(io.Discard, answer.Body) // so that the next cell can use the connection
	return answer.StatusCode, err
}

// makeCredentials makes tokens of all kinds, and invalid ones.
func makeCredentials(t *testing.T, state string, l *route) (all []credential) {
	t.Helper()
	make := func(dir string, token tokens.Token) (text string) {
		if err := tokens.Edit(dir, func(f *tokens.File) (err error) { text, err = f.Add(token); return err }); err != nil {
			t.Fatal(err)
		}
		return text
	}
	soon := time.Now().Add(3 * time.Second)
	viewer := make(state, tokens.Token{Name: "viewer", Role: tokens.Viewer})
	typo := "x"
	if viewer[20] == 'x' {
		typo = "y"
	}
	all = []credential{
		{name: "viewer", token: viewer, good: true, role: "viewer"},
		{name: "operator", token: make(state, tokens.Token{Name: "operator", Role: tokens.Operator}), good: true, role: "operator"},
		{name: "admin", token: make(state, tokens.Token{Name: "admin", Role: tokens.Admin}), good: true, role: "admin"},
		{name: "outdoor only", token: make(state, tokens.Token{Name: "outdoor", Role: tokens.Operator, Sensors: []string{"outdoor"}}), good: true, role: "operator", blind: true},
		{name: "until tomorrow", token: make(state, tokens.Token{Name: "tomorrow", Role: tokens.Viewer, Expires: time.Now().Add(24 * time.Hour)}), good: true, role: "viewer"},
		{name: "expired", token: make(state, tokens.Token{Name: "expired", Role: tokens.Admin, Expires: soon})},
		{name: "revoked", token: make(state, tokens.Token{Name: "revoked", Role: tokens.Admin})},
		{name: "rotated", token: make(state, tokens.Token{Name: "rotated", Role: tokens.Admin})},
		{name: "another gateway's", token: make(t.TempDir(), tokens.Token{Name: "admin", Role: tokens.Admin})},
		{name: "a typo", token: viewer[:20] + typo + viewer[21:]},
		{name: "cut", token: viewer[:40]},
		{name: "empty", token: ""},
	}
	awaitToken(t, *l, all[7].token)
	for i := range all {
		c := &all[i]
		if c.cookie = c.token; i < 8 {
			c.cookie = l.logIn(t, c.token)
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
		await(t, "the token that is "+c.name+" is refused", func() bool { return answered(t, *l, c.token) == http.StatusUnauthorized })
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

// answered returns the status of a request with a token; "" is none.
func answered(t *testing.T, l route, token string) int {
	t.Helper()
	way := "bearer"
	if token == "" {
		way = "nothing"
	}
	code, err := present(l, way, credential{token: token}, "/api/v1/sensors", "")
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// awaitToken waits until a running gateway knows a token, and needs one of every client.
func awaitToken(t *testing.T, l route, token string) {
	t.Helper()
	await(t, "the new token is known", func() bool {
		return answered(t, l, token) == http.StatusOK && answered(t, l, "") == http.StatusUnauthorized
	})
}
