package serving

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway"
	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// TestServed follows a gateway through what its clients on a hub see: what is stored, what
// is live ahead of it, what was lost on the way until it is stored, its absence, and other
// sensors.
func TestServed(t *testing.T) {
	h := startHub(t)
	if code, _ := h.get("/gateways/pi-7/", "anna"); code != http.StatusNotFound {
		t.Errorf("before anything has come: %d", code)
	}
	h.publish(fleet.Here, []byte("online 1"))
	h.hello("e1", 1, sensors)
	h.up(1, 1, 600)
	h.up(0, 1, 600)
	h.await("/gateways/pi-7/api/v1/readings?sensor=outdoor&from=1700000060000&to=1700000060001&format=csv", "anna", "25,50")
	if code, body := h.get("/gateways/pi-7/sensors/outdoor", "anna"); code != http.StatusOK || !strings.Contains(body, `"seq":600`) {
		t.Errorf("the newest: %d %s", code, body)
	}
	for token, want := range map[string]int{"": http.StatusUnauthorized, "bert": http.StatusForbidden} {
		if code, body := h.get("/gateways/pi-7/api/v1/sensors", token); code != want {
			t.Errorf("%q: %d %s", token, code, body)
		}
	}
	if code, _ := h.get("/gateways/pi-9/", ""); code != http.StatusUnauthorized { // whether there is one is not for everybody
		t.Errorf("an unknown one, without a token: %d", code)
	}

	unknown, _, err := websocket.DefaultDialer.Dial("ws://"+h.address+"/gateways/pi-9/", http.Header{"Authorization": {"Bearer " + h.tokens["anna"]}})
	if err != nil {
		t.Fatal(err)
	}
	defer unknown.Close()
	if _, _, err := unknown.ReadMessage(); !websocket.IsCloseError(err, wire.ClosePolicy) {
		t.Errorf("an unknown one: %v", err)
	}

	c := h.dial("/gateways/pi-7/", "anna")
	if c.hello.Name != "the roof" || c.hello.Hub != "hub-a" || c.hello.Epoch != "e1" || len(c.hello.Sensors) != 2 || c.hello.Sensors[1].NextSeq != 601 || len(c.hello.Motors) != 1 || c.hello.You.Name != "anna" || len(c.hello.Warnings) != 0 {
		t.Fatalf("%+v", c.hello)
	}
	if err := c.WriteJSON(map[string]any{"type": "subscribe", "payload": map[string]any{"topic": "all", "epoch": "e1", "since": map[string]uint32{"outdoor": 500}}}); err != nil {
		t.Fatal(err)
	}
	c.until(func() bool { return len(c.past) == 100 })
	h.live(1, 641, 642, 645) // what was made before somebody looked is not live, and some of it is lost
	c.until(func() bool { return len(c.live) == 3 })
	h.up(1, 601, 660)
	c.until(func() bool { return len(c.live)+len(c.past) == 160 })
	h.live(1, 650, 661) // one of them is late
	c.until(func() bool { return slices.Contains(c.live, 661) })
	h.up(1, 601, 700) // again, in other blocks, and ahead of what is live
	c.until(func() bool { return slices.Contains(c.live, 700) })
	if want := slices.Concat(span(501, 640), span(643, 644)); !slices.Equal(c.past, want) {
		t.Errorf("past %v, want %v", c.past, want)
	}
	if want := slices.Concat([]uint32{641, 642, 645}, span(646, 700)); !slices.Equal(c.live, want) {
		t.Errorf("live %v, want %v", c.live, want)
	}
	if c.wrong > 0 {
		t.Errorf("%d values are not those of the gateway", c.wrong)
	}

	motor := wire.MotorState{Target: "fan", Running: true, Speed: 1, Direction: wire.Forward, Reason: wire.ReasonCommand, By: "ahmet", TS: 1}
	h.publish(fleet.News, wire.JSON(wire.Envelope{Type: wire.TypeState, Payload: motor}))
	c.until(func() bool { return strings.Contains(strings.Join(c.texts, ""), `"by":"ahmet"`) })
	h.publish(fleet.Here, []byte("offline 1"))
	c.until(func() bool { return strings.Contains(strings.Join(c.texts, ""), `"uplink_lost"`) })
	late := h.dial("/gateways/pi-7/", "anna")
	if len(late.hello.Warnings) != 1 || !strings.Contains(late.hello.Warnings[0], "away since") {
		t.Errorf("%+v", late.hello.Warnings)
	}
	if code, body := h.get("/gateways/pi-7/healthz", ""); code != http.StatusServiceUnavailable || !strings.Contains(body, "away since") {
		t.Errorf("%d %s", code, body)
	}
	if err := c.WriteJSON(map[string]any{"type": "command", "id": 7, "payload": map[string]any{"action": "start", "target": "fan"}}); err != nil {
		t.Fatal(err)
	}
	c.until(func() bool { return strings.Contains(strings.Join(c.texts, ""), `"code":503`) })

	h.hello("e1", 2, sensors[:1])
	late.restarted()
	again := h.dial("/gateways/pi-7", "anna")
	if len(again.hello.Sensors) != 1 {
		t.Errorf("%+v", again.hello.Sensors)
	}
	_ = h.dial("/gateways/pi-7/", "anna")
	if _, answer, err := websocket.DefaultDialer.Dial("ws://"+h.address+"/gateways/pi-7/", http.Header{"Authorization": {"Bearer " + h.tokens["anna"]}}); err == nil || answer == nil || answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one client too many: %v, %v", answer, err)
	}
}

