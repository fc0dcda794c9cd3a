package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/wire"
)

// TestRevoked: a client whose token is revoked while it drives a motor and reads is closed
// within a second, its motor stops, and other clients are not affected.
func TestRevoked(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	p := startGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0", "--state", state)
	l := routeTo(p)
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
	awaitToken(t, l, watcher)
	w := dialWith(t, p.URL, watcher)
	w.read("hello", nil)
	w.write(`{"type":"subscribe","payload":{"topic":"motors"}}`)
	var took []time.Duration
	defer func() { withinASecond(t, took) }()
	for i := range tenth(t, 400, "revocations") {
		var token string
		name := fmt.Sprint("driver ", i)
		expires := time.Time{}
		if i%10 == 1 {
			expires = time.Now().Add(5 * time.Second) // until then, a busy machine has to connect and start
		}
		edit(func(f *tokens.File) (err error) {
			token, err = f.Add(tokens.Token{Name: name, Role: tokens.Operator, Expires: expires})
			return err
		})
		awaitToken(t, l, token)
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
		took = append(took, time.Since(begin))
		var state wire.MotorState
		for state.Running || state.Reason != wire.ReasonRevoked || state.By != name {
			w.read("state", &state)
		}
		if got := tryToken(l, token); got != http.StatusUnauthorized {
			t.Errorf("%s is let in again: %d", name, got)
		}
	}
}

// withinASecond checks that connections are ended within a second, and allows for the time
// in which a busy machine did not let the gateway run.
func withinASecond(t *testing.T, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	if len(took) == 0 {
		return
	}
	median, last := took[len(took)/2], took[len(took)-1]
	t.Logf("ended after %v (median), %v at most", median, last)
	if median > time.Second {
		t.Errorf("ended after %v in half of all cases", median)
	}
}

func tryToken(l route, token string) int {
	code, _ := present(l, "bearer", credential{token: token}, "/api/v1/sensors", "")
	return code
}
