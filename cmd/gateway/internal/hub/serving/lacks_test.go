package serving

import (
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/fleet"
)

// TestLacks holds that a request for readings of minutes that are only summarised, by time
// or by number, makes the hub ask the gateway for them, and says if it cannot; a request for
// sums does not.
func TestLacks(t *testing.T) {
	h := startHub(t)
	h.publish(fleet.Here, []byte("online 1"))
	h.hello("e1", 1, sensors)
	h.up(1, 1, 600)
	h.summarise(1, 601, 1200)
	h.summarise(1, 1201, 1800)
	const past = "/gateways/pi-7/api/v1/readings?sensor=outdoor&from=1700000000000&to=1700000200000"
	h.await(past+"&step=200000", "anna", `"count":1800`)
	if _, header, _ := h.getWith(past+"&step=1000", "anna"); !strings.HasPrefix(header.Get("Readings-Lacking"), "minutes=2, asked=0, gone=0, reason=") {
		t.Errorf("of short sums %v is said", header)
	}
	if len(h.wanted) > 0 {
		t.Fatalf("for sums, %s is asked for", <-h.wanted)
	}
	want := func(what string) {
		t.Helper()
		if got := <-h.wanted; got != what {
			t.Errorf("%q is asked for, want %q", got, what)
		}
	}
	if _, body := h.get(past, "anna"); strings.Count(body, `"seq"`) != 600 {
		t.Errorf("%.300s", body)
	}
	want("pi-7 [{outdoor e1 600 1200} {outdoor e1 1200 1800}] ")
	c := h.dial("/gateways/pi-7/", "anna")
	if err := c.WriteMessage(websocket.TextMessage, []byte(`{"type":"subscribe","payload":{"topic":"sensors/outdoor","epoch":"e1","since":{"outdoor":600}}}`)); err != nil {
		t.Fatal(err)
	}
	want("pi-7 [{outdoor e1 600 1200} {outdoor e1 1200 1800}] ")
	h.live(1, 1900)
	c.until(func() bool { return len(c.live) == 1 })
	h.up(1, 1201, 1800) // as when the gateway has answered
	c.until(func() bool { return len(c.past) == 600 })
	if c.wrong > 0 || c.past[0] != 1201 {
		t.Errorf("%d are wrong, from %d on", c.wrong, c.past[0])
	}

	h.publish(fleet.Here, []byte("offline 1"))
	h.await("/gateways/pi-7/healthz", "", "away since")
	h.get(past, "anna")
	if got := <-h.wanted; !strings.HasPrefix(got, "pi-7 [{outdoor e1 600 1200}] pi-7 is away since ") {
		t.Error(got)
	}
}
