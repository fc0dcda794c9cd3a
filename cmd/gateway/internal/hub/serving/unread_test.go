package serving

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/collect"
)

// TestUnreadableLog holds that a gateway whose log here cannot be read is shown live, also when
// some of its live readings are lost, which nothing brings later; and that its clients are closed
// with 1012 when the log can be read, and then get what it has.
func TestUnreadableLog(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	var readable atomic.Bool
	var tried atomic.Int32
	h.gateways.o.Reader = func(gateway, epoch string, sensors []string) (*collect.Reader, error) {
		if tried.Add(1); !readable.Load() {
			return nil, errors.New("input/output error")
		}
		return h.stored.Reader(gateway, epoch, sensors)
	}
	h.publish(fleet.Here, []byte("online 1"))
	h.hello("e1", 1, sensors)
	h.await("/gateways/pi-7/api/v1/sensors", "anna", `"outdoor"`)
	c := h.dial("/gateways/pi-7/", "anna")
	h.live(1, 1, 5, 6)
	c.until(func() bool { return slices.Equal(c.live, []uint32{1, 5, 6}) })
	h.up(1, 1, 4)
	h.eventually(func() (string, bool) { return "the log is not tried again", tried.Load() > 1 })
	h.live(1, 7)
	c.until(func() bool { return slices.Contains(c.live, 7) })

	readable.Store(true)
	h.up(1, 5, 10)
	c.restarted()
	again := h.dial("/gateways/pi-7/", "anna")
	if err := again.WriteJSON(map[string]any{"type": "subscribe", "payload": map[string]any{"topic": "sensors", "epoch": "e1", "since": map[string]uint32{"outdoor": 2}}}); err != nil {
		t.Fatal(err)
	}
	again.until(func() bool { return len(again.past) == 8 })
	if !slices.Equal(again.past, span(3, 10)) {
		t.Errorf("past %v", again.past)
	}
}
