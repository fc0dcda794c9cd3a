package e2e

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/audit"
	"sensorgateway/wire"
)

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
	l := routeTo(p)
	awaitToken(t, l, last)
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
	l.logIn(t, roles["viewer"])
	for role, token := range roles {
		want := http.StatusForbidden
		if role == "admin" {
			want = http.StatusOK
		}
		if got, err := present(l, "bearer", credential{token: token}, "/api/v1/audit", ""); got != want || err != nil {
			t.Errorf("%s, audit: %d, %v", role, got, err)
		}
	}
	for what, is := range map[string]func(audit.Record) bool{
		"the operator's start": func(r audit.Record) bool {
			return r.Kind == audit.KindCommand && r.Name == "operator" && r.How == "basic" && r.ID != "" && r.From != "" && strings.Contains(string(r.What), "start")
		},
		"the viewer's login": func(r audit.Record) bool {
			return r.Kind == audit.KindLogin && r.Name == "viewer" && r.ID != "" && string(r.What) == `{"logged":"in"}`
		},
		`what "gateway token" has made`: func(r audit.Record) bool { // the gateway notices
			return r.Kind == audit.KindToken && r.How == "file" && r.Name != "" && strings.Contains(string(r.What), `"name":"viewer","role":"viewer","token":"made"`)
		},
	} {
		await(t, what+" is recorded", func() bool { return slices.ContainsFunc(administratorsRecords(t, l, roles["admin"]), is) })
	}
	for _, query := range []string{"limit=0", "limit=10001", "since=x", "limit=1&limit=2", "from=1", "%"} {
		if got, err := present(l, "bearer", credential{token: roles["admin"]}, "/api/v1/audit?"+query, ""); got != http.StatusUnprocessableEntity || err != nil {
			t.Errorf("audit?%s: %d, %v", query, got, err)
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

// administratorsRecords returns what the gateway shows an administrator.
func administratorsRecords(t *testing.T, l route, token string) []audit.Record {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, l.base+"/api/v1/audit?limit=1000", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var got struct{ Records []audit.Record }
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	return got.Records
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
	awaitToken(t, routeTo(p), token)
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

// TestWrongTokens: during a storm of wrong tokens from many addresses none is accepted,
// right ones are still accepted, and there are few log lines.
func TestWrongTokens(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8")
	}
	state := t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0", "--state", state)
	l := routeTo(p)
	var token, wrong string
	if err := tokens.Edit(state, func(f *tokens.File) (err error) {
		token, err = f.Add(tokens.Token{Name: "ahmet", Role: tokens.Operator})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := tokens.Edit(t.TempDir(), func(f *tokens.File) (err error) { // a well-formed token of another gateway
		wrong, err = f.Add(tokens.Token{Name: "ahmet", Role: tokens.Operator})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	awaitToken(t, l, token)
	var storm sync.WaitGroup
	var refused, others atomic.Int64
	each := tenth(t, 500, "wrong tokens of each address")
	for i := range 200 {
		storm.Go(func() {
			from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i+1))}}
			transport := &http.Transport{DialContext: from.DialContext}
			defer transport.CloseIdleConnections()
			for range each {
				r, _ := http.NewRequest(http.MethodGet, l.base+"/api/v1/sensors", nil) // its form is right
				r.Header.Set("Authorization", "Bearer "+wrong)
				answer, err := transport.RoundTrip(r)
				if err != nil {
					continue // the gateway limits connections
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				if answer.StatusCode == http.StatusUnauthorized {
					refused.Add(1)
				} else {
					others.Add(1)
				}
			}
		})
	}
	for range 20 {
		if code := tryToken(l, token); code != http.StatusOK {
			t.Errorf("the right token gets %d", code)
		}
	}
	storm.Wait()
	if refused.Load() < int64(100*each) || others.Load() > 0 {
		t.Errorf("%d are refused, %d get another answer", refused.Load(), others.Load())
	}
	if code := tryToken(l, token); code != http.StatusOK {
		t.Errorf("afterwards, the right token gets %d", code)
	}
	if lines := strings.Count(p.Output(), "a client was refused"); lines > 5 {
		t.Errorf("%d log lines", lines)
	}
}

// A stream of metrics names only the sensors that its client may see.
func TestMetricsOfAScope(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0", "--state", state)
	all := addToken(t, state, p, tokens.Token{Name: "all", Role: tokens.Viewer})
	some := addToken(t, state, p, tokens.Token{Name: "some", Role: tokens.Viewer, Sensors: []string{"outdoor"}})
	for token, want := range map[string]string{all: "greenhouse indoor outdoor", some: "outdoor"} {
		var metrics struct{ Sensors map[string]any }
		dialWith(t, p.URL+"metrics", token).read("metrics", &metrics)
		if got := strings.Join(slices.Sorted(maps.Keys(metrics.Sensors)), " "); got != want {
			t.Errorf("sensors %s, want %s", got, want)
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
