//go:build unix

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// tls returns the configuration of a client that trusts the fleet's authority.
func (h *hubProcess) tls() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(mustRead(h.t, filepath.Join(h.state, "ca.crt"))))
	return &tls.Config{RootCAs: roots}
}

// get returns the hub's answer to a request with a token.
func (h *hubProcess) get(path, token string) (int, string) {
	h.t.Helper()
	answer, body := h.request(path, token)
	return answer.StatusCode, string(body)
}

// request is get, with the header of the answer.
func (h *hubProcess) request(path, token string) (answer *http.Response, body []byte) {
	h.t.Helper()
	r, err := http.NewRequest(http.MethodGet, h.url+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{TLSClientConfig: h.tls()}
	defer transport.CloseIdleConnections()
	if answer, err = transport.RoundTrip(r); err != nil {
		h.t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err = io.ReadAll(answer.Body); err != nil {
		h.t.Fatal(err)
	}
	return answer, body
}

func (h *hubProcess) awaitAnswer(path, token, want string) (body string) {
	h.t.Helper()
	eventually(h.t, patience, func() (string, bool) {
		_, body = h.get(path, token)
		return path + ": " + body, strings.Contains(body, want)
	})
	return body
}

// dial connects to a gateway's stream on the hub.
func (h *hubProcess) dial(path, token string) *websocket.Conn {
	h.t.Helper()
	d := websocket.Dialer{TLSClientConfig: h.tls(), Subprotocols: []string{wire.ReadingsV2}, HandshakeTimeout: patience}
	c, _, err := d.Dial("wss"+strings.TrimPrefix(h.url, "https")+path, http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		h.t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return c
}

// TestHubServes: a hub serves what a gateway has sent, to clients whose token has the gateway
// in its scope. After the hub was killed it serves what was durable, which the gateway need
// not send again.
func TestHubServes(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, "allow_anonymous true")
	h := startHub(t, "--broker", "mqtt://"+m.Address, "--site", "lab")
	h.await(t, "connected to the broker")
	h.want("pi-1", h.enroll(t.TempDir(), "pi-1", h.code("--site", "lab"))...)
	add := func(name string, more ...string) string {
		return h.want("gwt_", append([]string{"token", "add", name, "--state", h.state}, more...)...)
	}
	chief := add("chief", "--gateways", "site:lab", "--role", "admin")
	anna, bert, root := add("anna", "--gateways", "site:lab", "--role", "operator"), add("bert", "--gateways", "pi-2"), add("root", "--role", "admin")

	d := newFleetDevice(t, m, fleet.Gateway{Site: "lab", Name: "pi-1"}, 3000)
	hello := fleet.Hello{Hello: wire.Hello{Server: "gateway", Name: "roof", Version: "v1", Epoch: "e", Time: time.Now().UnixMilli(), ClockSynced: true,
		Sensors: []wire.SensorInfo{{Name: "indoor", Model: "sht3x", IntervalMS: 100, Primary: true, Values: wire.Quantities()[:2]}},
		Motors:  []wire.MotorState{{Target: "fan", Direction: wire.Forward, Reason: wire.ReasonBoot}}}, Nonce: "n", Connection: 1, Alarms: []wire.Alarm{}}
	d.publish(d.at.Topic(fleet.Here), []byte("online 1"))
	d.publish(d.at.Topic(fleet.News), wire.JSON(wire.Envelope{Type: wire.TypeHello, Payload: hello}))
	d.send(0, 2000, 600)
	h.awaitAnswer("/api/v1/audit", root, "records") // the hub has seen the last token
	h.awaitAnswer("/gateways/pi-1/sensors/indoor", anna, `"seq":2000`)
	if body := h.awaitAnswer("/api/v1/gateways", anna, `"pi-1"`); !strings.Contains(body, `"state":"here"`) {
		t.Error(body)
	}
	if _, body := h.get("/api/v1/gateways", bert); strings.Contains(body, "pi-1") {
		t.Errorf("beyond the scope: %s", body)
	}
	checkHubMetrics(h, root, anna, bert)
	for token, want := range map[string]int{"": 401, bert: 403, anna: 200} {
		if code, body := h.get("/gateways/pi-1/api/v1/readings?sensor=indoor&from=0", token); code != want {
			t.Errorf("%d, want %d: %s", code, want, body)
		}
	}
	if code, body := h.get("/gateways/pi-1/", anna); code != 200 || !strings.Contains(body, "<html") {
		t.Errorf("the page: %d %.100s", code, body)
	}
	if code, body := h.get("/", anna); code != 200 || !strings.Contains(body, "<html") {
		t.Errorf("the overview: %d %.100s", code, body)
	}
	c := h.dial("/gateways/pi-1/", anna)
	defer c.Close()
	if err := c.WriteMessage(websocket.TextMessage, []byte(`{"type":"command","payload":{"action":"start","target":"fan"}}`)); err != nil {
		t.Fatal(err)
	}

	h.awaitAnswer("/api/v1/audit", root, `"pi-1/fan"`) // the hub has read the command
	eventually(t, patience, func() (string, bool) {    // within a second after it has come, hello is stored
		data, err := os.ReadFile(filepath.Join(h.state, "gateways", "pi-1", "gateway.json"))
		return fmt.Sprintf("%s, %v", data, err), err == nil && strings.Contains(string(data), "roof")
	})
	h.Kill(t)
	h.start()
	d.send(2000, 3000, 600)
	h.awaitAnswer("/gateways/pi-1/sensors/indoor", anna, `"seq":3000`) // hello was not said again
	again := h.dial("/gateways/pi-1/", anna)
	defer again.Close()
	if err := again.WriteMessage(websocket.TextMessage, []byte(`{"type":"subscribe","payload":{"topic":"sensors","epoch":"e","since":{"indoor":0}}}`)); err != nil {
		t.Fatal(err)
	}
	var got []wire.Record
	for len(got) < len(d.records) {
		kind, message, err := again.ReadMessage()
		if err != nil {
			t.Fatalf("%d records: %v", len(got), err)
		}
		if kind == websocket.TextMessage {
			continue
		}
		records, err := wire.ParseRecords(message)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, records...)
	}
	for i, r := range got {
		if r.Seq != d.records[i].Seq || r.Reading != d.records[i].Reading {
			t.Fatalf("record %d is %+v, want %+v", i, r, d.records[i])
		}
	}
	if code, body := h.get("/api/v1/tokens", root); code != 200 || !strings.Contains(body, `"gateways":["site:lab"]`) {
		t.Errorf("the tokens: %d %s", code, body)
	}
	if code, _ := h.get("/api/v1/audit", chief); code != 403 { // of all gateways
		t.Errorf("the audit log, for an administrator of a site: %d", code)
	}
	if code, _ := h.get("/api/v1/tokens", anna); code != 403 {
		t.Errorf("the tokens, for an operator: %d", code)
	}
	if body := h.awaitAnswer("/api/v1/audit", root, `"pi-1/fan"`); !strings.Contains(body, `"anna"`) {
		t.Error(body)
	}
}

// checkHubMetrics checks the metrics of a hub that has stored 2000 readings, about itself and
// about the gateway, for clients that may see them.
func checkHubMetrics(h *hubProcess, root, anna, bert string) {
	h.t.Helper()
	body := h.awaitAnswer("/metrics", root, "\ngateway_hub_readings_total 2000\n")
	for _, want := range []string{
		`gateway_hub_gateways{site="lab",state="here"} 1`, `gateway_hub_broker_connected{site="lab"} 1`, `gateway_hub_messages_total{kind="here"} 1`, "gateway_hub_messages_refused_total 0",
		"gateway_ws_clients 0", "gateway_audit_writable 1", "gateway_hub_lag_max_seconds ", "gateway_hub_stored_bytes ", "gateway_start_time_seconds ", "process_resident_memory_bytes ", "gateway_host_disk_free_bytes ",
	} {
		if !strings.Contains(body, "\n"+want) {
			h.t.Errorf("/metrics without %s:\n%s", want, body)
		}
	}
	if code, body := h.get("/metrics", bert); code != 200 || strings.Contains(body, `"lab"`) {
		h.t.Errorf("beyond the scope: %d %s", code, body)
	}
	if code, _ := h.get("/metrics", ""); code != 401 {
		h.t.Errorf("without a token: %d", code)
	}
	if body := h.awaitAnswer("/gateways/pi-1/metrics", anna, `gateway_readings_total{sensor="indoor"} 2000`); !strings.Contains(body, `gateway_sensor_up{sensor="indoor"} 1`) {
		h.t.Error(body)
	}
}

// TestHubWithOpenMetrics: with --open-metrics, clients without a token see metrics and nothing
// else.
func TestHubWithOpenMetrics(t *testing.T) {
	t.Parallel()
	h := startHub(t, "--open-metrics")
	h.want("gwt_", "token", "add", "root", "--role", "admin", "--state", h.state)
	eventually(t, patience, func() (string, bool) { // it has seen the token
		code, body := h.get("/", "")
		return fmt.Sprintf("%d %.100s", code, body), code == 401
	})
	if code, body := h.get("/metrics", ""); code != 200 || !strings.Contains(body, "\ngateway_hub_readings_total 0\n") {
		t.Errorf("%d %s", code, body)
	}
	for _, path := range []string{"/", "/api/v1/gateways", "/gateways/pi-1/"} {
		if code, _ := h.get(path, ""); code != 401 {
			t.Errorf("%s: %d", path, code)
		}
	}
	if code, _ := h.get("/gateways/pi-1/metrics", ""); code != 404 { // it is none of the fleet
		t.Errorf("of a gateway: %d", code)
	}
}

// TestHubShowsAGateway: a client of a hub sees of a running gateway what the gateway itself
// shows (readings by their numbers, motors, the machine), and that it is away after it was killed.
func TestHubShowsAGateway(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, "allow_anonymous true")
	h := startHub(t, "--broker", "mqtt://"+m.Address, "--site", "lab")
	h.await(t, "connected to the broker")
	device := t.TempDir()
	h.want("pi-1", h.enroll(device, "pi-1", h.code("--site", "lab"))...)
	anna := h.want("gwt_", "token", "add", "anna", "--gateways", "pi-1", "--role", "operator", "--state", h.state)
	config := writeFile(t, "gateway.yaml", string(simulatedWithoutInterlocks(t))+"uplink: {}\n")
	p := startGateway(t, h.program, "--simulate", "--config", config, "--listen", "127.0.0.1:0", "--state", device)
	h.awaitAnswer("/gateways/pi-1/api/v1/motors", anna, `"motor_1"`)

	c := h.dial("/gateways/pi-1/", anna)
	defer c.Close()
	direct, _, err := (&websocket.Dialer{Subprotocols: []string{wire.ReadingsV2}}).Dial(p.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	_ = direct.SetReadDeadline(time.Now().Add(patience))
	type number struct {
		sensor uint16
		seq    uint32
	}
	read := func(c *websocket.Conn, until func(wire.Record) bool) {
		t.Helper()
		for {
			kind, message, err := c.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			if kind == websocket.TextMessage {
				continue
			}
			records, err := wire.ParseRecords(message)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				if until(r) {
					return
				}
			}
		}
	}
	there := map[number]wire.Record{}
	read(c, func(r wire.Record) bool { there[number{r.Sensor, r.Seq}] = r; return len(there) == 60 })
	same := 0
	read(direct, func(r wire.Record) bool {
		if x, some := there[number{r.Sensor, r.Seq}]; some {
			if x.UnixMilli != r.UnixMilli || x.Fault != r.Fault || r.Fault == wire.Good && x.Values != r.Values {
				t.Errorf("the hub shows %+v, the gateway %+v", x, r)
			}
			same++
		}
		return same == 30
	})

	answered := func(command, want string) time.Duration {
		t.Helper()
		begin := time.Now()
		if err := c.WriteMessage(websocket.TextMessage, []byte(`{"type":"command","id":1,"payload":`+command+`}`)); err != nil {
			t.Fatal(err)
		}
		for {
			kind, message, err := c.ReadMessage()
			if err != nil {
				t.Fatalf("%s: %v", command, err)
			}
			if kind == websocket.TextMessage && strings.Contains(string(message), `"id":1`) {
				if !strings.Contains(string(message), want) {
					t.Fatalf("%s: %s", command, message)
				}
				return time.Since(begin)
			}
		}
	}
	answered(`{"action":"start","target":"motor_1","lease_ms":30000}`, `"running":true`)
	t.Logf("a stop took %v", answered(`{"action":"stop","target":"motor_1"}`, `"running":false`))
	answered(`{"action":"start","target":"nothing"}`, `"code":404`)
	h.awaitAnswer("/gateways/pi-1/api/v1/motors", anna, `"by":"anna"`)

	machine := h.dial("/gateways/pi-1/metrics", anna)
	defer machine.Close()
	for known := regexp.MustCompile(`"machine_age_seconds":\d`); ; {
		_, message, err := machine.ReadMessage()
		if err != nil {
			t.Fatalf("the machine: %v", err)
		}
		if known.Match(message) {
			break
		}
	}

	p.Kill(t)
	if body := h.awaitAnswer("/gateways/pi-1/healthz", "", "away since"); !strings.Contains(body, `"ok":false`) {
		t.Error(body)
	}
	late := h.dial("/gateways/pi-1/", anna)
	defer late.Close()
	if _, hello, err := late.ReadMessage(); err != nil || !strings.Contains(string(hello), "pi-1 is away since") {
		t.Errorf("%s, %v", hello, err)
	}
}