// TestUnused holds that a gateway that nobody looks at any more costs little, and is asked
// for nothing; and that a client that comes back finds all.
func TestUnused(t *testing.T) {
	h := startHub(t)
	h.publish(fleet.Here, []byte("online 1"))
	h.hello("e1", 1, sensors)
	h.up(1, 1, 600)
	h.await("/gateways/pi-7/healthz", "", `"ok":true`)
	for path, token := range map[string]string{"/gateways/pi-7/": "", "/gateways/pi-7/login": "", "/gateways/pi-7/sensors/outdoor": "bert"} {
		h.get(path, token)
	}
	if n := len(h.gateways.served); n > 0 {
		t.Errorf("%d gateways are served to who may not see them", n)
	}
	h.await("/gateways/pi-7/sensors/outdoor", "anna", `"seq":600`)
	served := func() *served {
		h.gateways.mu.Lock()
		defer h.gateways.mu.Unlock()
		return h.gateways.served["pi-7"]
	}
	c, now := h.dial("/gateways/pi-7/", "anna"), time.Now()
	s := served()
	if s.unwatch == nil {
		t.Error("nothing live is asked for, although there is a client")
	}
	h.eventually(func() (string, bool) { // its handshake was answered before it was over
		h.gateways.mu.Lock()
		defer h.gateways.mu.Unlock()
		return "the handshake is not over", s.uses == 0
	})
	h.gateways.endUnused(now.Add(2 * idle))
	if served() != s {
		t.Fatal("it has ended although there is a client")
	}
	_ = c.Close()
	h.eventually(func() (string, bool) { return "the client has not left", s.server.Clients() == 0 })
	h.gateways.endUnused(now.Add(3*idle - time.Second))
	if served() != s || s.unwatch != nil {
		t.Fatal("it has ended at once, or still asks for what is live")
	}
	h.gateways.endUnused(now.Add(3 * idle))
	if served() != nil {
		t.Fatal("it has not ended")
	}
	h.up(1, 601, 700)
	h.await("/gateways/pi-7/sensors/outdoor", "anna", `"seq":700`)
	again := h.dial("/gateways/pi-7/", "anna")
	if err := again.WriteJSON(map[string]any{"type": "subscribe", "payload": map[string]any{"topic": "sensors", "epoch": "e1", "since": map[string]uint32{"outdoor": 550}}}); err != nil {
		t.Fatal(err)
	}
	again.until(func() bool { return len(again.past) == 150 })
	if !slices.Equal(again.past, span(551, 700)) {
		t.Errorf("past %v", again.past)
	}
}

