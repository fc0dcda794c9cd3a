//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// TestHubHasTheAlarms: a hub lists the alarms of a gateway as the gateway itself does:
// raised, acknowledged by a client of the hub, cleared, and after the hub was killed.
func TestHubHasTheAlarms(t *testing.T) {
	t.Parallel()
	celsius := emulatedCelsius(t)
	low, high := math.Round(celsius*100-60)/100, math.Round(celsius*100-30)/100
	m := startMosquitto(t, "allow_anonymous true")
	h := startHub(t, "--broker", "mqtt://"+m.Address, "--site", "lab")
	h.await(t, "connected to the broker")
	device := t.TempDir()
	h.want("pi-1", h.enroll(device, "pi-1", h.code("--site", "lab"))...)
	anna := h.want("gwt_", "token", "add", "anna", "--gateways", "pi-1", "--role", "operator", "--state", h.state)
	config := writeFile(t, "gateway.yaml", fmt.Sprintf(`
sensors:
  - {name: indoor, chip: sht3x}
motors:
  - {name: fan, kind: dir_pwm, dir: GPIO23, pwm: GPIO18, on_operator_loss: keep}
alarms:
  - {name: cold, condition: "indoor.temperature < %.2f until indoor.temperature > %.2f", severity: critical}
  - {name: always, condition: indoor.temperature > -40}
uplink: {}
`, low, high))
	p := startGateway(t, h.program, "--simulate", "--config", config, "--listen", "127.0.0.1:0", "--state", device)

	type list struct {
		Alarms, Recent, Conditions []any
	}
	own := func() (l list) {
		t.Helper()
		answer, err := http.Get(pageOf(p) + "api/v1/alarms")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if err := json.NewDecoder(answer.Body).Decode(&l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	alike := func(when, text string) {
		t.Helper()
		eventually(t, patience, func() (string, bool) {
			_, body := h.get("/gateways/pi-1/api/v1/alarms", anna)
			var shown list
			err := json.Unmarshal([]byte(body), &shown)
			there := own()
			return fmt.Sprintf("%s: the hub has %s, %v\nthe gateway %+v", when, body, err, there), err == nil && strings.Contains(body, text) && reflect.DeepEqual(shown, there)
		})
	}
	alike("raised", `"name":"always","state":"raised"`)
	command := func(payload string) { // nobody waits for pongs of a connection that has ended
		t.Helper()
		c := h.dial("/gateways/pi-1/", anna)
		defer c.Close()
		if err := c.WriteMessage(websocket.TextMessage, []byte(`{"type":"command","id":1,"payload":`+payload+`}`)); err != nil {
			t.Fatal(err)
		}
		for answered := false; !answered; {
			kind, message, err := c.ReadMessage()
			if err != nil || strings.Contains(string(message), `"type":"error"`) {
				t.Fatalf("%s: %s, %v", payload, message, err)
			}
			answered = kind == websocket.TextMessage && strings.Contains(string(message), `"type":"ack"`)
		}
	}
	command(`{"action":"acknowledge","target":"always"}`)
	alike("acknowledged", `"acknowledged":{"by":"anna"`)
	command(`{"action":"start","target":"fan","speed":1}`)
	alike("raised, too", `"name":"cold","state":"raised"`)
	command(`{"action":"stop","target":"fan"}`)
	alike("cleared", `"recent":[{"name":"cold","state":"cleared"`)
	h.Kill(t)
	h.start()
	alike("after the hub was killed", `"recent":[{"name":"cold"`)
	if there := own(); len(there.Conditions) != 2 {
		t.Errorf("%+v", there)
	}
}
