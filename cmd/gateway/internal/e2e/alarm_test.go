package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sensorgateway/gateway/alarm"
	"sensorgateway/gateway/audit"
	"sensorgateway/wire"
)

// posted is a message that the webhook's receiver has accepted.
type posted struct {
	ID      string
	Gateway string
	Payload wire.Event
}

// hookReceiver fails as often as the test says, and then accepts what is posted.
type hookReceiver struct {
	*httptest.Server
	mu    sync.Mutex
	fails int
	tries []string // the IDs
	taken []posted
}

func newHookReceiver(t *testing.T, secret string, fails int) *hookReceiver {
	h := &hookReceiver{fails: fails}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body)
		var p posted
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); err != nil || r.Header.Get("Webhook-Signature") != want || json.Unmarshal(body, &p) != nil || p.ID != r.Header.Get("Webhook-Id") {
			t.Errorf("%v %s", r.Header, body)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.tries = append(h.tries, p.ID)
		if len(h.tries) <= h.fails {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		h.taken = append(h.taken, p)
	}))
	t.Cleanup(h.Close)
	return h
}

// of returns the accepted states of an alarm, in their order.
func (h *hookReceiver) of(alarm string) (states []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.taken {
		if p.Payload.Alarm == alarm {
			states = append(states, p.Payload.State)
		}
	}
	return states
}

// alarmsOf returns what /api/v1/alarms says to the holder of a token.
func alarmsOf(t *testing.T, p *gatewayProcess, token string) (all struct {
	Alarms, Recent []wire.Alarm
	Conditions     []string
}) {
	t.Helper()
	answer, err := http.DefaultClient.Do(bearer(t, strings.Replace(p.URL, "ws", "http", 1)+"api/v1/alarms", token))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&all); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", answer.Status, err)
	}
	busy := func(a wire.Alarm) bool { // these may occur on a busy machine
		return strings.HasPrefix(a.Name, alarm.SensorLost+":") || a.Name == alarm.StorageFailed
	}
	all.Alarms, all.Recent = slices.DeleteFunc(all.Alarms, busy), slices.DeleteFunc(all.Recent, busy)
	return all
}

// event reads until an event of an alarm.
func (c tokenClient) event(alarm string) (e wire.Event) {
	c.t.Helper()
	for e.Kind != wire.EventAlarm || e.Alarm != alarm {
		e = wire.Event{}
		c.read("event", &e)
	}
	return e
}

// emulatedCelsius is the temperature of the emulated environment, where no fan runs.
func emulatedCelsius(t *testing.T) float64 {
	t.Helper()
	p := startGateway(t, buildGateway(t), "--simulate", "--listen", "127.0.0.1:0")
	var reading struct{ Payload struct{ Temp float64 } }
	await(t, "indoor measures", func() bool {
		answer, err := http.Get(strings.Replace(p.URL, "ws", "http", 1) + "sensors/indoor")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK && json.NewDecoder(answer.Body).Decode(&reading) == nil && reading.Payload.Temp != 0
	})
	p.Kill(t)
	return reading.Payload.Temp
}