// TestNewest holds that who asks for the newest reading gets the newest that is known here,
// live or stored: also when the gateway is served anew, and when it has begun another epoch
// of which nothing has come yet.
func TestNewest(t *testing.T) {
	h := startHub(t)
	h.publish(fleet.Here, []byte("online 1"))
	h.hello("e1", 1, sensors)
	h.up(1, 1, 600)
	newest := func(want string) {
		t.Helper()
		if code, body := h.get("/gateways/pi-7/sensors/outdoor", "anna"); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%d %s, want %s", code, body, want)
		}
	}
	h.await("/gateways/pi-7/sensors/outdoor", "anna", `"seq":600`)
	c := h.dial("/gateways/pi-7/", "anna")
	h.live(1, 700)
	c.until(func() bool { return slices.Contains(c.live, 700) })
	_ = c.Close()
	h.forget()
	newest(`"seq":700`)
	h.up(1, 601, 660)
	h.await("/gateways/pi-7/api/v1/readings?sensor=outdoor&from=1700000066000&to=1700000066001&format=csv", "anna", "21,50")
	newest(`"seq":700`)
	again := h.dial("/gateways/pi-7/", "anna")
	if next := again.hello.Sensors[1].NextSeq; next != 701 {
		t.Errorf("next is %d, want 701", next)
	}

	h.hello("e2", 2, sensors)
	h.await("/gateways/pi-7/api/v1/sensors", "anna", `"epoch":"e2"`)
	newest(`"seq":700`)
	h.upOf("e2", sensors[1], 1, 10)
	h.await("/gateways/pi-7/sensors/outdoor", "anna", `"seq":10}`)
	other := slices.Clone(sensors)
	other[1].Values = wire.Quantities()[2:3] // as by another chip: what it measured is of another kind
	h.hello("e3", 3, other)
	h.await("/gateways/pi-7/api/v1/sensors", "anna", `"epoch":"e3"`)
	if code, body := h.get("/gateways/pi-7/sensors/outdoor", "anna"); code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", code, body)
	}
}

// TestRedirect holds that an address without its slash leads to the gateway, with its
// query, and that no text in place of the gateway's name leads to another host.
func TestRedirect(t *testing.T) {
	h := startHub(t)
	for path, want := range map[string]string{
		"/gateways/pi-7": "/gateways/pi-7/", "/gateways/pi-7?kiosk&x=1": "/gateways/pi-7/?kiosk&x=1",
		"/gateways/http:evil.example": "/gateways/http:evil.example/", "/gateways/a%3Fb%23c": "/gateways/a%3Fb%23c/",
	} {
		r, err := http.NewRequest(http.MethodGet, "https://hub.example"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		h.gateways.ServeHTTP(w, r)
		to, err := r.URL.Parse(w.Header().Get("Location"))
		if w.Code != http.StatusPermanentRedirect || err != nil || to.String() != "https://hub.example"+want {
			t.Errorf("%s: %d to %v, %v", path, w.Code, to, err)
		}
	}
}

// TestStoredMeanwhile holds that what is stored while a gateway begins to be served is shown.
func TestStoredMeanwhile(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.publish(fleet.Here, []byte("online 1"))
	var many []wire.SensorInfo // so that to begin takes a while
	for i := range gateway.MaxSensors {
		many = append(many, wire.SensorInfo{ID: uint16(i), Name: fmt.Sprint("s", i), Model: "sht3x", IntervalMS: 100, Values: wire.Quantities()[:2]})
	}
	h.hello("e1", 1, many)
	for _, s := range many {
		h.upOf("e1", s, 1, 10)
	}
	for last := uint32(20); last <= 1000; last += 10 {
		h.forget()
		h.upOf("e1", many[0], last-9, last)
		h.await("/gateways/pi-7/sensors/s0", "anna", fmt.Sprintf(`"seq":%d`, last))
	}
}

// TestAdministrators holds that an administrator of some gateways makes no tokens for others.
func TestAdministrators(t *testing.T) {
	h := startHub(t)
	h.publish(fleet.Here, []byte("online 1"))
	h.hello("e1", 1, sensors)
	h.await("/gateways/pi-7/api/v1/tokens", "site admin", `"gateways":["site:lab"]`)
	if code, body := h.get("/gateways/pi-7/api/v1/tokens", "anna"); code != http.StatusForbidden {
		t.Errorf("an operator: %d %s", code, body)
	}
	for body, want := range map[string]int{
		`{"name":"a"}`: http.StatusForbidden, `{"name":"b","gateways":["pi-8"]}`: http.StatusForbidden,
		`{"name":"c","gateways":[]}`: http.StatusUnprocessableEntity, `{"name":"d","gateways":["site:"]}`: http.StatusUnprocessableEntity,
		`{"name":"e","gateways":["site:lab"],"sensors":["indoor"]}`: http.StatusCreated,
	} {
		r, err := http.NewRequest(http.MethodPost, "http://"+h.address+"/gateways/pi-7/api/v1/tokens", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+h.tokens["site admin"])
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %d %s", body, answer.StatusCode, text)
		}
	}
}
