package serving

import (
	"slices"
	"testing"

	"sensorgateway/gateway/fleet"
)

// TestClockSetBack holds that times do not run backwards within a stream: when a gateway's clock
// was set back, its clients are closed with 1012 before the first reading with such a time, once
// for all sensors, and get it and later ones when they have connected again.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	setBack := func(sensor uint16, seq uint32) {
		r := measured(sensor, seq)
		r.UnixMilli -= 5000
		h.publish(fleet.Live, r.Append(nil))
	}
	h.publish(fleet.Here, []byte("online 1"))
	h.hello("e1", 1, sensors)
	h.await("/gateways/pi-7/api/v1/sensors", "anna", `"outdoor"`)
	c := h.dial("/gateways/pi-7/", "anna")
	h.live(0, 1)
	h.live(1, 1)
	c.until(func() bool { return slices.Equal(c.live, span(1, 1)) })
	setBack(1, 2)
	c.restarted()
	if !slices.Equal(c.live, span(1, 1)) {
		t.Errorf("before it was closed the client got %v", c.live)
	}
	h.await("/gateways/pi-7/sensors/outdoor", "anna", `"ts":1699999995.200,"seq":2`)
	again := h.dial("/gateways/pi-7/", "anna")
	setBack(0, 2)
	setBack(1, 3)
	again.until(func() bool { return slices.Contains(again.live, 3) })
}
