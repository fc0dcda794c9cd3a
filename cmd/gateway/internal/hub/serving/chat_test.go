package serving

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/fleet"
)

// Each gateway has a room here for those who look at it through the hub.
func TestChat(t *testing.T) {
	h := startHub(t)
	h.publish(fleet.Here, []byte("online 1"))
	h.hello("e1", 1, sensors)
	h.await("/gateways/pi-7/api/v1/sensors", "anna", "outdoor")
	enter := func(nick string) *websocket.Conn {
		t.Helper()
		c, _, err := websocket.DefaultDialer.Dial("ws://"+h.address+"/gateways/pi-7/chat", http.Header{"Authorization": {"Bearer " + h.tokens["anna"]}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if err := c.WriteJSON(map[string]string{"type": "join", "nick": nick, "text": ""}); err != nil {
			t.Fatal(err)
		}
		return c
	}
	heard := func(c *websocket.Conn, want ...string) {
		t.Helper()
		for {
			_, text, err := c.ReadMessage()
			if err != nil {
				t.Fatalf("%q was not heard: %v", want, err)
			}
			all := true
			for _, w := range want {
				all = all && strings.Contains(string(text), w)
			}
			if all {
				return
			}
		}
	}
	first := enter("ahmet")
	heard(first, `"info"`, "ahmet")
	second := enter("zeynep")
	heard(first, `"join"`, "zeynep")
	if err := second.WriteJSON(map[string]string{"type": "chat", "nick": "", "text": "the fan is loud"}); err != nil {
		t.Fatal(err)
	}
	heard(first, `"chat"`, "zeynep", "the fan is loud")
}
