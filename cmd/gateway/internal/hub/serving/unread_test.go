package serving

import (
	"errors"
	"slices"
	"testing"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/collect"
)

// TestUnreadableLog holds that a gateway whose log here cannot be read is shown live, also when
// some of its live readings are lost, which nothing brings later.
func TestUnreadableLog(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.gateways.o.Reader = func(string, string, []string) (*collect.Reader, error) {
		return nil, errors.New("input/output error")
	}
	h.publish(fleet.Here, []byte("online 1"))
	h.hello("e1", 1, sensors)
	h.await("/gateways/pi-7/api/v1/sensors", "anna", `"outdoor"`)
	c := h.dial("/gateways/pi-7/", "anna")
	h.live(1, 1, 5, 6)
	c.until(func() bool { return slices.Equal(c.live, []uint32{1, 5, 6}) })
}
