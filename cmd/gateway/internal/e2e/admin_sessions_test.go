package e2e

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/audit"
	"sensorgateway/wire"
)

// TestSessionsOverHTTP holds that each client and each login is listed, and can be ended
// alone.
func TestSessionsOverHTTP(t *testing.T) {
	t.Parallel()
	p, state, token, boss := administered(t)
	ahmet := boss.want(http.StatusCreated, "POST", "/api/v1/tokens", `{"name":"ahmet","role":"operator"}`)
	one, two := dialWith(t, p.URL, ahmet.Token), dialWith(t, p.URL, ahmet.Token)
	one.read("hello", nil)
	two.read("hello", nil)
	cookie := cookieOf(t, boss.base, token)
	if got := one.command(`{"action":"start","target":"motor_1"}`); got != "ack" {
		t.Fatal(got)
	}
	two.write(`{"type":"subscribe","payload":{"topic":"motors"}}`)
	two.read("subscribed", nil)

	browser := administrator{t, boss.base, http.Header{"Cookie": {cookie}, "Origin": {boss.base}}}
	list := browser.want(http.StatusOK, "GET", "/api/v1/sessions", "")
	var clients, logins []listedSession
	for _, s := range list.Sessions {
		switch {
		case s.Kind == "client" && s.Name == "ahmet" && s.Token == ahmet.ID && s.Role == "operator" && s.How == "basic" && s.Path == "/" && s.Since > 0 && strings.HasPrefix(s.From, "127.0.0.1:"):
			clients = append(clients, s)
		case s.Kind == "login" && s.Name == "boss" && s.How == "cookie" && s.You && s.Used >= s.Since && s.Since > 0:
			logins = append(logins, s)
		}
	}
	if len(clients) != 2 || len(logins) != 1 || list.Total != 3 {
		t.Fatalf("%+v", list)
	}
	first := slices.MinFunc(clients, func(a, b listedSession) int { return strings.Compare(a.ID, b.ID) })
	browser.want(http.StatusNoContent, "DELETE", "/api/v1/sessions/"+first.ID, "")
	one.closedWith("Session ended")
	var motor wire.MotorState
	for motor.Running || motor.Reason != wire.ReasonRevoked {
		two.read("state", &motor)
	}
	await(t, "one client to be left", func() bool {
		return len(boss.want(http.StatusOK, "GET", "/api/v1/sessions", "").Sessions) == 2
	})
	dialWith(t, p.URL, ahmet.Token).read("hello", nil) // its token is still valid

	through, _, err := websocket.DefaultDialer.Dial(p.URL, http.Header{"Cookie": {cookie}, "Origin": {boss.base}})
	if err != nil {
		t.Fatal(err)
	}
	defer through.Close()
	browser.want(http.StatusNoContent, "DELETE", "/api/v1/sessions/"+logins[0].ID, "")
	tokenClient{through, t}.closedWith("Token revoked")
	browser.want(http.StatusUnauthorized, "GET", "/api/v1/sessions", "")
	eventually(t, patience, func() (string, bool) {
		ended := 0
		for _, r := range auditRecords(t, state) {
			if r.Kind == audit.KindLogin && r.Name == "boss" && strings.Contains(string(r.What), `"ended":`) {
				ended++
			}
		}
		return fmt.Sprintf("%d of 2 ends are recorded", ended), ended == 2
	})
}

// TestClientsPerToken: one token cannot use the places of the others; the refusal is
// reported and counted.
func TestClientsPerToken(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	var token string
	if err := tokens.Edit(state, func(f *tokens.File) (err error) {
		token, err = f.Add(tokens.Token{Name: "display", Role: tokens.Viewer})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	config := writeFile(t, "gateway.yaml", "limits: {clients_per_token: 2}\nsensors:\n  - {name: a, chip: sht3x}\n")
	p := startGateway(t, buildGateway(t), "--simulate", "--config", config, "--listen", "127.0.0.1:0", "--state", state)
	first := dialWith(t, p.URL, token)
	first.read("hello", nil)
	dialWith(t, p.URL, token).read("hello", nil)
	header := http.Header{"Authorization": {"Bearer " + token}}
	_, answer, err := websocket.DefaultDialer.Dial(p.URL, header)
	if err == nil || answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Fatalf("the third: %v, %+v", err, answer)
	}
	text, _ := io.ReadAll(answer.Body)
	if !strings.Contains(string(text), "display: 2 (clients_per_token: under limits:") {
		t.Errorf("it is told %s", text)
	}
	base := strings.TrimSuffix("http"+strings.TrimPrefix(p.URL, "ws"), "/")
	r, _ := http.NewRequest(http.MethodGet, base+"/metrics", nil)
	r.Header = header
	metrics, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Body.Close()
	exposed, _ := io.ReadAll(metrics.Body)
	for _, want := range []string{`gateway_limit_current{limit="clients_per_token"} 2`, `gateway_limit_maximum{limit="clients_per_token"} 2`, `gateway_refused_total{reason="limit"} 1`} {
		if !strings.Contains(string(exposed), want+"\n") {
			t.Errorf("/metrics has no %s", want)
		}
	}
	first.Close()
	await(t, "a place is free again", func() bool {
		c, _, err := websocket.DefaultDialer.Dial(p.URL, header)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}
