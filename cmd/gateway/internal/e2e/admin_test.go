package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/audit"
	"sensorgateway/wire"
)

// asked is an answer of the API for administrators.
type asked struct {
	Status   int
	Payload  struct{ Message string } // of an error
	ID       string
	Token    string
	Expires  int64
	Link     string
	Tokens   []listedToken
	Sessions []listedSession
	Total    int
}

type listedToken struct {
	ID, Name, Role, By  string
	Sensors             []string
	Created, Used       int64
	UsedFrom            string `json:"used_from"`
	Browsers, Connected int
}

type listedSession struct {
	ID, Kind, Token, Login, Name, Role, How, From, Path string
	Since, Used                                         int64
	You                                                 bool
}

// administrator sends a request with a token, or with the credentials in header.
type administrator struct {
	t    *testing.T
	base string
	http.Header
}

func (a administrator) ask(method, path, body string) (answer asked) {
	a.t.Helper()
	var send io.Reader
	if body != "" {
		send = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, a.base+path, send)
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header = a.Header.Clone()
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	if strings.HasPrefix(got.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(text, &answer); err != nil {
			a.t.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
	if got.Header.Get("Cache-Control") != "no-store" {
		a.t.Errorf("%s %s may be stored", method, path)
	}
	answer.Status = got.StatusCode
	return answer
}

func (a administrator) want(status int, method, path, body string) asked {
	a.t.Helper()
	answer := a.ask(method, path, body)
	if answer.Status != status || status >= 400 && status != http.StatusUnauthorized && answer.Payload.Message == "" {
		a.t.Errorf("%s %s %s: %d %q, want %d", method, path, body, answer.Status, answer.Payload.Message, status)
	}
	return answer
}

// administered is a gateway with an administrator.
func administered(t *testing.T) (p *gatewayProcess, state, token string, a administrator) {
	t.Helper()
	state = t.TempDir()
	if err := tokens.Edit(state, func(f *tokens.File) (err error) {
		token, err = f.Add(tokens.Token{Name: "boss", Role: tokens.Admin})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	p = startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0", "--state", state)
	base := strings.TrimSuffix("http"+strings.TrimPrefix(p.URL, "ws"), "/")
	return p, state, token, administrator{t, base, http.Header{"Authorization": {"Bearer " + token}}}
}

// cookieOf returns the cookie, with its name, of a browser that logs in with a token.
func cookieOf(t *testing.T, base, token string) string {
	t.Helper()
	answer, err := http.Post(base+"/login", "application/json", strings.NewReader(fmt.Sprintf(`{"token":%q}`, token)))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if len(answer.Cookies()) != 1 {
		t.Fatal(answer.Status)
	}
	return answer.Cookies()[0].Name + "=" + answer.Cookies()[0].Value
}

// closedWith reads until the connection is closed; TestRevoked holds how soon that is.
func (c tokenClient) closedWith(reason string) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			if !websocket.IsCloseError(err, websocket.ClosePolicyViolation) || !strings.Contains(err.Error(), reason) {
				c.t.Errorf("%v, want %s", err, reason)
			}
			return
		}
	}
}

// TestTokensOverHTTP holds what an administrator does to tokens from another machine,
// that it takes effect within a second, and that it is recorded.
func TestTokensOverHTTP(t *testing.T) {
	t.Parallel()
	p, state, _, boss := administered(t)
	ahmet := boss.want(http.StatusCreated, "POST", "/api/v1/tokens", `{"name":"ahmet","role":"operator","sensors":["outdoor"]}`)
	c := dialWith(t, p.URL, ahmet.Token)
	var hello wire.Hello
	if c.read("hello", &hello); hello.You.Name != "ahmet" || hello.You.Role != "operator" || len(hello.Sensors) != 1 {
		t.Errorf("%+v, %d sensors", hello.You, len(hello.Sensors))
	}
	if got := c.command(`{"action":"start","target":"motor_1"}`); got != "ack" {
		t.Fatal(got)
	}
	code := ahmet.Link[strings.Index(ahmet.Link, "#")+1:]
	login, err := http.Post(boss.base+"/login", "application/json", strings.NewReader(fmt.Sprintf(`{"code":%q}`, code)))
	if err != nil || login.StatusCode != http.StatusOK || !strings.HasPrefix(ahmet.Link, boss.base+"/login#") {
		t.Fatal(ahmet.Link, login, err)
	}
	login.Body.Close()
	list := boss.want(http.StatusOK, "GET", "/api/v1/tokens", "").Tokens
	i := slices.IndexFunc(list, func(l listedToken) bool { return l.ID == ahmet.ID })
	if i < 0 || list[i].Connected != 1 || list[i].Browsers != 1 || list[i].By != "boss" || list[i].Used == 0 || !strings.HasPrefix(list[i].UsedFrom, "127.0.0.1:") {
		t.Errorf("%+v", list)
	}
	watcher := dialWith(t, p.URL, boss.want(http.StatusCreated, "POST", "/api/v1/tokens", `{"name":"watcher"}`).Token)
	watcher.write(`{"type":"subscribe","payload":{"topic":"motors"}}`)
	watcher.read("subscribed", nil)

	rotated := boss.want(http.StatusOK, "POST", "/api/v1/tokens/"+ahmet.ID+"/rotate", "")
	c.closedWith("Token revoked")
	var motor wire.MotorState
	for motor.Running || motor.Reason != wire.ReasonRevoked {
		watcher.read("state", &motor)
	}
	if answered(t, routeAt(boss.base), ahmet.Token) != http.StatusUnauthorized || answered(t, routeAt(boss.base), rotated.Token) != http.StatusOK {
		t.Error("the old text is good, or the new one is not")
	}
	if link := boss.want(http.StatusOK, "POST", "/api/v1/tokens/"+ahmet.ID+"/link", ""); link.Token != "" || link.Link == "" {
		t.Errorf("%+v", link)
	}
	boss.want(http.StatusNoContent, "DELETE", "/api/v1/tokens/"+ahmet.ID, "")
	if answered(t, routeAt(boss.base), rotated.Token) != http.StatusUnauthorized {
		t.Error("a revoked token is good")
	}
	boss.want(http.StatusNotFound, "DELETE", "/api/v1/tokens/"+ahmet.ID, "")

	want := []string{"boss bearer made ahmet", "boss bearer rotated ahmet", "boss bearer revoked ahmet"}
	eventually(t, patience, func() (string, bool) {
		var did []string
		for _, r := range auditRecords(t, state) {
			var what struct{ Token, ID, Name string }
			if r.Kind == audit.KindToken && json.Unmarshal(r.What, &what) == nil && what.ID == ahmet.ID {
				did = append(did, strings.Join([]string{r.Name, r.How, what.Token, what.Name}, " "))
				if !strings.HasPrefix(r.From, "127.0.0.1:") || strings.Contains(string(r.What), "gwt_") {
					t.Errorf("%+v", r)
				}
			}
		}
		return fmt.Sprintf("recorded is %q, want %q", did, want), slices.Equal(did, want)
	})
	if text := p.Output(); strings.Contains(text, ahmet.Token) || strings.Contains(text, code) {
		t.Error("the log has a secret in it")
	}
}

// TestTokensOverHTTPRefused: clients that may not change tokens, and malformed requests.
func TestTokensOverHTTPRefused(t *testing.T) {
	t.Parallel()
	_, _, token, boss := administered(t)
	with := func(header ...string) administrator {
		a := administrator{t, boss.base, http.Header{}}
		for i := 0; i < len(header); i += 2 {
			a.Set(header[i], header[i+1])
		}
		return a
	}
	scoped := boss.want(http.StatusCreated, "POST", "/api/v1/tokens", `{"name":"scoped","role":"admin","sensors":["outdoor"]}`)
	viewer := boss.want(http.StatusCreated, "POST", "/api/v1/tokens", `{"name":"viewer"}`)
	operator := boss.want(http.StatusCreated, "POST", "/api/v1/tokens", `{"name":"operator","role":"operator"}`)

	for name, a := range map[string]administrator{"a viewer": with("Authorization", "Bearer "+viewer.Token), "an operator": with("Authorization", "Bearer "+operator.Token)} {
		for _, request := range []string{"GET /api/v1/tokens", "POST /api/v1/tokens", "DELETE /api/v1/tokens/" + viewer.ID, "POST /api/v1/tokens/" + viewer.ID + "/rotate",
			"POST /api/v1/tokens/" + viewer.ID + "/link", "GET /api/v1/sessions", "DELETE /api/v1/sessions/c1", "GET /api/v1/tokens/nothing/here"} {
			method, path, _ := strings.Cut(request, " ")
			if got := a.ask(method, path, ""); got.Status != http.StatusForbidden || got.Payload.Message == "" {
				t.Errorf("%s, %s: %+v", name, request, got)
			}
		}
	}
	with().want(http.StatusUnauthorized, "GET", "/api/v1/tokens", "")
	with().want(http.StatusUnauthorized, "POST", "/api/v1/tokens", `{"name":"eve","role":"admin"}`)

	// Credentials that browsers send by themselves, from a page of another site.
	cookie := cookieOf(t, boss.base, token)
	for _, a := range []administrator{with("Cookie", cookie), with("Cookie", cookie, "Origin", boss.base)} {
		a.want(http.StatusOK, "GET", "/api/v1/tokens", "")
		a.want(http.StatusNotFound, "DELETE", "/api/v1/tokens/nobody", "")
	}
	if got := with("Cookie", cookie, "Origin", "https://evil.example").ask("DELETE", "/api/v1/tokens/"+viewer.ID, ""); got.Status != http.StatusForbidden {
		t.Errorf("from another page: %d", got.Status)
	}

	for body, want := range map[string]int{
		``: 415, `{}`: 422, `{"name":""}`: 422, `{"name":"a\u001bb"}`: 422, `{"name":"` + strings.Repeat("x", 41) + `"}`: 422,
		`{"name":"eve","role":"owner"}`: 422, `{"name":"eve","role":"Admin"}`: 422, `{"name":"eve","sensor":["outdoor"]}`: 422,
		`{"name":"eve","sensors":["nowhere"]}`: 422, `{"name":"eve","sensors":[]}`: 422, `{"name":"eve","motors":[""]}`: 422, `{"name":"eve","sensors":"outdoor"}`: 422,
		`{"name":"eve","expires":1}`: 422, `{"name":"eve","expires":-1}`: 422, `{"name":"eve","expires":9223372036854775807}`: 422,
		`{"name":"eve","expires":"-90d"}`: 422, `{"name":"eve","expires":""}`: 422, `{"name":"eve","expires":"soon"}`: 422, `{"name":"eve","expires":true}`: 422, `{"name":"eve","expires":[90]}`: 422,
		`[]`: 422, `null`: 422, `{"name":"eve"`: 422, `{"name":"eve"}{}`: 422, `{"name":"viewer"}`: 409,
		`{"name":"eve","role":"` + strings.Repeat(" ", 1<<20) + `"}`: 413,
	} {
		if got := boss.ask("POST", "/api/v1/tokens", body); got.Status != want {
			t.Errorf("%.100s: %d %s, want %d", body, got.Status, got.Payload.Message, want)
		}
	}
	for _, expires := range []string{`"90d"`, `"2160h"`, fmt.Sprint(time.Now().AddDate(0, 0, 90).UnixMilli()), `"` + time.Now().AddDate(0, 0, 90).Format(time.RFC3339) + `"`} {
		made := boss.want(http.StatusCreated, "POST", "/api/v1/tokens", `{"name":"guest","expires":`+expires+`}`)
		if in := time.Until(time.UnixMilli(made.Expires)); in < 89*24*time.Hour || in > 91*24*time.Hour {
			t.Errorf("expires %s: in %v", expires, in)
		}
		boss.want(http.StatusNoContent, "DELETE", "/api/v1/tokens/"+made.ID, "")
	}
	boss.want(http.StatusMethodNotAllowed, "PUT", "/api/v1/tokens", "")
	boss.want(http.StatusMethodNotAllowed, "GET", "/api/v1/tokens/"+viewer.ID, "")
	boss.want(http.StatusNotFound, "GET", "/api/v1/tokens/"+viewer.ID+"/nothing", "")
	boss.want(http.StatusNotFound, "DELETE", "/api/v1/sessions/c999", "")

	// An administrator cannot give more than the own scope.
	s := with("Authorization", "Bearer "+scoped.Token)
	s.want(http.StatusForbidden, "POST", "/api/v1/tokens", `{"name":"eve","role":"admin"}`)
	s.want(http.StatusForbidden, "POST", "/api/v1/tokens/"+operator.ID+"/rotate", "")
	s.want(http.StatusForbidden, "POST", "/api/v1/tokens/"+operator.ID+"/link", "")
	s.want(http.StatusCreated, "POST", "/api/v1/tokens", `{"name":"guest","sensors":["outdoor"]}`)
	if n := len(boss.want(http.StatusOK, "GET", "/api/v1/tokens", "").Tokens); n != 5 {
		t.Errorf("there are %d tokens", n)
	}
}

// TestTokensChangedOffline: changes by "gateway token" are recorded once, both while the
// gateway runs and while it does not.
func TestTokensChangedOffline(t *testing.T) {
	t.Parallel()
	state, bin := t.TempDir(), buildGateway(t)
	token := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(bin, append(append([]string{"token"}, args...), "--state", state)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	start := func() *gatewayProcess {
		return startGateway(t, bin, "--simulate", "--listen", "127.0.0.1:0", "--state", state)
	}
	recorded := func() (list []string) {
		for _, r := range auditRecords(t, state) {
			var what struct {
				Token, Name, Role string
				Motors            []string
			}
			if r.Kind == audit.KindToken && r.How == "file" && json.Unmarshal(r.What, &what) == nil {
				list = append(list, fmt.Sprintln(what.Token, what.Name, what.Role, what.Motors, r.Name != ""))
			}
		}
		return list
	}
	token("add", "ahmet", "--role", "operator", "--motors", "fan")
	p := start()
	want := []string{"made ahmet operator [fan] true\n"}
	await(t, "what was done before it ran is recorded", func() bool { return slices.Equal(recorded(), want) })
	token("rotate", "ahmet")
	want = append(want, "rotated ahmet operator [fan] false\n")
	await(t, "what is done while it runs is recorded", func() bool { return slices.Equal(recorded(), want) })
	await(t, "what was recorded is known as such", func() bool { // killed before that, it would record it twice
		f, err := tokens.Read(state)
		known, err2 := os.ReadFile(filepath.Join(state, "tokens-known.json"))
		sum, err3 := f.Find("ahmet").Hash.MarshalText()
		return errors.Join(err, err2, err3) == nil && strings.Contains(string(known), string(sum))
	})
	p.Kill(t)
	token("revoke", "ahmet")
	token("add", "display")
	start()
	want = append(want, "revoked ahmet operator [fan] false\n", "made display viewer [] true\n")
	await(t, "what was done meanwhile is recorded, and nothing twice", func() bool { return slices.Equal(recorded(), want) })
}