// TestAlarm is an alarm's whole life: the fan cools the place, and later does not.
func TestAlarm(t *testing.T) {
	t.Parallel()
	celsius, state := emulatedCelsius(t), t.TempDir()
	low, high := math.Round(celsius*100-200)/100, math.Round(celsius*100-80)/100 // as the configuration has them
	hook := newHookReceiver(t, "a secret", 5)
	secret := writeFile(t, "secret", "a secret\n")
	config := writeFile(t, "gateway.yaml", fmt.Sprintf(`
name: greenhouse 3
sensors:
  - {name: indoor, chip: sht3x}
  - {name: outdoor, chip: bme280}
motors:
  - {name: fan, kind: dir_pwm, dir: GPIO23, pwm: GPIO18, on_operator_loss: keep}
alarms:
  - {name: cold, condition: "indoor.temperature < %.2f for 1s until indoor.temperature > %.2f", severity: critical}
  - {name: always, condition: indoor.temperature > -40}
webhook: {url: "%s/alarms", secret_file: %q}
`, low, high, hook.URL, filepath.ToSlash(secret)))
	argv := []string{buildGateway(t), "--simulate", "--config", config, "--listen", "127.0.0.1:0", "--state", state}
	p := startGateway(t, argv...)
	p.await(t, `msg=ready version=devel name="greenhouse 3" `)
	tokens := map[string]string{}
	for _, args := range [][]string{{"vera"}, {"otto", "--role", "operator"}, {"blind", "--role", "operator", "--sensors", "outdoor"}} {
		out, err := exec.Command(buildGateway(t), append([]string{"token", "add", "--state", state}, args...)...).Output()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		tokens[args[0]] = strings.TrimSpace(string(out))
	}
	awaitToken(t, routeTo(p), tokens["blind"])

	// Raised, after its time.
	viewer := dialWith(t, p.URL, tokens["vera"])
	command := func(name, payload string) string { // nobody waits for pongs of a connection that has ended
		t.Helper()
		c := dialWith(t, p.URL, tokens[name])
		defer c.Close()
		return c.command(payload)
	}
	viewer.write(`{"type":"subscribe","payload":{"topic":"events"}}`)
	viewer.read("subscribed", nil)
	if got := command("otto", `{"action":"start","target":"fan","speed":1}`); got != "ack" {
		t.Fatal(got)
	}
	raised := viewer.event("cold")
	if raised.State != wire.AlarmRaised || raised.Severity != "critical" || raised.Sensor != "indoor" || raised.Value == nil || float64(*raised.Value) >= low || raised.Since != raised.TS {
		t.Errorf("raised: %+v", raised)
	}
	checkHeld(t, p, tokens["vera"], raised.Since, low)

	// Acknowledged, by an operator only.
	for _, name := range []string{"vera", "blind"} {
		if got := command(name, `{"action":"acknowledge","target":"cold"}`); got != "error" {
			t.Errorf("%s acknowledges: %s", name, got)
		}
	}
	for _, name := range []string{"cold", "always"} {
		if got := command("otto", fmt.Sprintf(`{"action":"acknowledge","target":%q}`, name)); got != "ack" {
			t.Errorf("an operator acknowledges %s: %s", name, got)
		}
	}
	if e := viewer.event("cold"); e.State != wire.AlarmAcknowledged || e.By != "otto" {
		t.Errorf("acknowledged: %+v", e)
	}
	if all := alarmsOf(t, p, tokens["blind"]); len(all.Alarms)+len(all.Recent)+len(all.Conditions) != 0 {
		t.Errorf("out of the scope: %+v", all)
	}
	if all := alarmsOf(t, p, tokens["vera"]); len(all.Conditions) != 2 || all.Conditions[1] != "indoor.temperature > -40" {
		t.Errorf("configured: %q", all.Conditions)
	}

	// Cleared, with hysteresis.
	if got := command("otto", `{"action":"stop","target":"fan"}`); got != "ack" {
		t.Fatal(got)
	}
	if e := viewer.event("cold"); e.State != wire.AlarmCleared || float64(*e.Value) <= high || e.Since != raised.Since {
		t.Errorf("cleared: %+v", e)
	}

	// Kept over SIGKILL.
	before := alarmsOf(t, p, tokens["vera"])
	if len(before.Alarms) != 1 || before.Alarms[0].Name != "always" || before.Alarms[0].Acknowledged == nil || len(before.Recent) != 1 || before.Recent[0].Acknowledged.By != "otto" {
		t.Errorf("before: %+v", before)
	}
	p.Kill(t)
	p = startGateway(t, argv...)
	if after := alarmsOf(t, p, tokens["vera"]); string(wire.JSON(after)) != string(wire.JSON(before)) {
		t.Errorf("after SIGKILL %s, before %s", wire.JSON(after), wire.JSON(before))
	}
	answer, err := http.DefaultClient.Do(bearer(t, strings.Replace(p.URL, "ws", "http", 1)+"metrics", tokens["vera"]))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	for _, want := range []string{`gateway_info{name="greenhouse 3"} 1`, `gateway_alarm{name="always",severity="warning"} 1`, `gateway_alarm{name="cold",severity="critical"} 0`} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("no metric %s", want)
		}
	}
	if want := `gateway_alarm{name="sensor_lost:indoor",severity="warning"} `; !strings.Contains(string(text), want) {
		t.Errorf("no metric %s", want) // on a busy machine it may not be 0
	}

	// Posted once, although the receiver failed five times.
	await(t, "all is posted", func() bool { return len(hook.of("cold")) == 3 && len(hook.of("always")) == 2 })
	if err := p.Stop(t); err != nil {
		t.Error(err)
	}
	hook.mu.Lock()
	defer hook.mu.Unlock()
	ids := map[string]bool{}
	for _, got := range hook.taken {
		if ids[got.ID] || got.Gateway != "greenhouse 3 (simulated)" {
			t.Errorf("twice, or of another gateway: %+v", got)
		}
		ids[got.ID] = true
	}
	if first := hook.tries[0]; !slices.Equal(hook.tries[:6], []string{first, first, first, first, first, first}) || hook.taken[0].ID != first {
		t.Errorf("tries %q, %+v", hook.tries, hook.taken[0])
	}
	if !slices.ContainsFunc(auditRecords(t, state), func(r audit.Record) bool {
		return r.Kind == audit.KindCommand && r.Name == "otto" && string(r.What) == `{"action":"acknowledge","target":"cold"}`
	}) {
		t.Error("the acknowledgement is not in the audit log")
	}
}

// checkHeld checks with the stored readings that the condition had held for a second when
// the alarm was raised, but not yet for a second at the previous reading. (On a busy
// machine some readings may be missing.)
func checkHeld(t *testing.T, p *gatewayProcess, token string, since, low float64) {
	t.Helper()
	at := int64(since * 1000)
	url := fmt.Sprintf("%sapi/v1/readings?sensor=indoor&format=json&from=%d&to=%d", strings.Replace(p.URL, "ws", "http", 1), at-5000, at+1)
	answer, err := http.DefaultClient.Do(bearer(t, url, token))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var all struct {
		Readings []struct {
			TS   float64
			Temp *float64
		}
	}
	text, _ := io.ReadAll(answer.Body)
	if err := json.Unmarshal(text, &all); err != nil || len(all.Readings) < 10 {
		t.Fatalf("%v: %s", err, text)
	}
	begin, before := 0.0, 0.0
	for _, r := range all.Readings {
		switch {
		case r.Temp == nil:
			continue
		case *r.Temp >= low:
			begin = 0
		case begin == 0:
			begin = r.TS
		}
		if r.TS < since {
			before = r.TS
		}
	}
	if since-begin < 0.9 || before-begin > 1.5 {
		t.Errorf("raised after the condition has held for %.1f s, and for %.1f s before, want 1 s", since-begin, before-begin)
	}
}
