package serving

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/alarm"
	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// TestMetrics holds that what is known of a gateway is at its /metrics, for programs and
// for clients of the WebSocket, as far as they may see it, and that nothing live is asked
// for because of that.
func TestMetrics(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.publish(fleet.Here, []byte("online 1"))
	h.hello("e1", 1, sensors)
	h.up(1, 1, 600)
	body := h.await("/gateways/pi-7/metrics", "anna", `gateway_readings_total{sensor="outdoor"} 600`)
	for _, want := range []string{`gateway_sensor_up{sensor="outdoor"} 0`, "gateway_hub_connected 1", "gateway_clock_synced 1", `gateway_motor_running{motor="fan"} 0`, `gateway_i2c_errors_total{sensor="indoor",cause="no_ack"} 0`} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("without %s:\n%s", want, body)
		}
	}
	for token, want := range map[string]int{"": http.StatusUnauthorized, "bert": http.StatusForbidden} {
		if code, body := h.get("/gateways/pi-7/metrics", token); code != want || strings.Contains(body, "outdoor") {
			t.Errorf("%q: %d %s", token, code, body)
		}
	}
	if code, body := h.get("/gateways/pi-7/metrics", "carl"); code != http.StatusOK || strings.Contains(body, "outdoor") || strings.Contains(body, "fan") || !strings.Contains(body, `{sensor="indoor"}`) {
		t.Errorf("beyond the scope: %d %s", code, body)
	}
	c, _, err := websocket.DefaultDialer.Dial("ws://"+h.address+"/gateways/pi-7/metrics", http.Header{"Authorization": {"Bearer " + h.tokens["anna"]}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var m struct {
		Type    string
		Payload struct {
			TS      float64
			Clients int
			Sensors map[string]struct{ Readings int }
		}
	}
	if _, text, err := c.ReadMessage(); err != nil || json.Unmarshal(text, &m) != nil || m.Type != wire.TypeMetrics || m.Payload.Sensors["outdoor"].Readings != 600 || m.Payload.Clients != 1 || m.Payload.TS == 0 {
		t.Errorf("%s, %v", text, err)
	}
	h.gateways.mu.Lock()
	defer h.gateways.mu.Unlock()
	if h.gateways.served["pi-7"].unwatch != nil {
		t.Error("who looks at metrics makes the gateway send each tick")
	}
}

// TestAlarms holds that the alarms of a gateway are answered as the gateway itself does,
// as far as a client may see them.
func TestAlarms(t *testing.T) {
	h := startHub(t)
	h.publish(fleet.Here, []byte("online 1"))
	h.hello("e1", 1, sensors)
	all := []wire.Alarm{
		{Name: "hot", State: wire.AlarmRaised, Severity: wire.SeverityCritical, Condition: "indoor.temperature > 35", Sensor: "indoor", Value: new(float32(36.5)), Since: 1_700_000_000},
		{Name: "cold", State: wire.AlarmCleared, Severity: wire.SeverityWarning, Condition: "outdoor.temperature < 0", Sensor: "outdoor", Since: 1_600_000_000, Cleared: 1_600_000_001},
		{Name: "motor_fault:fan", State: wire.AlarmAcknowledged, Severity: wire.SeverityCritical, Motor: "fan", Reason: "GPIO17: no such line", Since: 1_700_000_001, Acknowledged: &wire.Acknowledgement{By: "anna", TS: 1_700_000_002}},
	}
	recent := []wire.Alarm{{Name: "cold", State: wire.AlarmCleared, Severity: wire.SeverityWarning, Condition: "outdoor.temperature < 0", Sensor: "outdoor", Since: 1_500_000_000, Cleared: 1_500_000_001}, all[1]}
	hello := fleet.Hello{Hello: wire.Hello{Server: "gateway", Name: "the roof", Version: "v1", Epoch: "e1", ClockSynced: true, Sensors: sensors, Motors: []wire.MotorState{}}, Nonce: "n", Connection: 1, Alarms: all, Recent: recent}
	h.publish(fleet.News, wire.JSON(wire.Envelope{Type: wire.TypeHello, Payload: hello}))
	h.await("/gateways/pi-7/api/v1/alarms", "anna", `"hot"`)
	carls := func(sensor, motor string) bool { return (sensor == "" || sensor == "indoor") && motor == "" }
	for token, may := range map[string]func(sensor, motor string) bool{"anna": func(string, string) bool { return true }, "carl": carls} {
		_, body := h.get("/gateways/pi-7/api/v1/alarms", token)
		if want := string(wire.JSON(alarm.ListOf(all, recent, may))); strings.TrimSpace(body) != want {
			t.Errorf("%s has %s, want %s", token, body, want)
		}
	}
	all[0].State, all[0].Cleared, all[0].Value = wire.AlarmCleared, 1_700_000_010, new(float32(20))
	h.publish(fleet.News, wire.JSON(wire.Envelope{Type: wire.TypeEvent, Payload: all[0].Event()}))
	want := strings.TrimSpace(string(wire.JSON(alarm.ListOf(all, append(recent, all[0]), func(string, string) bool { return true }))))
	h.await("/gateways/pi-7/api/v1/alarms", "anna", want)
}
